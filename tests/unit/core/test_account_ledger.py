"""The ledger at its edges: spot fees and dust, liquidation, repeats, transfers, impossible fills."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.account import CashFlowed, EquityChanged, FlowKind, FundingPaid, PositionChanged, TradeClosed
from schemas.events.common import ExitReason, MarginMode, PositionSide
from schemas.events.control import CommandHandled, CommandOutcome, TransferCash
from schemas.ids import derive_id
from schemas.values import Money, Quantity
from streams.core.account import STAGE
from streams.core.account.equity import check_books
from streams.core.account.state import LedgerError
from tests.account_events import SPOT, buy, funding, mark, sell, snapshot, trade
from tests.builders import T0, btc_spot, btc_swap, message, settings_changed
from tests.spec import Spec, given


def account(cash: str = "10000") -> Spec:
    return given(STAGE, settings_changed(), btc_swap(), btc_spot(), snapshot(cash))


def last(spec: Spec) -> EquityChanged:
    event = spec.of(EquityChanged)[-1]
    assert isinstance(event, EquityChanged)
    return event


def spot_bought() -> Spec:
    """Golden case G1f's purchase: OKX takes the fee out of the bitcoin."""
    bought = buy("0.12493753", "80000", instrument_id=SPOT, fee_rate=None)
    held_back = Quantity(Decimal("0.00012493753"))
    return account().when(replace(bought, fee=Money(Decimal("9.9950024")), fee_base=held_back))


def test_a_spot_buy_holds_what_its_base_fee_left() -> None:
    spec = spot_bought()
    (changed,) = spec.of(PositionChanged)
    assert changed.quantity == Decimal("0.12481259247")
    assert changed.cost == Decimal("9985.0073976")
    assert last(spec).cash == 10000 - Decimal("9995.0024")
    assert last(spec).equity == 10000 - Decimal("9.9950024")
    assert last(spec).margin == 0


def test_spot_is_valued_at_last() -> None:
    spec = spot_bought().when(mark("90000", SPOT)).then()
    spec.when(trade("81000", SPOT))
    assert last(spec).gross_notional == Decimal("10109.81999007")
    assert last(spec).equity == last(spec).cash + last(spec).gross_notional


def test_dust_closes_the_trade_and_stays_in_the_equity() -> None:
    spec = spot_bought().when(sell("0.12481259", "80000", instrument_id=SPOT, fee_rate=None))
    (flat,) = spec.of(PositionChanged)
    (closed,) = spec.of(TradeClosed)
    assert (flat.quantity, flat.cost) == (0, 0)
    assert closed.net_pnl == Decimal("-9.9950024")
    desk = spec.state.desks[SPOT]
    assert (desk.dust, desk.dust_cost) == (Decimal("0.00000000247"), Decimal("0.0001976"))
    assert last(spec).equity == 10000 - Decimal("9.9950024")
    spec.when(trade("90000", SPOT)).then()


def test_spot_cannot_be_sold_short() -> None:
    with pytest.raises(LedgerError, match="spot sale"):
        account().when(sell("0.1", "80000", instrument_id=SPOT))


def test_more_spot_than_is_held_cannot_be_sold() -> None:
    with pytest.raises(LedgerError, match="more than is held"):
        spot_bought().when(sell("0.2", "80000", instrument_id=SPOT))


def test_a_fill_of_nothing_stops_the_books() -> None:
    with pytest.raises(LedgerError, match="not positive"):
        account().when(buy("0", "80000"))


def test_an_isolated_liquidation_loses_exactly_the_margin_and_the_entry_fee() -> None:
    spec = account("100000").when(buy("500", "80000", leverage=10))
    assert last(spec).margin == 40000
    penalty = Decimal(40000) - 5 * (80000 - Decimal("72325.4")) - Decimal("180.8135")
    forced = sell("500", "72325.4", reason=ExitReason.LIQUIDATION, penalty=Money(penalty))
    (closed,) = spec.when(forced).of(TradeClosed)
    assert closed.liquidation_penalty == penalty
    assert closed.net_pnl == -40000 - 200
    assert closed.exit_reason is ExitReason.LIQUIDATION
    assert (last(spec).cash, last(spec).margin) == (59800, 0)


def test_the_margin_is_released_with_the_part_that_closes() -> None:
    spec = account().when(buy("10", "80000", leverage=10)).when(sell("4", "80000"))
    assert spec.of(PositionChanged)[0].margin == 480


def test_cross_positions_bind_no_margin_of_their_own() -> None:
    spec = account().when(buy("10", "80000", margin_mode=MarginMode.CROSS))
    assert last(spec).margin == 0


def test_the_same_fill_counts_once() -> None:
    once = buy("10", "80000")
    account().when(once).when(once).then()


def test_a_trade_is_named_after_its_first_fill() -> None:
    entry = buy("10", "80000")
    (closed,) = account().when(entry).when(sell("10", "80000")).of(TradeClosed)
    assert closed.trade_id == derive_id(entry.fill_id, "trade")
    assert closed.position_side is PositionSide.LONG


def test_the_same_settlement_counts_once() -> None:
    spec = account().when(buy("10", "80000")).when(funding("-1", ts=T0))
    assert len(spec.of(FundingPaid)) == 1
    spec.when(funding("-1", ts=T0)).then()


def test_funding_without_a_position_is_still_money() -> None:
    spec = account().when(funding("-1", ts=T0))
    assert (spec.of(FundingPaid)[0].trade_id, last(spec).equity) == ("", 9999)


def test_fills_before_the_first_snapshot_are_booked_and_told_with_it() -> None:
    spec = given(STAGE, settings_changed(), btc_swap()).when(buy("10", "80000"))
    assert spec.of(EquityChanged) == []
    spec.when(snapshot("9996"))
    assert spec.of(CashFlowed)[0].amount == 10000
    assert last(spec).equity == 9996


def test_books_that_do_not_balance_stop_the_account() -> None:
    spec = account().when(buy("10", "80000"))
    spec.state.cash += Decimal("0.00000001")
    with pytest.raises(LedgerError, match="explained"):
        check_books(spec.state)


# --- transfers


def transfer(amount: str) -> TransferCash:
    return TransferCash("paper", Money(Decimal(amount)))


def test_a_withdrawal_is_no_loss() -> None:
    spec = account().when(buy("100", "10000", fee_rate=None)).when(mark("9000")).when(transfer("-4500"))
    assert (last(spec).equity, last(spec).peak_equity, last(spec).drawdown_pct) == (4500, 5000, 10)
    assert (last(spec).day_start_equity, last(spec).daily_loss_pct, last(spec).flow) == (5000, 10, -4500)
    assert spec.of(CashFlowed)[0].kind is FlowKind.WITHDRAWAL


@pytest.mark.parametrize(
    ("amount", "code"), [("-10000", "CASH_INSUFFICIENT"), ("-9200", "CASH_INSUFFICIENT"), ("0", "AMOUNT_ZERO")]
)
def test_a_transfer_the_cash_does_not_cover_is_refused(amount: str, code: str) -> None:
    spec = account().when(buy("10", "80000", fee_rate=None)).when(message(transfer(amount), event_id="f" * 32))
    (handled,) = spec.emitted
    assert isinstance(handled, CommandHandled)
    assert (handled.command_id, handled.outcome, handled.code) == ("f" * 32, CommandOutcome.REFUSED, code)


def test_a_transfer_is_answered_with_the_cash_after_it_and_a_refused_one_with_what_there_is() -> None:
    (done,) = account().when(transfer("150.5")).of(CommandHandled)
    assert (done.outcome, done.detail) == (CommandOutcome.DONE, "amount=150.5, cash=10150.5")
    (refused,) = account().when(transfer("-10000")).of(CommandHandled)
    assert (refused.outcome, refused.detail) == (CommandOutcome.REFUSED, "amount=-10000, cash=10000")


def test_a_transfer_before_the_books_are_open_is_refused() -> None:
    spec = given(STAGE, settings_changed()).when(transfer("100"))
    assert [event.code for event in spec.of(CommandHandled)] == ["NOT_RECONCILED"]


def test_a_transfer_for_another_account_is_refused() -> None:
    spec = account().when(replace(transfer("100"), account_id="someone"))
    assert [(event.code, event.account_id) for event in spec.of(CommandHandled)] == [("UNKNOWN_ACCOUNT", "someone")]
    assert len(spec.emitted) == 1
