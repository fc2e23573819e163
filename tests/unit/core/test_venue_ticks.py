"""The paper venue on trades, quotes and marks."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, Liquidity, PositionSide, Side, TriggerPriceType
from schemas.events.market import BookLevel, BookTop, Channel, FeedOrigin, FeedState, FeedStatus
from schemas.events.orders import FillBooked, OrderCanceled, OrderExpired, OrderRejected, VenueFill
from schemas.values import SECOND, Price, Quantity
from tests.builders import MINUTE, T0
from tests.rig import Rig, approved, limit


def last(rig: Rig) -> VenueFill:
    return rig.of(VenueFill)[-1]


def held_long(stop: str = "79000", **plan: object) -> Rig:
    rig = Rig()
    rig.feed(approved(stop=stop, **plan))  # type: ignore[arg-type]
    rig.trade("80000")
    return rig


def test_a_market_order_takes_the_next_print_worsened_where_no_book_exists() -> None:
    rig = Rig()
    rig.trade("79999")
    rig.feed(approved())
    assert rig.of(VenueFill) == []
    rig.trade("80000")
    assert (last(rig).last_price, last(rig).arrival_price) == (Decimal(80040), Decimal(80000))


def test_a_market_order_takes_the_opposite_touch_where_a_quote_is_fresh() -> None:
    rig = Rig()
    rig.feed(approved())
    rig.quote("79999.9", "80000.1")
    assert (last(rig).last_price, last(rig).arrival_price) == (Decimal("80000.1"), Decimal(80000))


def test_a_stale_quote_is_no_touch() -> None:
    rig = Rig()
    rig.quote("79999.9", "80000.1")
    rig.feed(approved())
    rig.trade("80000", after_us=6 * SECOND)
    assert last(rig).last_price == Decimal(80040)


def test_an_order_meets_no_tick_before_its_latency_is_over() -> None:
    rig = Rig(latency_us=50_000)
    rig.feed(approved())
    rig.trade("80000", after_us=49_999)
    assert rig.of(VenueFill) == []
    rig.trade("80010", after_us=1)
    assert last(rig).arrival_price == Decimal(80010)


def test_a_market_entry_past_its_stop_is_canceled() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000"))
    rig.trade("78900")
    assert [event.reason for event in rig.of(OrderCanceled)] == ["ENTRY_PAST_STOP"]


def test_a_limit_fills_on_a_print_strictly_through_it_and_not_at_it() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800")))
    rig.trade("80000")
    rig.trade("79800")
    assert rig.of(VenueFill) == []
    rig.trade("79799.9")
    assert (last(rig).last_price, last(rig).liquidity) == (Decimal(79800), Liquidity.MAKER)


def test_a_limit_at_the_touch_waits_for_the_queue_ahead() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), quantity="50"))
    rig.quote("79800", "79800.1", size="2")
    rig.trade("79800", "1.5", side=Side.SELL)
    rig.trade("79800", "5", side=Side.BUY)
    assert rig.of(VenueFill) == []
    rig.trade("79800", "0.7", side=Side.SELL)
    assert (last(rig).last_quantity, last(rig).liquidity) == (Decimal(20), Liquidity.MAKER)
    rig.trade("79800", "0.1", side=Side.SELL)
    assert last(rig).last_quantity == Decimal(10)


def test_what_the_book_shows_bounds_the_queue_ahead() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), quantity="50"))
    rig.quote("79800", "79800.1", size="2")
    rig.quote("79800", "79800.1", size="0.5")
    rig.trade("79800", "0.6", side=Side.SELL)
    assert last(rig).last_quantity == Decimal(10)


def test_a_quote_through_a_resting_limit_fills_it_at_its_price() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800")))
    rig.quote("79900", "79900.1")
    rig.quote("79700", "79700.1")
    assert (last(rig).last_price, last(rig).liquidity) == (Decimal(79800), Liquidity.MAKER)


def test_a_new_limit_across_the_touch_takes_it_and_post_only_is_rejected() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800")))
    rig.quote("79700", "79700.1")
    assert (last(rig).last_price, last(rig).liquidity) == (Decimal("79700.1"), Liquidity.TAKER)
    other = Rig()
    other.feed(approved(entry=limit("79800", post_only=True)))
    other.quote("79799.9", "79800")
    assert [event.reason for event in other.of(OrderRejected)] == ["POST_ONLY_WOULD_TAKE"]


def test_a_book_top_is_a_quote() -> None:
    rig = Rig()
    rig.feed(approved())
    size = Quantity(Decimal(3))
    bids, asks = (BookLevel(Price(Decimal(80000)), size),), (BookLevel(Price(Decimal("80000.1")), size),)
    rig.feed(BookTop("BTC-USDT-SWAP", bids, ()), ts=rig.ts + 1)
    assert rig.of(VenueFill) == []
    rig.feed(BookTop("BTC-USDT-SWAP", bids, asks), ts=rig.ts + 1)
    assert last(rig).last_price == Decimal("80000.1")


def test_a_stop_on_last_fires_on_a_touch_and_fills_on_the_next_print_worsened() -> None:
    rig = held_long(stop_on=TriggerPriceType.LAST)
    rig.trade("79000")
    assert rig.held() == 10
    rig.trade("78990")
    assert last(rig).last_price == Decimal("78950.5")
    assert last(rig).trigger_source is TriggerPriceType.LAST
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.STOP


def test_a_stop_on_mark_ignores_the_last_price() -> None:
    rig = Rig()
    rig.mark("80000", ts=rig.ts)
    rig.feed(approved(stop="79000"))
    rig.trade("80000")
    rig.trade("78000")
    rig.trade("78000")
    assert rig.held() == 10
    rig.mark("79000", ts=rig.ts + 1)
    assert rig.held() == 10
    rig.trade("79010")
    assert rig.held() == 0
    assert last(rig).trigger_source is TriggerPriceType.MARK


def test_last_stands_in_when_the_mark_is_stale() -> None:
    rig = Rig()
    rig.feed(FeedStatus("BTC-USDT-SWAP", Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=SECOND))
    rig.mark("80000", ts=rig.ts)
    rig.feed(approved(stop="79000"))
    rig.trade("80000", after_us=4 * SECOND)
    rig.trade("78990")
    rig.trade("78990")
    assert last(rig).trigger_source is TriggerPriceType.LAST
    assert rig.held() == 0


def test_a_stop_on_index_watches_the_index_alone() -> None:
    rig = Rig()
    rig.index("80000", ts=rig.ts)
    rig.mark("80000", ts=rig.ts)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.trade("80000")
    rig.trade("78000")
    rig.mark("78000", ts=rig.ts + 1)
    rig.trade("78000")
    assert rig.held() == 10
    rig.index("79000.1", ts=rig.ts + 1)
    rig.trade("79010")
    assert rig.held() == 10
    rig.index("79000", ts=rig.ts + 1)
    rig.trade("79010")
    assert rig.held() == 0
    assert last(rig).trigger_source is TriggerPriceType.INDEX


def test_an_index_under_the_instruments_own_id_counts_too() -> None:
    rig = Rig()
    rig.index("80000", ts=rig.ts, index_id="BTC-USDT-SWAP")
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.trade("80000")
    rig.index("79000", ts=rig.ts + 1, index_id="BTC-USDT-SWAP")
    rig.trade("79010")
    assert last(rig).trigger_source is TriggerPriceType.INDEX


def test_an_index_of_another_pair_fires_nothing() -> None:
    rig = Rig()
    rig.index("80000", ts=rig.ts)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.trade("80000")
    rig.index("1900", ts=rig.ts + 1, index_id="ETH-USDT")
    rig.trade("80000")
    assert rig.held() == 10


@pytest.mark.parametrize("substitute", ["true", "false"])
def test_last_stands_in_where_no_index_ever_came(substitute: str) -> None:
    rig = Rig(mark_substitute=substitute)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.trade("80000")
    rig.trade("78990")
    assert rig.held() == 10
    rig.trade("78990")
    assert (rig.held(), last(rig).trigger_source) == (0, TriggerPriceType.LAST)


def test_last_stands_in_for_an_index_older_than_three_cadences_and_not_before() -> None:
    rig = Rig()
    rig.feed(FeedStatus("BTC-USDT", Channel.INDEX, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=SECOND))
    rig.index("80000", ts=rig.ts)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.INDEX))
    rig.trade("80000", after_us=SECOND)
    rig.trade("78990", after_us=2 * SECOND)
    rig.trade("78990", after_us=0)
    assert rig.held() == 10
    rig.trade("78990", after_us=1)
    rig.trade("78990")
    assert (rig.held(), last(rig).trigger_source) == (0, TriggerPriceType.LAST)


def test_a_fired_stop_takes_the_opposite_touch_once_its_latency_is_over() -> None:
    rig = Rig(latency_us=10_000)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.LAST))
    rig.trade("80000", after_us=10_000)
    rig.trade("79000", after_us=10_000)
    rig.quote("78950", "78950.1", after_us=5_000)
    assert rig.held() == 10
    rig.quote("78940", "78940.1", after_us=5_000)
    assert last(rig).last_price == Decimal(78940)


def test_stop_before_target_on_one_print() -> None:
    rig = held_long(stop="79000", stop_on=TriggerPriceType.LAST, targets=[("80500", "1")])
    rig.trade("79000")
    rig.trade("80600")
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.STOP
    assert rig.held() == 0


def test_a_short_mirrors_it() -> None:
    rig = Rig()
    rig.feed(approved(side=PositionSide.SHORT, stop="81000", stop_on=TriggerPriceType.LAST))
    rig.trade("80000")
    assert last(rig).last_price == Decimal(79960)
    rig.trade("81000")
    rig.trade("81100")
    assert last(rig).last_price == Decimal("81140.6")


def test_bars_of_a_period_that_ticks_told_fill_nothing() -> None:
    rig = Rig()
    opens = rig.ts
    rig.feed(approved(entry=limit("79800")))
    rig.trade("80000")
    rig.bar("80000/80100/79000/80000", ts_open=opens)
    assert rig.of(VenueFill) == []
    rig.bar("80000/80100/79790/80000")
    assert last(rig).liquidity is Liquidity.MAKER


def test_a_trailing_stop_follows_prints_at_most_once_a_second() -> None:
    rig = held_long(stop="79000", stop_on=TriggerPriceType.LAST, trail_distance_pct="1")
    start = len(rig.events)
    for step in range(30):
        rig.trade(str(80000 + step * 10), after_us=100_000)
    amends = [event for event in rig.events[start:] if type(event).__name__ == "VenueAmended"]
    assert len(amends) == 3
    assert amends[-1].trigger_price > amends[0].trigger_price  # type: ignore[attr-defined]


def test_an_order_expires_on_any_tick_and_on_a_timer() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000", valid_until=T0 + MINUTE))
    rig.mark("80000", ts=T0 + MINUTE - 1)
    assert rig.of(OrderExpired) == []
    rig.mark("80000", ts=T0 + MINUTE)
    assert len(rig.of(OrderExpired)) == 1


def test_a_market_entry_no_tick_answers_in_time_expires_though_bars_were_seen() -> None:
    rig = Rig()
    rig.bar("80000/80100/79900/80000")
    rig.trade("80000")
    rig.feed(approved(valid_until=rig.ts + SECOND))
    rig.trade("80000", after_us=30 * SECOND)
    assert (rig.of(VenueFill), len(rig.of(OrderExpired))) == ([], 1)


def test_a_stop_that_fired_fills_on_a_bar_if_no_tick_follows() -> None:
    rig = held_long(stop_on=TriggerPriceType.MARK)
    rig.mark("79000", ts=rig.ts + 1000)
    assert rig.held() == 10
    rig.bar("79900/80010/79800/79910", ts_open=rig.ts + 5 * MINUTE)
    assert (rig.held(), last(rig).last_price) == (0, Decimal("78960.5"))
