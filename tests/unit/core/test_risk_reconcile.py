"""What the venue says otherwise than the log: told when it appears, changes and goes, with its age and its repair."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.common import AccountMode, ExitReason, PositionMode, Repair, TradingState
from schemas.events.control import ClosePosition, CommandHandled, KillSwitch, RefusalCode
from schemas.events.gateway import FOREIGN, DifferenceFound
from schemas.events.orders import AccountSnapshot, VenuePosition
from schemas.events.risk import (
    ReconciliationDiffered,
    ReconciliationSettled,
    ReductionApproved,
    TradingStateChanged,
)
from schemas.values import SECOND, Micros, Money, Price, Quantity
from streams.core.risk.reconcile import OPEN_MAX
from tests.builders import T0, btc_spot
from tests.risk_desk import BTC, desk
from tests.spec import Spec

START = T0 + 100 * SECOND


def says(*positions: tuple[str, str], cash: str = "10000", orders: tuple[str, ...] = ()) -> AccountSnapshot:
    """Return what the venue says; the desk of these tests is flat with 10,000."""
    held = tuple(VenuePosition(name, Quantity(Decimal(q)), Price(Decimal(80000))) for name, q in positions)
    return AccountSnapshot("paper", Money(Decimal(cash)), held, orders, AccountMode.FUTURES, PositionMode.NET)


def told(spec: Spec) -> list[tuple[str, str, str, int, Repair]]:
    """Return subject, venue, log, age in seconds and repair of the differences just told."""
    found: list[ReconciliationDiffered] = spec.of(ReconciliationDiffered)
    return [(d.subject, d.venue, d.log, d.age_us // SECOND, d.repair) for d in found]


def test_an_account_that_agrees_says_nothing() -> None:
    assert desk().when(says(), ts=START).emitted == []


def test_a_difference_is_told_once_then_when_it_changes_and_when_it_is_gone() -> None:
    spec = desk().when(says((BTC, "3")), ts=START)
    assert told(spec) == [(f"position {BTC}", "3", "0", 0, Repair.OPERATOR)]
    assert spec.of(TradingStateChanged)[0].state is TradingState.HALTED
    assert spec.when(says((BTC, "3")), ts=START + 30 * SECOND).emitted == []
    assert told(spec.when(says((BTC, "5")), ts=START + 60 * SECOND)) == [
        (f"position {BTC}", "5", "0", 60, Repair.OPERATOR)
    ]
    spec.when(says(), ts=START + 90 * SECOND)
    assert spec.of(ReconciliationSettled) == [ReconciliationSettled("paper", f"position {BTC}", START, 90 * SECOND)]
    assert spec.of(TradingStateChanged)[0].state is TradingState.ACTIVE


def test_a_position_no_plan_opened_is_closed_at_the_operators_word_and_at_no_other() -> None:
    spec = desk().when(says((BTC, "-3")), ts=START)
    spec.when(KillSwitch("paper", flatten=True, reason="test"))
    assert spec.of(ReductionApproved) == []
    spec.when(ClosePosition("paper", BTC))
    assert [(r.instrument_id, r.reason) for r in spec.of(ReductionApproved)] == [(BTC, ExitReason.OPERATOR)]
    (handled,) = spec.of(CommandHandled)
    assert handled.detail == f"{BTC}: closing at market, 3 that no plan opened included"
    spec.when(says(), ts=START + 30 * SECOND)
    (handled,) = spec.when(ClosePosition("paper", BTC)).of(CommandHandled)
    assert (handled.code, spec.of(ReductionApproved)) == (RefusalCode.NO_POSITION, [])


def test_either_position_mode_will_do_if_the_gateway_writes_its_orders_in_it() -> None:
    both = replace(says(), position_mode=PositionMode.LONG_SHORT, position_mode_needed=PositionMode.LONG_SHORT)
    assert desk().when(both, ts=START).emitted == []
    left = replace(both, position_mode=PositionMode.NET)
    assert told(desk().when(left, ts=START)) == [("position_mode", "NET", "LONG_SHORT", 0, Repair.OPERATOR)]


def test_two_sides_of_one_instrument_hold_trading_although_they_add_up() -> None:
    spec = desk().when(says((BTC, "3"), (BTC, "-3")), ts=START)
    assert told(spec) == [(f"hedge {BTC}", "3 and -3", "one side", 0, Repair.OPERATOR)]
    assert spec.of(TradingStateChanged)[0].state is TradingState.HALTED
    same = desk().when(says((BTC, "2"), (BTC, "1")), ts=START)
    assert told(same) == [(f"position {BTC}", "3", "0", 0, Repair.OPERATOR)]


def test_an_order_that_is_not_ours_holds_trading() -> None:
    spec = desk().when(says(orders=(f"{FOREIGN}9001", "t0ours")), ts=START)
    assert told(spec) == [("order 9001", "open", "none", 0, Repair.OPERATOR)]
    assert spec.of(TradingStateChanged)[0].state is TradingState.HALTED


@pytest.mark.parametrize(
    ("cash", "repair"),
    [
        ("10000.01", None),
        ("10000.011", Repair.NONE),
        ("9900.99009901", Repair.NONE),  # 99.00990099 off is 1 % of 9900.99009901 and no more
        ("9900.99", Repair.OPERATOR),  # 99.01 off, 1 % of it is 99.0099
    ],
)
def test_cash_that_differs_is_told_and_beyond_one_percent_holds_trading(cash: str, repair: Repair | None) -> None:
    spec = desk().when(says(cash=cash), ts=START)
    assert [difference[-1] for difference in told(spec)] == ([] if repair is None else [repair])
    assert bool(spec.of(TradingStateChanged)) is (repair is Repair.OPERATOR)


def test_dust_of_a_spot_pair_is_no_difference() -> None:
    spec = desk()
    spec.when(btc_spot(), ts=START)
    assert spec.when(says(("BTC-USDT", "0.00001")), ts=START).emitted == []
    assert told(spec.when(says(("BTC-USDT", "0.00001001")), ts=START)) == [
        ("position BTC-USDT", "0.00001001", "0", 0, Repair.OPERATOR)
    ]


def test_another_accounts_snapshot_is_none_of_ours() -> None:
    other = replace(says((BTC, "3")), account_id="somebody")
    assert desk().when(other, ts=START).emitted == []


def found(subject: str, venue: str = "there", repair: Repair = Repair.GATEWAY) -> DifferenceFound:
    """Return what a gateway found, there for a minute."""
    return DifferenceFound("paper", subject, venue, "none", Micros(START - 60 * SECOND), repair)


def test_what_the_gateway_found_and_reports_is_told_with_its_age_and_gone_with_the_next_snapshot() -> None:
    spec = desk().when(found("fill BTC-USDT-SWAP 7"), ts=START)
    assert told(spec) == [("fill BTC-USDT-SWAP 7", "there", "none", 60, Repair.GATEWAY)]
    assert spec.of(TradingStateChanged) == []
    assert spec.when(found("fill BTC-USDT-SWAP 7"), ts=START).emitted == [], "found again before it was repaired"
    spec.when(says(), ts=START + 5 * SECOND)
    begun = START - 60 * SECOND
    assert spec.emitted == [ReconciliationSettled("paper", "fill BTC-USDT-SWAP 7", begun, 65 * SECOND)]


def test_a_line_nothing_explains_stays_for_as_long_as_the_cash_differs() -> None:
    spec = desk().when(found("bill 9", repair=Repair.NONE), ts=START)
    spec.when(says(cash="9999"), ts=START)
    assert (told(spec), spec.of(ReconciliationSettled)) == ([("cash", "9999", "10000", 0, Repair.NONE)], [])
    spec.when(says(), ts=START + SECOND)
    assert {gone.subject for gone in spec.of(ReconciliationSettled)} == {"bill 9", "cash"}


def test_a_flood_of_lines_is_bounded() -> None:
    spec = desk(*(found(f"bill {n}", repair=Repair.NONE) for n in range(OPEN_MAX)))
    assert spec.when(found("bill one more"), ts=START).emitted == []
    assert len(spec.when(found("bill 7", venue="another amount"), ts=START).emitted) == 1


def test_what_was_found_on_another_account_is_none_of_ours() -> None:
    assert desk().when(replace(found("bill 9"), account_id="somebody"), ts=START).emitted == []
