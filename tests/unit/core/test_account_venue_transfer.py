"""Money moved at the venue is a flow, what the venue charges is a result, and each line of its ledger counts once."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.account import CashFlowed, ChargeBooked, EquityChanged, FlowKind
from schemas.events.gateway import VenueCharged, VenueTransferred
from schemas.values import Money
from streams.core.account import STAGE
from tests.account_events import snapshot
from tests.builders import settings_changed
from tests.spec import given


def moved(amount: str, bill_id: str = "1") -> VenueTransferred:
    return VenueTransferred("paper", bill_id, "USDT", Money(Decimal(amount)))


def test_a_deposit_is_a_flow_and_raises_the_peak_with_the_equity() -> None:
    spec = given(STAGE, settings_changed(), snapshot("10000")).when(moved("2500"))
    flow, equity = spec.emitted
    assert flow == CashFlowed("paper", FlowKind.DEPOSIT, Money(Decimal(2500)))
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.peak_equity, equity.flow) == (12500, 12500, 2500)


def test_a_withdrawal_is_a_flow_out() -> None:
    spec = given(STAGE, settings_changed(), snapshot("10000")).when(moved("-4000"))
    assert spec.of(CashFlowed) == [CashFlowed("paper", FlowKind.WITHDRAWAL, Money(Decimal(-4000)))]
    assert spec.of(EquityChanged)[0].equity == 6000


def test_a_line_told_twice_counts_once() -> None:
    spec = given(STAGE, settings_changed(), snapshot("10000"), moved("100"))
    assert spec.when(moved("100")).emitted == []
    assert spec.when(moved("100", "2")).of(EquityChanged)[0].equity == 10200


def test_what_moved_before_the_first_snapshot_is_in_it() -> None:
    assert given(STAGE, settings_changed()).when(moved("100")).emitted == []


def charged(amount: str, bill_id: str = "9") -> VenueCharged:
    return VenueCharged("paper", bill_id, "7/9", "", "USDT", Money(Decimal(amount)))


def test_interest_is_a_loss_and_no_flow() -> None:
    spec = given(STAGE, settings_changed(), snapshot("10000")).when(charged("-100"))
    booked, equity = spec.emitted
    assert booked == ChargeBooked("paper", "9", "7/9", Money(Decimal(-100)))
    assert isinstance(equity, EquityChanged)
    assert (equity.equity, equity.peak_equity, equity.flow) == (9900, 10000, 0)
    assert (equity.drawdown_pct, equity.daily_loss_pct) == (1, 1)


def test_a_charge_told_twice_counts_once_and_one_before_the_books_are_open_is_in_them() -> None:
    spec = given(STAGE, settings_changed(), snapshot("10000"), charged("-100"))
    assert spec.when(charged("-100")).emitted == []
    assert spec.when(charged("5", "10")).of(EquityChanged)[0].equity == 9905
    assert given(STAGE, settings_changed()).when(charged("-100")).emitted == []
