"""Which price a plan is measured against, how old it may be, and what counts as the same plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.envelope import Event, Message
from schemas.events.common import OrderType, PriceSource, Side, TradingState, TriggerPriceType
from schemas.events.control import PauseTrading, ResumeTrading
from schemas.events.market import BookLevel, BookTop, Channel, FeedState, Quote, Trade
from schemas.events.plan import Entry, StopSpec
from schemas.events.risk import CheckResult, DenialCode, PlanApproved
from schemas.values import SECOND, Price, Quantity
from tests.builders import T0, btc_spot, message
from tests.risk_desk import BTC, SPOT, bar, check, desk, failures, feed, limit_entry, mark, plan, verdict
from tests.spec import Spec, as_message

D = Decimal
ONE = Quantity(D(1))
MARKET = Entry(OrderType.MARKET)


def trade(price: str, *, ts: int = T0) -> Message:
    return message(Trade(BTC, "1", Side.BUY, Price(D(price)), ONE), ts=ts)


def quote(bid: str, ask: str, *, ts: int = T0) -> Message:
    return message(Quote(BTC, Price(D(bid)), ONE, Price(D(ask)), ONE), ts=ts)


def stale_after(*past: Event | Message, ts: int, entry: Entry | None = None) -> str | None:
    """Return what INPUT_STALE names for a plan at ``ts``."""
    spec = desk(*past).when(as_message(plan(entry=entry, ts=ts), ts))
    found = check(spec, DenialCode.INPUT_STALE)
    return found.value if found.result is CheckResult.FAIL else None


def test_a_trade_is_stale_after_five_seconds_a_bar_after_three_minutes() -> None:
    assert stale_after(trade("80000"), ts=T0 + 5 * SECOND) is None
    assert stale_after(trade("80000"), ts=T0 + 5 * SECOND + 1) == "last"
    assert stale_after(bar("80000"), ts=T0 + 180 * SECOND) is None
    assert stale_after(bar("80000"), ts=T0 + 180 * SECOND + 1) == "last"


def test_a_declared_cadence_counts_three_times_except_for_trades() -> None:
    slow = feed(Channel.BARS, 300 * SECOND)
    assert stale_after(slow, bar("80000"), ts=T0 + 900 * SECOND) is None
    assert stale_after(slow, bar("80000"), ts=T0 + 900 * SECOND + 1) == "last"
    assert stale_after(feed(Channel.TRADES, 60 * SECOND), trade("80000"), ts=T0 + 6 * SECOND) == "last"


@pytest.mark.parametrize(
    ("entry", "named"), [(MARKET, "quote"), (limit_entry("79990", post_only=True), "quote"), (None, None)]
)
def test_an_old_quote_matters_to_those_who_take_or_must_not(entry: Entry | None, named: str | None) -> None:
    ts = T0 + 6 * SECOND
    assert stale_after(quote("79999.9", "80000.1"), ts=ts, entry=entry) == named


LATER = T0 + 60 * SECOND
QUOTED = (feed(Channel.QUOTES), quote("79999.9", "80000.1"))


def later(*past: Event | Message, entry: Entry = MARKET) -> Spec:
    """Judge a plan a minute after the last quote; trades go on."""
    return desk(*QUOTED, *past, trade("80010", ts=LATER)).when(as_message(plan(entry=entry, ts=LATER), LATER))


def test_silence_on_an_open_quote_channel_denies_though_trades_go_on() -> None:
    spec = later()
    assert (verdict(spec).code, check(spec, DenialCode.INPUT_STALE).value) == (DenialCode.INPUT_STALE, "quote")


@pytest.mark.parametrize("down", [FeedState.LOST, FeedState.ENDED])
def test_with_its_quote_channel_down_a_market_plan_is_measured_against_last(down: FeedState) -> None:
    spec = later(feed(Channel.QUOTES, state=down, ts=T0 + SECOND))
    assert isinstance(verdict(spec), PlanApproved)
    assert verdict(spec).sizing.reference_price == 80010


@pytest.mark.parametrize("down", [FeedState.LOST, FeedState.ENDED])
def test_with_its_quote_channel_down_a_post_only_plan_must_not_cross_last(down: FeedState) -> None:
    gone = feed(Channel.QUOTES, state=down, ts=T0 + SECOND)
    passes = later(gone, entry=limit_entry("80010", post_only=True))
    assert isinstance(verdict(passes), PlanApproved)
    crossing = later(gone, entry=limit_entry("80010.1", post_only=True))
    assert verdict(crossing).code is DenialCode.POST_ONLY_WOULD_TAKE
    assert check(crossing, DenialCode.POST_ONLY_WOULD_TAKE).inputs["touch"] == "LAST"


def test_last_itself_must_be_fresh_where_it_stands_in_for_the_quote() -> None:
    gone = feed(Channel.QUOTES, state=FeedState.ENDED, ts=T0 + SECOND)
    spec = desk(*QUOTED, trade("80010"), gone).when(as_message(plan(entry=MARKET, ts=LATER), LATER))
    assert check(spec, DenialCode.INPUT_STALE).value == "last"


def test_the_first_quote_after_a_resync_counts_again() -> None:
    lost = feed(Channel.QUOTES, state=FeedState.LOST, ts=T0 + SECOND)
    back = feed(Channel.QUOTES, state=FeedState.RESYNCED, ts=LATER)
    spec = later(lost, back, quote("80019.9", "80020.1", ts=LATER))
    assert verdict(spec).sizing.reference_price == D("80020.1")
    silent = later(lost, back, quote("80019.9", "80020.1", ts=LATER - 6 * SECOND))
    assert check(silent, DenialCode.INPUT_STALE).value == "quote"


def book(bid: str | None, ask: str, *, ts: int = T0) -> Message:
    def level(price: str | None) -> tuple[BookLevel, ...]:
        return () if price is None else (BookLevel(Price(D(price)), ONE),)

    return message(BookTop(BTC, level(bid), level(ask)), ts=ts)


def test_a_book_gives_the_touch_like_a_quote() -> None:
    spec = later(book("80019.9", "80020.1", ts=LATER))
    assert verdict(spec).sizing.reference_price == D("80020.1")
    old = later(book("80019.9", "80020.1", ts=T0 + SECOND))
    assert check(old, DenialCode.INPUT_STALE).value == "quote"
    lost = later(book("80019.9", "80020.1", ts=T0 + SECOND), feed(Channel.BOOK, state=FeedState.LOST, ts=T0 + SECOND))
    assert verdict(lost).sizing.reference_price == 80010


def test_a_book_with_an_empty_side_leaves_the_touch_to_grow_old() -> None:
    spec = later(book(None, "80020.1", ts=LATER))
    assert check(spec, DenialCode.INPUT_STALE).value == "quote"


def test_another_channel_that_goes_down_leaves_the_quote() -> None:
    spec = later(feed(Channel.BOOK, state=FeedState.LOST, ts=T0 + SECOND))
    assert check(spec, DenialCode.INPUT_STALE).value == "quote"


def test_an_older_bar_does_not_replace_a_newer_trade() -> None:
    spec = desk(trade("80100", ts=T0 + SECOND), bar("80000", ts=T0))
    assert spec.state.markets[BTC].last_price == 80100


def test_spot_needs_no_mark() -> None:
    spec = desk(instrument=btc_spot(), mark_substitute="false")
    spec.state.markets[SPOT].mark_price = None
    spec.when(plan(instrument_id=SPOT))
    assert isinstance(verdict(spec), PlanApproved)
    assert check(spec, DenialCode.PRICE_OUTSIDE_COLLAR).inputs["mark_source"] == PriceSource.LAST.value


def test_a_stop_that_watches_last_must_lie_beyond_last_too() -> None:
    past = (mark("80000"), trade("79200"))
    watching = StopSpec(Price(D(79200)), TriggerPriceType.LAST)
    spec = desk(*past).when(replace(plan(), stop=watching))
    assert DenialCode.STOP_WRONG_SIDE in failures(spec)
    by_mark = desk(*past).when(plan())
    assert DenialCode.STOP_WRONG_SIDE not in failures(by_mark)


def test_the_collar_looks_at_mark_and_at_last() -> None:
    spec = desk(mark("80000"), trade("82000")).when(plan())
    found = check(spec, DenialCode.PRICE_OUTSIDE_COLLAR)
    assert (found.result, found.value) == (CheckResult.FAIL, "2.439024390244")


def test_a_stop_entry_is_sized_from_its_trigger() -> None:
    entry = Entry(OrderType.STOP, trigger_price=Price(D(80400)))
    spec = desk().when(plan(entry=entry, stop="79596"))
    assert verdict(spec).sizing.reference_price == 80400
    assert verdict(spec).sizing.stop_distance_pct == 1


def test_a_denied_plan_may_be_sent_again_at_once() -> None:
    spec: Spec = desk(PauseTrading("paper", TradingState.REDUCING)).when(plan())
    assert verdict(spec).code is DenialCode.TRADING_REDUCING
    spec.when(ResumeTrading("paper")).when(plan())
    assert isinstance(verdict(spec), PlanApproved)


def test_another_side_or_entry_is_another_plan() -> None:
    spec = desk(plan())
    same = spec.when(plan(plan_id="p2"))
    assert DenialCode.PLAN_DUPLICATE in failures(same)
    assert dict(check(same, DenialCode.PLAN_DUPLICATE).inputs) == {"plan_id": "p1"}, "the plan it repeats"
    other = spec.when(plan(plan_id="p3", entry=limit_entry("79999.9")))
    assert DenialCode.PLAN_DUPLICATE not in failures(other)
    assert dict(check(other, DenialCode.PLAN_DUPLICATE).inputs) == {"plan_id": "none"}
