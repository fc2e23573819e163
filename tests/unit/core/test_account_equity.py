"""Equity: what it is valued at, when it is told, its peak and its day."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.account import EquityChanged, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose, OrderType, PriceSource, Quality
from schemas.events.control import TimerFired
from schemas.events.data import QualityChanged
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus
from schemas.values import SECOND
from streams.core.account import STAGE
from tests.account_events import (
    BTC,
    MAKER,
    approved,
    bar,
    buy,
    filled,
    intended,
    mark,
    quote,
    sell,
    snapshot,
    trade,
)
from tests.builders import MINUTE, T0, at, btc_swap, message, settings_changed
from tests.spec import Spec, given

MIDNIGHT = T0 + 8 * 60 * MINUTE
FREE = None


def marks_every(seconds: int) -> FeedStatus:
    return FeedStatus(BTC, Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", seconds * SECOND)


def account(*past: object) -> Spec:
    return given(STAGE, settings_changed(), btc_swap(), snapshot(), *past)  # type: ignore[arg-type]


def equity(spec: Spec) -> EquityChanged:
    (event,) = spec.of(EquityChanged)
    assert isinstance(event, EquityChanged)
    return event


def test_the_first_snapshot_opens_the_books_and_a_later_one_does_nothing() -> None:
    spec = given(STAGE, settings_changed(initial_cash=5000)).when(snapshot("5000"))
    opened = equity(spec)
    assert (opened.equity, opened.cash, opened.peak_equity, opened.day_start_equity) == (5000, 5000, 5000, 5000)
    assert (opened.flow, opened.drawdown_pct, opened.daily_loss_pct) == (5000, 0, 0)
    spec.when(snapshot("4000")).then()


def test_a_flat_account_says_nothing_on_ticks() -> None:
    spec = account()
    for event in (trade("80000"), mark("80000"), quote("79999", "80001"), bar("1/2/1/2", closes=T0)):
        spec.when(event).then()


def test_a_fresh_mark_counts_and_trades_do_not() -> None:
    spec = account(trade("80000"), mark("80000"), buy("10", "80000", fee_rate=FREE))
    spec.when(trade("81000")).then()
    assert equity(spec.when(mark("80500"))).unrealized_pnl == 50


def test_the_same_equity_is_not_told_twice() -> None:
    spec = account(mark("80000"), buy("10", "80000", fee_rate=FREE))
    spec.when(mark("80000")).then()


def test_last_stands_in_for_a_mark_that_never_came() -> None:
    spec = account(trade("80000"), buy("10", "80000", fee_rate=FREE))
    told = equity(spec.when(trade("80100")))
    assert (told.unrealized_pnl, told.mark_source) == (10, PriceSource.LAST)


@pytest.mark.parametrize(("seconds", "source"), [(180, PriceSource.MARK), (181, PriceSource.LAST)])
def test_a_mark_is_stale_after_three_of_its_cadences(seconds: int, source: PriceSource) -> None:
    spec = account(marks_every(60), mark("80000"), trade("80000"), buy("10", "80000", fee_rate=FREE))
    spec.when(trade("80100"), ts=at(seconds))
    assert [event.mark_source for event in spec.of(EquityChanged)] == ([source] if source is PriceSource.LAST else [])


def test_a_mark_coarser_than_the_bars_does_not_hide_their_closes() -> None:
    spec = account(marks_every(3600), message(mark("80000"), ts=T0), message(bar("1/1/1/80000", closes=T0), ts=T0))
    spec.when(buy("10", "80000", fee_rate=FREE))
    told = equity(spec.when(bar("80000/80200/79900/80100", closes=T0 + MINUTE), ts=T0 + MINUTE))
    assert (told.unrealized_pnl, told.mark_source) == (10, PriceSource.LAST)
    told = equity(spec.when(mark("80150"), ts=T0 + MINUTE))
    assert (told.unrealized_pnl, told.mark_source) == (15, PriceSource.MARK)


def test_history_sets_last_and_nothing_else() -> None:
    spec = account().when(bar("80000/80200/79900/80100", closes=T0, backfill=True))
    spec.when(buy("10", "80000", fee_rate=FREE))
    assert equity(spec).unrealized_pnl == 10
    spec.when(bar("1/1/1/80200", closes=T0, backfill=True)).then()


def test_only_the_smallest_bar_of_an_instrument_counts() -> None:
    spec = account(bar("1/1/1/80000", closes=T0), buy("10", "80000", fee_rate=FREE))
    spec.when(bar("80000/81000/79000/80500", closes=T0, timeframe="15m")).then()
    assert equity(spec.when(bar("80000/81000/79000/80500", closes=T0 + MINUTE), ts=T0 + MINUTE)).unrealized_pnl == 50


def test_a_bar_counts_once_trades_stay_away() -> None:
    spec = account(trade("80000"), buy("10", "80000", fee_rate=FREE))
    spec.when(bar("80000/80000/79000/79000", closes=T0)).then()
    later = T0 + 5 * MINUTE
    assert equity(spec.when(bar("80000/80000/79000/79000", closes=later), ts=later)).unrealized_pnl == -100


def test_a_larger_bar_counts_where_no_smaller_one_told_its_period() -> None:
    spec = account(bar("80000/80000/80000/80000", closes=T0), buy("10", "80000", fee_rate=FREE))
    later = T0 + 16 * MINUTE
    spec.when(bar("80000/81000/79000/80500", closes=later, timeframe="15m"), ts=later)
    assert equity(spec).unrealized_pnl == 50


def test_without_any_price_a_position_is_worth_its_cost() -> None:
    told = equity(account().when(buy("10", "80000", fee_rate=FREE)))
    assert (told.equity, told.gross_notional, told.mark_source) == (10000, 8000, PriceSource.LAST)


# --- marks that are not GOOD


def degraded(quality: Quality, previous: Quality) -> QualityChanged:
    return QualityChanged(BTC, quality, previous, ())


def held() -> Spec:
    spec = account(marks_every(60), mark("80000"), buy("10", "80000", fee_rate=FREE))
    return spec.when(degraded(Quality.DEGRADED, Quality.GOOD)).when(mark("79000"), ts=at(10)).then()


def test_a_mark_that_is_not_good_is_held_back_for_a_minute_and_then_counts() -> None:
    spec = held()
    spec.when(mark("78000"), ts=at(69)).then()
    assert equity(spec.when(mark("77000"), ts=at(70))).unrealized_pnl == -300


def test_a_mark_held_back_counts_when_its_minute_is_over_even_if_no_other_comes() -> None:
    spec = held()
    assert equity(spec.when(buy("1", "80000", fee_rate=FREE), ts=at(70))).unrealized_pnl == -110


def test_a_mark_held_back_counts_as_soon_as_the_data_is_good_again() -> None:
    assert equity(held().when(degraded(Quality.GOOD, Quality.DEGRADED), ts=at(20))).unrealized_pnl == -100


def test_every_spell_of_bad_data_has_its_own_minute() -> None:
    spec = held().when(degraded(Quality.GOOD, Quality.DEGRADED), ts=at(20))
    spec.when(degraded(Quality.BAD, Quality.GOOD), ts=at(80)).when(mark("78000"), ts=at(85)).then()


# --- bars whose fills are still on their way


def on_bars(*targets: str) -> Spec:
    """Long 10 at 80000 since a minute, stop 79200, with these targets; valued at last."""
    opened = T0 - MINUTE
    past = [
        message(approved("10", stop="79200", targets=targets), ts=opened),
        message(bar("80000/80000/80000/80000", closes=opened), ts=opened),
        message(buy("10", "80000", fee_rate=FREE), ts=opened),
        message(intended(OrderPurpose.STOP, "SELL", type=OrderType.STOP, trigger="79200"), ts=opened),
    ]
    for index, limit in enumerate(targets):
        order = intended(OrderPurpose.TARGET, "SELL", type=OrderType.LIMIT, limit=limit, order=f"target{index}")
        past.append(message(order, ts=opened))
    return given(STAGE, settings_changed(), btc_swap(), message(snapshot(), ts=opened), *past)


def test_a_bar_through_the_stop_never_counts_as_a_loss_the_stop_has_cut() -> None:
    spec = on_bars().when(bar("80000/80100/70000/70500", closes=T0)).then()
    spec.when(sell("10", "79160", fee_rate=FREE, purpose=OrderPurpose.STOP, reason=ExitReason.STOP))
    assert (equity(spec).equity, equity(spec).drawdown_pct) == (9916, Decimal("0.84"))


def test_a_bar_that_touches_the_stop_exactly_waits_for_its_fill() -> None:
    on_bars().when(bar("80000/80100/79200/79900", closes=T0)).then()
    assert equity(on_bars().when(bar("80000/80100/79200.1/79900", closes=T0))).unrealized_pnl == -10


def test_equity_waits_one_bar_for_a_fill_and_no_longer() -> None:
    spec = on_bars().when(bar("80000/80100/70000/70500", closes=T0)).then()
    told = equity(spec.when(bar("70500/70600/70000/70400", closes=T0 + MINUTE), ts=T0 + MINUTE))
    assert told.unrealized_pnl == -960


def test_a_target_that_filled_in_part_does_not_wait_for_itself() -> None:
    spec = on_bars("81000").when(bar("80000/85000/79900/84000", closes=T0)).then()
    spec.when(sell("4", "81000", fee_rate=FREE, purpose=OrderPurpose.TARGET, order="target0"))
    assert equity(spec).equity == 10000 + 40 + 6 * 40


def test_a_bar_through_the_target_never_lifts_the_peak_past_the_fill() -> None:
    spec = on_bars("81000").when(bar("80000/85000/79900/84000", closes=T0)).then()
    spec.when(filled("target0"))
    spec.when(sell("10", "81000", fee_rate=MAKER, purpose=OrderPurpose.TARGET, order="target0"))
    assert equity(spec).peak_equity == 10000 + 100 - Decimal("1.62")


def test_equity_waits_for_every_target_of_the_bar() -> None:
    spec = on_bars("81000", "82000", "90000").when(bar("80000/85000/79900/84000", closes=T0)).then()
    spec.when(sell("4", "81000", fee_rate=FREE, purpose=OrderPurpose.TARGET, order="target0"))
    assert spec.of(EquityChanged) == []
    spec.when(filled("target0")).when(filled("target1"))
    spec.when(sell("4", "82000", fee_rate=FREE, purpose=OrderPurpose.TARGET, order="target1"))
    assert equity(spec).equity == 10000 + 40 + 80 + 2 * 40


def test_a_touch_of_the_target_is_no_fill_and_the_close_counts() -> None:
    assert equity(on_bars("81000").when(bar("80000/81000/79900/80900", closes=T0))).unrealized_pnl == 90


def test_an_exit_decided_in_a_bar_meets_only_the_next_one() -> None:
    spec = on_bars()
    spec.when(intended(OrderPurpose.EXIT, "SELL"), ts=T0)
    assert equity(spec.when(bar("80000/80100/79900/80050", closes=T0))).unrealized_pnl == 5
    spec.when(bar("80000/80100/79900/90000", closes=T0 + MINUTE), ts=T0 + MINUTE).then()


def test_entered_and_stopped_in_one_bar_never_shows_the_close() -> None:
    spec = account(approved("10", stop="79000", targets=("80700",)), intended(OrderPurpose.ENTRY, "BUY"))
    spec.when(bar("80000/80900/78950/80500", closes=T0))
    spec.when(buy("10", "79800", fee_rate=FREE))
    assert spec.of(EquityChanged) == []
    spec.when(sell("10", "78960.5", fee_rate=FREE, purpose=OrderPurpose.STOP, reason=ExitReason.STOP))
    assert equity(spec).peak_equity == 10000
    assert equity(spec).equity == 10000 - Decimal("83.95")


def test_a_target_in_the_bar_of_a_resting_entry_does_not_count() -> None:
    limit = intended(OrderPurpose.ENTRY, "BUY", type=OrderType.LIMIT, limit="79800")
    spec = account(approved("10", stop="79000", targets=("80700",)), limit)
    spec.when(bar("80000/80900/79700/80500", closes=T0)).when(buy("10", "79800", fee_rate=FREE))
    assert equity(spec).unrealized_pnl == 70


def test_a_target_in_the_bar_of_a_market_entry_does_and_the_rest_is_valued_at_the_close() -> None:
    plan = approved("10", stop="79000", targets=("80700", "90000"))
    spec = account(plan, intended(OrderPurpose.ENTRY, "BUY"))
    spec.when(bar("80000/80900/79700/80500", closes=T0)).when(buy("10", "80000", fee_rate=FREE))
    assert spec.of(EquityChanged) == []
    spec.when(intended(OrderPurpose.TARGET, "SELL", type=OrderType.LIMIT, limit="80700", order="target0"))
    spec.when(sell("5", "80700", fee_rate=FREE, purpose=OrderPurpose.TARGET, order="target0"))
    assert equity(spec).equity == 10000 + 35 + 25


def test_an_entry_that_survives_its_bar_is_valued_at_the_close() -> None:
    spec = account(approved("10", stop="79000"), intended(OrderPurpose.ENTRY, "BUY"))
    spec.when(bar("80000/80900/79950/80500", closes=T0)).when(buy("10", "80000", fee_rate=FREE))
    assert equity(spec).unrealized_pnl == 50


# --- days


def test_a_new_day_starts_with_the_equity_it_found() -> None:
    spec = account(mark("80000"), message(buy("10", "80000", fee_rate=FREE)), message(mark("79000"), ts=MIDNIGHT - 1))
    assert equity(spec.when(TimerFired("paper"), ts=MIDNIGHT)).day_start_equity == 9900
    told = equity(spec.when(mark("78000"), ts=MIDNIGHT + 1))
    assert told.daily_loss_pct == Decimal(100) / 99 - Decimal(100) / 99 % Decimal("1e-12")
    assert told.drawdown_pct == 2


def test_a_flat_account_tells_its_equity_once_a_day() -> None:
    spec = account()
    assert equity(spec.when(trade("80000"), ts=MIDNIGHT)).equity == 10000
    spec.when(trade("80000"), ts=MIDNIGHT + 1).then()


def test_the_day_changes_once_even_if_the_bar_waits_for_its_exit() -> None:
    spec = on_bars()
    low = bar("80000/80100/70000/70500", closes=MIDNIGHT)
    assert equity(spec.when(low, ts=MIDNIGHT)).equity == 10000
    spec.when(sell("10", "79160", fee_rate=FREE, purpose=OrderPurpose.STOP, reason=ExitReason.STOP), ts=MIDNIGHT)
    assert (equity(spec).day_start_equity, equity(spec).daily_loss_pct) == (10000, Decimal("0.84"))
    assert len(spec.of(TradeClosed)) == 1
