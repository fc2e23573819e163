"""The bars stage: prints and venue bars become closed bars, short before long, each once."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.envelope import Message
from schemas.events.common import Quality, Side
from schemas.events.control import TimerFired
from schemas.events.data import BarClosed, GapClosed, GapOpened, QualityChanged
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, MarkPrice, Trade, VenueBar
from schemas.values import SECOND, Micros, Price, Quantity
from streams.core.bars import STAGE
from tests.builders import at, message
from tests.spec import Spec, given

BTC, ETH = "BTC-USDT-SWAP", "ETH-USDT-SWAP"
"""T0 is 16:00:00, so every timeframe opens at ``at(0)`` itself."""


def trade(price: str, quantity: str, seconds: float, *, instrument_id: str = BTC) -> Message:
    event = Trade(instrument_id, f"{seconds}", Side.BUY, Price(Decimal(price)), Quantity(Decimal(quantity)))
    return message(event, ts=at(seconds))


def venue_bar(
    minute: int, prices: str, volume: str, *, timeframe: str = "1m", length: int = 1, backfill: bool = False
) -> Message:
    """A venue bar that opens ``minute`` minutes after T0; prices as ``open high low close``."""
    open_price, high, low, close = (Price(Decimal(text)) for text in prices.split())
    event = VenueBar(BTC, timeframe, at(60 * minute), open_price, high, low, close, Quantity(Decimal(volume)), backfill)
    return message(event, ts=at(60 * (minute + length)))


def status(channel: Channel, state: FeedState, seconds: float) -> Message:
    return message(FeedStatus(BTC, channel, state, FeedOrigin.RECORDED, "test"), ts=at(seconds))


def watched() -> Message:
    return status(Channel.TRADES, FeedState.OPEN, 0)


def closed(
    minute: int,
    prices: str,
    volume: str,
    *,
    timeframe: str = "1m",
    length: int = 1,
    tick_count: int = 0,
    vwap: str | None = None,
    quality: Quality = Quality.GOOD,
    complete: bool = True,
    backfill: bool = False,
) -> BarClosed:
    open_price, high, low, close = (Price(Decimal(text)) for text in prices.split())
    return BarClosed(
        instrument_id=BTC,
        timeframe=timeframe,
        ts_open=at(60 * minute),
        ts_close=at(60 * (minute + length)),
        open_price=open_price,
        high_price=high,
        low_price=low,
        close_price=close,
        base_volume=Quantity(Decimal(volume)),
        tick_count=tick_count,
        vwap=None if vwap is None else Price(Decimal(vwap)),
        quality=quality,
        complete=complete,
        backfill=backfill,
    )


def names(spec: Spec) -> list[str]:
    """Timeframes of the bars emitted, in order; ``*`` marks one that is not complete."""
    return [bar.timeframe + ("" if bar.complete else "*") for bar in spec.of(BarClosed)]


def test_builds_a_minute_from_prints_and_closes_it_with_the_next_print() -> None:
    prints = (trade("100", "1", 0), trade("110", "2", 20), trade("90", "1", 40), trade("95", "4", 59.999999))
    spec = given(STAGE, watched(), *prints)
    # vwap = (100 + 220 + 90 + 380) / 8
    spec.when(trade("96", "1", 60)).then(closed(0, "100 110 90 95", "8", tick_count=4, vwap="98.75"))


def test_the_clock_closes_a_minute_one_second_late() -> None:
    spec = given(STAGE, watched(), trade("100", "2", 0))
    spec.when(message(TimerFired("paper"), ts=at(60.999999))).then()
    spec.when(message(TimerFired("paper"), ts=at(61))).then(closed(0, "100 100 100 100", "2", tick_count=1, vwap="100"))


def test_another_instruments_tick_is_a_clock_too() -> None:
    spec = given(STAGE, watched(), trade("100", "2", 0))
    spec.when(trade("5", "1", 61, instrument_id=ETH))
    assert names(spec) == ["1m"]
    spec.when(message(MarkPrice(BTC, Price(Decimal(5))), ts=at(130)))
    assert names(spec) == ["1m*"]


def test_a_first_minute_that_was_not_watched_from_its_start_is_incomplete() -> None:
    spec = given(STAGE, trade("100", "2", 10))
    spec.when(trade("100", "2", 60))
    assert names(spec) == ["1m*"]
    spec.when(trade("100", "2", 120))
    assert names(spec) == ["1m"]


def test_a_minute_without_prints_has_no_bar_and_breaks_no_longer_one() -> None:
    expected = (
        closed(3, "101 101 101 101", "1", tick_count=1, vwap="101"),
        closed(0, "100 101 100 101", "2", timeframe="5m", length=5, tick_count=2, vwap="100.5"),
    )
    past = (watched(), trade("100", "1", 0), trade("101", "1", 200))
    given(STAGE, *past).when(trade("102", "1", 300)).then(*expected)
    given(STAGE, *past).when(message(TimerFired("paper"), ts=at(301))).then(*expected)


def test_a_longer_bar_closes_in_the_step_of_its_last_minute_short_before_long() -> None:
    minutes = [venue_bar(minute, f"{minute + 1} {minute + 2} {minute} {minute + 1}", "2") for minute in range(240)]
    spec = given(STAGE, *minutes[:4])
    spec.when(minutes[4]).then(
        closed(4, "5 6 4 5", "2"),
        closed(0, "1 6 0 5", "10", timeframe="5m", length=5),
    )
    spec = given(STAGE, *minutes[:14]).when(minutes[14])
    assert names(spec) == ["1m", "5m", "15m"]
    spec = given(STAGE, *minutes[:239]).when(minutes[239])
    assert names(spec) == ["1m", "5m", "15m", "1h", "4h"]
    assert spec.emitted[-1] == closed(0, "1 241 0 240", "480", timeframe="4h", length=240)


def test_a_longer_bar_without_one_of_its_minutes_is_incomplete() -> None:
    minutes = [venue_bar(minute, "1 1 1 1", "2") for minute in range(5)]
    spec = given(STAGE, *minutes[:2], minutes[3]).when(minutes[4])
    assert names(spec) == ["1m", "5m*"]


def test_a_longer_bar_that_lacks_its_last_minute_closes_before_the_next_one_begins() -> None:
    spec = given(STAGE, *(venue_bar(minute, "1 1 1 1", "2") for minute in range(4)))
    spec.when(venue_bar(5, "2 2 2 2", "2")).then(
        closed(0, "1 1 1 1", "8", timeframe="5m", length=5, complete=False),
        closed(5, "2 2 2 2", "2"),
    )


def test_the_clock_closes_a_longer_bar_one_piece_after_its_end() -> None:
    spec = given(STAGE, *(venue_bar(minute, "1 1 1 1", "2") for minute in range(4)))
    spec.when(message(TimerFired("paper"), ts=at(359))).then()
    spec.when(message(TimerFired("paper"), ts=at(360)))
    assert names(spec) == ["5m*"]


def test_history_is_never_closed_by_the_clock() -> None:
    spec = given(STAGE, message(TimerFired("paper"), ts=at(999999)))
    for minute in range(4):
        old = venue_bar(minute, "1 1 1 1", "2", backfill=True)
        spec.when(Message(old.envelope, old.event, at(999999)))
        assert names(spec) == ["1m"]
    last = venue_bar(4, "1 1 1 1", "2", backfill=True)
    spec.when(Message(last.envelope, last.event, at(999999))).then(
        closed(4, "1 1 1 1", "2", backfill=True),
        closed(0, "1 1 1 1", "10", timeframe="5m", length=5, backfill=True),
    )


def test_a_bar_is_history_only_if_the_piece_that_ends_it_is() -> None:
    past = [venue_bar(minute, "1 1 1 1", "2", backfill=True) for minute in range(4)]
    spec = given(STAGE, *past).when(venue_bar(4, "1 1 1 1", "2"))
    assert [bar.backfill for bar in spec.of(BarClosed)] == [False, False]


def test_any_base_timeframe_is_aggregated_from_there_on() -> None:
    quarters = [venue_bar(15 * n, "1 1 1 1", "2", timeframe="15m", length=15) for n in range(4)]
    spec = given(STAGE, *quarters[:3]).when(quarters[3])
    assert names(spec) == ["15m", "1h"]


def test_the_venues_longer_bar_is_not_emitted_twice() -> None:
    minutes = [venue_bar(minute, "1 1 1 1", "2") for minute in range(5)]
    given(STAGE, *minutes).when(venue_bar(0, "1 1 1 1", "10", timeframe="5m", length=5)).then()


def test_the_venues_longer_bar_replaces_one_that_lacks_a_piece() -> None:
    minutes = [venue_bar(minute, "1 1 1 1", "2") for minute in (0, 1, 3, 4)]
    spec = given(STAGE, *minutes[:3]).when(venue_bar(0, "1 9 1 1", "10", timeframe="5m", length=5))
    spec.then(closed(0, "1 9 1 1", "10", timeframe="5m", length=5))
    spec.when(minutes[3]).then(closed(4, "1 1 1 1", "2"))


def test_the_venues_bars_win_over_prints() -> None:
    spec = given(STAGE, watched(), trade("100", "1", 0), venue_bar(0, "1 1 1 1", "2"), trade("100", "1", 61))
    spec.when(trade("100", "1", 125)).then()
    spec.when(venue_bar(1, "1 1 1 1", "2")).then(closed(1, "1 1 1 1", "2"))


def test_prints_take_over_when_the_venues_bars_are_lost() -> None:
    past = (watched(), status(Channel.BARS, FeedState.OPEN, 0), trade("7", "1", 10), venue_bar(0, "1 1 1 1", "2"))
    spec = given(STAGE, *past, status(Channel.BARS, FeedState.LOST, 70), trade("100", "1", 80), trade("100", "1", 120))
    assert spec.state.books[BTC].closed["1m"] == at(60)
    spec.when(trade("100", "1", 180))
    assert names(spec) == ["1m"]


def test_the_minute_in_which_prints_take_over_is_incomplete() -> None:
    past = (watched(), status(Channel.BARS, FeedState.OPEN, 0), trade("7", "1", 10), venue_bar(0, "1 1 1 1", "2"))
    spec = given(STAGE, *past, status(Channel.BARS, FeedState.LOST, 70), trade("100", "1", 80))
    spec.when(trade("100", "1", 120))
    assert names(spec) == ["1m*"]


def test_a_minute_that_history_brings_is_not_built_from_prints_as_well() -> None:
    spec = given(STAGE, watched(), trade("100", "1", 0)).when(venue_bar(0, "1 1 1 1", "2", backfill=True))
    spec.then(closed(0, "1 1 1 1", "2", backfill=True))
    spec.when(trade("100", "1", 59)).then()
    spec.when(trade("100", "1", 60)).then()
    spec.when(trade("100", "1", 120))
    assert names(spec) == ["1m"]


def test_history_that_lacks_the_last_minute_of_a_longer_bar_closes_it_with_the_next_piece() -> None:
    spec = given(STAGE, *(venue_bar(minute, "1 1 1 1", "2", backfill=True) for minute in range(4)))
    spec.when(venue_bar(5, "1 1 1 1", "2", backfill=True))
    assert names(spec) == ["5m*", "1m"]


def test_overlapping_pieces_are_counted_once() -> None:
    minutes = [venue_bar(minute, "1 1 1 1", "2") for minute in (0, 1, 3)]
    rest = [venue_bar(minute, "1 1 1 1", "2") for minute in range(4, 14)]
    spec = given(STAGE, *minutes, venue_bar(0, "1 9 1 1", "10", timeframe="5m", length=5), *rest)
    spec.when(venue_bar(14, "1 1 1 1", "2"))
    assert names(spec) == ["1m", "5m", "15m*"]
    assert spec.emitted[-1].base_volume == 28  # type: ignore[attr-defined]


def test_history_bars_do_not_silence_prints() -> None:
    past = (venue_bar(0, "1 1 1 1", "2", backfill=True), status(Channel.TRADES, FeedState.OPEN, 60))
    spec = given(STAGE, *past, trade("100", "1", 60)).when(trade("100", "1", 120))
    assert names(spec) == ["1m"]


def test_a_gap_in_the_prints_makes_its_bars_incomplete() -> None:
    past = (watched(), trade("100", "1", 0), message(GapOpened(BTC, Channel.TRADES, at(1), "lost"), ts=at(2)))
    spec = given(STAGE, *past, trade("100", "1", 70), message(GapClosed(BTC, Channel.TRADES, at(1), at(70), None)))
    spec.when(trade("100", "1", 120))
    assert names(spec) == ["1m*"]
    spec.when(trade("100", "1", 180))
    assert names(spec) == ["1m"]
    for minute in (4, 5):
        spec.when(trade("100", "1", 60 * minute))
    assert names(spec) == ["1m", "5m*"]


def test_a_bar_carries_the_worst_quality_of_its_time() -> None:
    bad = message(QualityChanged(BTC, Quality.BAD, Quality.GOOD, ()), ts=at(10))
    good = message(QualityChanged(BTC, Quality.GOOD, Quality.BAD, ()), ts=at(20))
    spec = given(STAGE, watched(), trade("1", "1", 0), bad, good, trade("1", "1", 60)).when(trade("1", "1", 120))
    assert [bar.quality for bar in spec.of(BarClosed)] == [Quality.GOOD]
    for second in (180, 240, 300):
        spec.when(trade("1", "1", second))
    assert [(bar.timeframe, bar.quality) for bar in spec.of(BarClosed)] == [("1m", Quality.GOOD), ("5m", Quality.BAD)]


def test_a_late_print_changes_nothing_that_is_out() -> None:
    spec = given(STAGE, watched(), trade("100", "1", 0), message(TimerFired("paper"), ts=at(61)))
    spec.when(trade("900", "1", 59)).then()
    spec.when(trade("100", "1", 62)).then()
    for minute in range(2, 6):
        spec.when(trade("100", "1", 60 * minute))
    assert names(spec) == ["1m", "5m*"]
    assert spec.emitted[-1].high_price == 100


def test_decide_leaves_the_state_alone() -> None:
    spec = given(STAGE, watched(), *(venue_bar(minute, "1 1 1 1", "2") for minute in range(4)))
    before = repr(spec.state)
    assert len(STAGE.decide(spec.state, venue_bar(4, "1 2 1 1", "2"))) == 2
    assert len(STAGE.decide(spec.state, message(TimerFired("paper"), ts=at(9999)))) == 3
    assert repr(spec.state) == before


def recorded(path: Path, timeframe: str) -> list[VenueBar]:
    """Read a recorded candle file: open time in milliseconds, open, high, low, close, base volume."""
    with gzip.open(path, "rt") as lines:
        rows = list(csv.reader(lines))[1:]
    return [
        VenueBar(
            BTC,
            timeframe,
            Micros(int(row[0]) * 1000),
            *(Price(Decimal(text)) for text in row[1:5]),
            base_volume=Quantity(Decimal(row[5])),
        )
        for row in rows
    ]


def market(bar: BarClosed | VenueBar) -> tuple[Decimal, ...]:
    return bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.base_volume


@pytest.mark.recorded
def test_five_recorded_minutes_make_the_exchanges_own_bar(shared_data: Path) -> None:
    candles = shared_data / "okx" / "candles"
    own = {bar.ts_open: bar for bar in recorded(candles / "BTC-USDT-SWAP_5m_20250318-20250527.csv.gz", "5m")}
    spec, compared = given(STAGE), 0
    for minute in recorded(candles / "BTC-USDT-SWAP_1m_20250318-20250417.csv.gz", "1m"):
        spec.when(minute, ts=minute.ts_open + 60 * SECOND)
        for bar in spec.of(BarClosed):
            if bar.timeframe == "5m" and bar.complete:
                assert market(bar) == market(own[bar.ts_open])
                compared += 1
    assert compared == 8639
