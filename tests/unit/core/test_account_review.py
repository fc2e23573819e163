"""The record of a trade: excursions, breaches, slippage, shortfall, and what it lacks without a plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.envelope import Event
from schemas.events.account import BreachCause, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose, OrderType, PlanOrigin, PositionSide
from schemas.events.market import BookLevel, BookTop, Channel, FeedOrigin, FeedState, FeedStatus
from schemas.events.orders import OrderAmended
from schemas.values import Money, Price, Quantity
from streams.core.account import STAGE
from streams.core.account.fills import FILLS_REMEMBERED
from tests.account_events import (
    BTC,
    ENTRY_ORDER,
    SPOT,
    STOP_ORDER,
    accepted,
    approved,
    bar,
    buy,
    funding,
    intended,
    mark,
    proposed,
    quote,
    sell,
    snapshot,
    trade,
)
from tests.builders import MINUTE, T0, at, btc_spot, btc_swap, message, settings_changed
from tests.spec import Spec, given


def account(*past: Event) -> Spec:
    return given(STAGE, settings_changed(), btc_swap(), snapshot(), *past)


def closed(spec: Spec) -> TradeClosed:
    (event,) = spec.of(TradeClosed)
    assert isinstance(event, TradeClosed)
    return event


def stop_fill(price: str, **more: object) -> Event:
    return sell("10", price, purpose=OrderPurpose.STOP, reason=ExitReason.STOP, **more)


def excursion(spec: Spec) -> tuple[Decimal, Decimal]:
    seen = closed(spec).excursion_last
    assert seen is not None
    return seen.mae, seen.mfe


# --- excursions


def bars(spec: Spec, *rows: str) -> Spec:
    for index, ohlc in enumerate(rows, start=1):
        spec.when(bar(ohlc, closes=T0 + index * MINUTE), ts=T0 + index * MINUTE)
    return spec


def test_a_resting_entry_counts_its_bar_adverse_only() -> None:
    spec = account(intended(OrderPurpose.ENTRY, "BUY", type=OrderType.LIMIT, limit="79900"))
    bars(spec, "80000/80800/79700/80000").when(buy("10", "79900"), ts=T0 + MINUTE)
    spec.when(bar("80000/80100/79850/80000", closes=T0 + 2 * MINUTE), ts=T0 + 2 * MINUTE)
    spec.when(bar("80000/80050/79990/80000", closes=T0 + 3 * MINUTE), ts=T0 + 3 * MINUTE)
    spec.when(sell("10", "80000"), ts=T0 + 3 * MINUTE)
    assert excursion(spec) == (200, 200)


def test_a_stop_ends_the_adverse_side_at_its_fill() -> None:
    spec = account(intended(OrderPurpose.ENTRY, "BUY"))
    bars(spec, "80000/80300/79700/80200").when(buy("10", "80000"), ts=T0 + MINUTE)
    spec.when(bar("80200/80900/70000/70500", closes=T0 + 2 * MINUTE), ts=T0 + 2 * MINUTE)
    spec.when(stop_fill("79160"), ts=T0 + 2 * MINUTE)
    assert excursion(spec) == (840, 300)


def test_another_exit_counts_its_bar_adverse_in_full() -> None:
    spec = account(intended(OrderPurpose.ENTRY, "BUY"))
    bars(spec, "80000/80300/79700/80200").when(buy("10", "80000"), ts=T0 + MINUTE)
    spec.when(bar("80200/80900/79000/79500", closes=T0 + 2 * MINUTE), ts=T0 + 2 * MINUTE)
    spec.when(sell("10", "80200"), ts=T0 + 2 * MINUTE)
    assert excursion(spec) == (1000, 300)


def test_excursions_of_a_short_are_mirrored() -> None:
    entry = sell("10", "80000", purpose=OrderPurpose.ENTRY)
    spec = account(approved("10", stop="80800", side=PositionSide.SHORT), intended(OrderPurpose.ENTRY, "SELL"))
    bars(spec, "80000/80300/79700/79800").when(entry, ts=T0 + MINUTE)
    spec.when(bar("79800/80500/78000/79000", closes=T0 + 2 * MINUTE), ts=T0 + 2 * MINUTE)
    spec.when(buy("10", "78800", purpose=OrderPurpose.TARGET, reason=ExitReason.TARGET_1), ts=T0 + 2 * MINUTE)
    assert excursion(spec) == (500, 1200)
    assert closed(spec).r_multiple == Decimal("1.40075000")


def test_on_ticks_every_print_counts_from_the_one_that_filled() -> None:
    spec = account(trade("70000"))
    spec.when(trade("79990"), ts=at(1)).when(buy("10", "80000"), ts=at(1))
    for index, price in enumerate(("80400", "79500", "80100")):
        spec.when(trade(price), ts=at(2 + index)).when(mark(str(Decimal(price) + 7)), ts=at(2 + index))
    spec.when(sell("10", "80100"), ts=at(9))
    seen = closed(spec).excursion_mark
    assert excursion(spec) == (500, 400)
    assert seen is not None
    assert (seen.mae, seen.mfe) == (493, 407)
    spec.when(trade("90000"), ts=at(10)).then()


def test_a_second_trade_starts_with_clean_excursions() -> None:
    spec = account(trade("80000"), buy("10", "80000"), trade("70000"), trade("90000"), sell("10", "80000"))
    spec.when(trade("80000"), ts=at(1)).when(buy("10", "80000"), ts=at(2)).when(trade("80050"), ts=at(3))
    assert excursion(spec.when(sell("10", "80050"), ts=at(4))) == (0, 50)


def test_last_and_mark_are_told_apart() -> None:
    spec = account(trade("80000"), buy("10", "80000"), trade("80400"), mark("80300"), trade("79500"), mark("79600"))
    record = closed(spec.when(sell("10", "80000"), ts=at(5)))
    assert record.excursion_last is not None
    assert record.excursion_mark is not None
    assert (record.excursion_last.mae, record.excursion_last.mfe) == (500, 400)
    assert (record.excursion_mark.mae, record.excursion_mark.mfe) == (400, 300)
    assert record.excursion_last.mae_r is None


def test_a_trade_that_never_was_ahead_has_no_efficiency() -> None:
    spec = account(trade("80000"), buy("10", "80000"), trade("79000"))
    assert closed(spec.when(sell("10", "79000"))).exit_efficiency is None


# --- what was lost, and why


def test_a_loss_within_the_verdict_has_no_cause() -> None:
    spec = account(approved("10"), buy("10", "80000"))
    assert closed(spec.when(stop_fill("79650"))).breach is None


def test_a_stop_filled_far_below_an_open_at_its_price_slipped() -> None:
    spec = account(approved("10"), buy("10", "80000"))
    spec.when(bar("79640/79700/79000/79100", closes=T0))
    assert closed(spec.when(stop_fill("79400"))).breach is BreachCause.SLIPPAGE


def test_a_bar_that_opens_past_the_stop_gapped() -> None:
    spec = account(approved("10"), buy("10", "80000"))
    spec.when(bar("79200/79300/79000/79100", closes=T0))
    assert closed(spec.when(stop_fill("79160.4"))).breach is BreachCause.GAP


def test_a_gap_outweighs_the_slippage_after_it() -> None:
    spec = account(approved("10"), buy("10", "80000"))
    spec.when(bar("79400/79500/79200/79300", closes=T0))
    assert closed(spec.when(stop_fill("79300"))).breach is BreachCause.GAP


def test_a_bad_entry_is_slippage() -> None:
    spec = account(approved("10"), buy("10", "80500"))
    assert closed(spec.when(stop_fill("79640"))).breach is BreachCause.SLIPPAGE


def test_a_dearer_fee_is_the_breach() -> None:
    spec = account(approved("10"), buy("10", "80000", fee_rate=Decimal("0.001")))
    assert closed(spec.when(stop_fill("79640", fee_rate=Decimal("0.001")))).breach is BreachCause.FEE


def test_funding_can_be_the_breach() -> None:
    spec = account(approved("10"), buy("10", "80000"), funding("-20"))
    assert closed(spec.when(stop_fill("79640"))).breach is BreachCause.FUNDING


def test_half_an_entry_is_measured_against_half_the_verdict() -> None:
    spec = account(approved("10"), buy("5", "80000"))
    record = closed(spec.when(sell("5", "79600.18", purpose=OrderPurpose.STOP, reason=ExitReason.STOP)))
    assert (record.budget_multiple, record.r_multiple) == (-1, Decimal("-1.33227803"))


def test_slippage_is_what_fills_lost_against_arrival() -> None:
    spec = account(buy("10", "80010", arrival="80000"))
    assert closed(spec.when(sell("10", "80090", arrival="80100"))).slippage == 2


def test_a_trade_without_a_plan_says_what_it_knows() -> None:
    record = closed(account(buy("10", "80000")).when(sell("10", "80100")))
    assert (record.strategy, record.origin, record.first_stop_price) == ("", None, None)
    assert (record.initial_risk, record.r_multiple, record.budget_multiple) == (None, None, None)
    assert (record.shortfall, record.breach, record.net_pnl) == (None, None, Decimal("1.995"))


def test_the_first_stop_stays_the_first() -> None:
    spec = account(approved("10"), buy("10", "80000"))
    spec.when(intended(OrderPurpose.STOP, "SELL", type=OrderType.STOP, trigger="79640"))
    spec.when(OrderAmended(STOP_ORDER, "", "paper", "BTC-USDT-SWAP", Quantity(Decimal(10)), Price(Decimal(80000))))
    record = closed(spec.when(sell("10", "80000", purpose=OrderPurpose.STOP, reason=ExitReason.BREAK_EVEN)))
    assert (record.first_stop_price, record.exit_reason) == (79640, ExitReason.BREAK_EVEN)


def test_a_flip_does_not_lend_its_plan_to_the_other_side() -> None:
    spec = account(approved("10"), buy("10", "80000"), sell("15", "80100"))
    record = closed(spec.when(buy("5", "80000")))
    assert (record.position_side, record.strategy, record.net_pnl > 0) == (PositionSide.SHORT, "", True)


# --- shortfall


def identity(record: TradeClosed, *, intended_base: str, p0: str, x0: str) -> None:
    costs = record.shortfall
    assert costs is not None
    sign = 1 if record.position_side is PositionSide.LONG else -1
    paper = sign * Decimal(intended_base) * (Decimal(x0) - Decimal(p0))
    assert costs.total == paper - record.net_pnl


def test_a_stop_leaves_from_its_trigger() -> None:
    spec = account(quote("79999", "80001"), proposed(), approved("10"), intended(OrderPurpose.ENTRY, "BUY"))
    spec.when(accepted(ENTRY_ORDER)).when(buy("10", "80001"))
    spec.when(intended(OrderPurpose.STOP, "SELL", type=OrderType.STOP, trigger="79640"))
    record = closed(spec.when(stop_fill("79600")))
    assert record.shortfall is not None
    assert (record.shortfall.spread, record.shortfall.impact) == (Decimal("0.1"), 0)
    assert (record.shortfall.exit_spread, record.shortfall.exit_impact) == (0, 4)
    identity(record, intended_base="0.1", p0="80000", x0="79640")


def test_on_bars_the_arrival_is_the_next_open_and_no_spread_is_seen() -> None:
    spec = account(message(bar("1/1/1/80000", closes=T0)).event, proposed(), approved("10"))
    spec.when(intended(OrderPurpose.ENTRY, "BUY")).when(accepted(ENTRY_ORDER))
    spec.when(buy("10", "80060", arrival="80020"))
    record = closed(spec.when(sell("10", "81000", purpose=OrderPurpose.TARGET, reason=ExitReason.TARGET_1)))
    assert record.shortfall is not None
    assert (record.shortfall.delay, record.shortfall.spread, record.shortfall.impact) == (2, 0, 4)
    assert not record.shortfall.spread_observed
    identity(record, intended_base="0.1", p0="80000", x0="81000")


def test_a_models_decision_price_is_what_its_snapshot_showed() -> None:
    spec = account(trade("80100"), proposed(origin=PlanOrigin.MODEL, last="80000"), approved("10"), buy("10", "80100"))
    record = closed(spec.when(sell("10", "80200")))
    assert record.shortfall is not None
    assert record.shortfall.decision == 10


@pytest.mark.parametrize("side", [PositionSide.LONG, PositionSide.SHORT])
def test_shortfall_explains_the_difference_to_the_paper_portfolio(side: PositionSide) -> None:
    enter, leave = (buy, sell) if side is PositionSide.LONG else (sell, buy)
    spec = account(trade("80000"), proposed(), trade("80010"), approved("10", side=side))
    spec.when(enter("7", "80033.3", purpose=OrderPurpose.ENTRY)).when(funding("-0.12345678"))
    spec.when(leave("3", "80111.1", purpose=OrderPurpose.TARGET))
    record = closed(spec.when(leave("4", "79999.9", purpose=OrderPurpose.TARGET, penalty=Money(Decimal(1)))))
    assert record.shortfall is not None
    x0 = (3 * Decimal("80111.1") + 4 * Decimal("79999.9")) / 7
    sign = 1 if side is PositionSide.LONG else -1
    paper = sign * Decimal("0.1") * (x0 - 80000)
    assert abs(record.shortfall.total - (paper - record.net_pnl)) < Decimal("0.00000002")


def test_the_first_fill_of_an_entry_says_when_the_venue_had_it() -> None:
    spec = account(trade("80000"), proposed(), approved("10"))
    spec.when(buy("5", "80020", arrival="80010")).when(buy("5", "80060", arrival="80050"))
    record = closed(spec.when(sell("10", "80100", purpose=OrderPurpose.TARGET)))
    assert record.shortfall is not None
    assert (record.shortfall.delay, record.shortfall.impact) == (1, 3)


def test_a_verdict_whose_proposal_was_not_seen_was_decided_when_it_was_approved() -> None:
    spec = account(trade("80000"), proposed(plan_id="b" * 32), trade("80010"), approved("10"), buy("10", "80010"))
    record = closed(spec.when(sell("10", "80100", purpose=OrderPurpose.TARGET)))
    assert record.shortfall is not None
    assert record.shortfall.decision == 0


def test_shortfall_leaves_dust_out() -> None:
    spec = given(STAGE, settings_changed(), btc_spot(), snapshot(), trade("80000", SPOT))
    spec.when(approved("0.12493753", instrument_id=SPOT, stop="79600"))
    bought = buy("0.12493753", "80010", instrument_id=SPOT, fee_rate=None)
    spec.when(replace(bought, fee=Money(Decimal("9.99625179")), fee_base=Quantity(Decimal("0.00012493753"))))
    leave = sell("0.12481259", "80500", instrument_id=SPOT, fee_rate=None, purpose=OrderPurpose.TARGET)
    record = closed(spec.when(leave))
    assert record.shortfall is not None
    paper = Decimal("0.12493753") * 500
    assert abs(record.shortfall.total - (paper - record.net_pnl)) < Decimal("0.00000005")
    assert record.shortfall.impact == Decimal("1.2481259")


def test_a_book_gives_the_touch_like_a_quote() -> None:
    def level(price: str) -> tuple[BookLevel, ...]:
        return (BookLevel(Price(Decimal(price)), Quantity(Decimal(1))),)

    spec = account(BookTop(BTC, level("79990"), level("80010")), proposed(), approved("10"))
    spec.when(intended(OrderPurpose.ENTRY, "BUY")).when(accepted(ENTRY_ORDER)).when(buy("10", "80010"))
    spec.when(BookTop(BTC, (), level("80010")))
    record = closed(spec.when(sell("10", "80100", purpose=OrderPurpose.TARGET)))
    assert record.shortfall is not None
    assert (record.shortfall.spread, record.shortfall.spread_observed) == (1, True)


def test_a_quote_whose_channel_is_down_gives_no_touch() -> None:
    """The proposal, the approval and the order find last at 80100; the quote of before is gone with its channel."""
    lost = FeedStatus(BTC, Channel.QUOTES, FeedState.LOST, FeedOrigin.RECORDED, "test")
    spec = account(quote("79990", "80010"), lost, trade("80100"), proposed(), approved("10"))
    spec.when(intended(OrderPurpose.ENTRY, "BUY")).when(accepted(ENTRY_ORDER)).when(buy("10", "80100"))
    record = closed(spec.when(sell("10", "80100", purpose=OrderPurpose.TARGET)))
    assert record.shortfall is not None
    assert (record.shortfall.decision, record.shortfall.spread, record.shortfall.spread_observed) == (0, 0, False)


# --- what is kept


def test_plans_and_orders_are_forgotten_with_the_next_verdict() -> None:
    spec = account()
    for number in range(5):
        plan_id = str(number) * 32
        spec.when(approved("10", plan_id=plan_id))
        spec.when(intended(OrderPurpose.ENTRY, "BUY", order=f"entry{number}", plan_id=plan_id))
    desk = spec.state.desks[BTC]
    assert (list(desk.plans), list(desk.orders)) == (["4" * 32], ["entry4"])


def test_the_plan_of_an_open_trade_is_kept() -> None:
    spec = account(approved("10"), buy("10", "80000"), approved("10", plan_id="b" * 32))
    assert closed(spec.when(sell("10", "80100"))).strategy == "trend"


def test_fill_ids_are_kept_within_bounds() -> None:
    spec = account()
    for _ in range(FILLS_REMEMBERED // 2 + 5):
        spec.when(buy("1", "80000")).when(sell("1", "80000"))
    assert len(spec.state.fill_ids) == FILLS_REMEMBERED
