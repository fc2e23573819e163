"""The quality stage: how far an instrument is trusted, and when it recovers."""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import Quality
from schemas.events.data import (
    GapClosed,
    GapOpened,
    QualityChanged,
    QualityReason,
)
from schemas.events.market import (
    Channel,
    FeedState,
    FundingSettled,
    VenueBar,
)
from schemas.values import SECOND, Price, Quantity, Rate
from streams.core.quality import STAGE
from tests.builders import T0, at, btc_swap, eth_swap, message
from tests.quality_ticks import BTC, ETH, bar, changed, mark, quote, status, timer, trade
from tests.spec import given


def test_reports_missing_bars_and_recovers_three_bars_later() -> None:
    spec = given(STAGE, btc_swap(), bar(0, "80000"), bar(1, "80000")).when(bar(3, "80010"))
    spec.then(
        GapOpened(BTC, Channel.BARS, at(120), "1 bars of 1m missing"),
        GapClosed(BTC, Channel.BARS, at(120), at(180), 1),
        changed(Quality.DEGRADED, Quality.GOOD, QualityReason.GAP),
    )
    spec.when(bar(4, "80010")).then()
    spec.when(bar(5, "80010")).then()
    spec.when(bar(6, "80010")).then(changed(Quality.GOOD, Quality.DEGRADED))


def test_a_silent_bar_feed_is_bad_only_after_three_cadences() -> None:
    spec = given(STAGE, btc_swap(), bar(0, "80000"))
    spec.when(timer(60 + 180)).then()
    spec.when(timer(60 + 181)).then(
        GapOpened(BTC, Channel.BARS, at(60), "no bar for 181 s"),
        changed(Quality.BAD, Quality.GOOD, QualityReason.GAP, QualityReason.STALE),
    )
    spec.when(timer(300)).then()
    spec.when(bar(4, "80000")).then(
        GapClosed(BTC, Channel.BARS, at(60), at(240), 3),
        changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP),
    )


def test_the_shortest_bars_set_the_cadence() -> None:
    price, volume = Price(Decimal(80000)), Quantity(Decimal(1))
    longer = VenueBar(BTC, "5m", T0, price, price, price, price, volume)
    spec = given(STAGE, btc_swap(), *(bar(minute, "80000") for minute in range(5)), message(longer, ts=at(300)))
    spec.when(timer(481))
    assert spec.of(QualityChanged) == [changed(Quality.BAD, Quality.GOOD, QualityReason.GAP, QualityReason.STALE)]


def test_staleness_follows_the_cadence_that_the_feed_declares() -> None:
    slow = status(Channel.TRADES, FeedState.OPEN, 0, cadence_us=20 * SECOND)
    spec = given(STAGE, btc_swap(), slow, trade(1, "80000", 0))
    spec.when(timer(60)).then()
    spec.when(timer(61)).then(changed(Quality.BAD, Quality.GOOD, QualityReason.STALE))
    spec.when(trade(2, "80000", 62)).then(changed(Quality.GOOD, Quality.BAD))


def test_trades_without_a_declared_cadence_are_stale_after_five_seconds() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0))
    spec.when(timer(5)).then()
    spec.when(timer(6)).then(changed(Quality.BAD, Quality.GOOD, QualityReason.STALE))


def test_another_price_channel_keeps_a_stale_one_from_being_bad() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), quote("79999", "80001", 0))
    spec.when(quote("79999", "80001", 6)).then(changed(Quality.DEGRADED, Quality.GOOD, QualityReason.STALE))


def test_one_instruments_clock_shows_the_others_silence() -> None:
    spec = given(STAGE, btc_swap(), eth_swap(), trade(1, "80000", 0), trade(1, "2000", 0, instrument_id=ETH))
    spec.when(trade(2, "2000", 6, instrument_id=ETH)).then(
        changed(Quality.BAD, Quality.GOOD, QualityReason.STALE),
    )


def test_a_lost_channel_is_bad_until_data_flows_again() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0)).when(status(Channel.TRADES, FeedState.LOST, 1))
    spec.then(
        GapOpened(BTC, Channel.TRADES, at(0), "cut"),
        changed(Quality.BAD, Quality.GOOD, QualityReason.GAP, QualityReason.FEED_LOST),
    )
    spec.when(status(Channel.TRADES, FeedState.LOST, 2)).then()
    spec.when(status(Channel.TRADES, FeedState.RESYNCED, 3)).then(changed(Quality.BAD, Quality.BAD, QualityReason.GAP))
    spec.when(trade(9, "80000", 4)).then(
        GapClosed(BTC, Channel.TRADES, at(0), at(4), None),
        changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP),
    )


def test_data_on_a_lost_channel_speaks_for_itself() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), status(Channel.TRADES, FeedState.LOST, 1))
    spec.when(trade(2, "80000", 2)).then(
        GapClosed(BTC, Channel.TRADES, at(0), at(2), None),
        changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP),
    )


def test_an_outlier_still_shows_that_the_channel_is_alive() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), trade(2, "99999", 4))
    spec.when(timer(8)).then()
    spec.when(timer(10)).then(
        changed(Quality.BAD, Quality.DEGRADED, QualityReason.STALE, QualityReason.OUTLIER),
    )


def test_compares_the_clock_with_silent_instruments_once_per_second() -> None:
    past = (trade(1, "80000", 0), trade(1, "2000", 0, instrument_id=ETH), trade(2, "2000", 5, instrument_id=ETH))
    spec = given(STAGE, btc_swap(), eth_swap(), *past)
    spec.when(trade(3, "2000", 5.999, instrument_id=ETH)).then()
    spec.when(trade(4, "2000", 6, instrument_id=ETH)).then(changed(Quality.BAD, Quality.GOOD, QualityReason.STALE))


def test_the_end_of_the_only_feed_is_bad_and_never_stale() -> None:
    spec = given(STAGE, btc_swap(), bar(0, "80000")).when(status(Channel.BARS, FeedState.ENDED, 60))
    spec.then(changed(Quality.BAD, Quality.GOOD, QualityReason.FEED_LOST))
    spec.when(timer(9999)).then()


def test_a_silent_mark_degrades_but_one_that_never_came_does_not() -> None:
    opened = status(Channel.MARK, FeedState.OPEN, 0, cadence_us=SECOND)
    absent = given(STAGE, btc_swap(), opened, trade(1, "80000", 0))
    absent.when(trade(2, "80000", 4)).then()
    silent = given(STAGE, btc_swap(), opened, trade(1, "80000", 0), mark("80000", 0), trade(2, "80000", 3))
    silent.when(trade(3, "80000", 4)).then(changed(Quality.DEGRADED, Quality.GOOD, QualityReason.STALE))


def test_a_silent_funding_feed_says_nothing_about_prices() -> None:
    opened = status(Channel.FUNDING, FeedState.OPEN, 0, cadence_us=SECOND)
    settled = message(FundingSettled(BTC, Rate(Decimal("0.0001")), T0), ts=T0)
    spec = given(STAGE, btc_swap(), opened, settled, trade(1, "80000", 0), trade(2, "80000", 4))
    spec.when(trade(3, "80000", 8)).then()


def test_loading_history_into_an_open_channel_is_no_gap() -> None:
    now = at(86_400)
    spec = given(STAGE, btc_swap(), status(Channel.BARS, FeedState.OPEN, 86_400))
    for minute in range(3):
        old = bar(minute, "80000", backfill=True)
        spec.when(Message(old.envelope, old.event, now))
        assert spec.of(GapOpened) == []


def test_history_does_not_promise_more_bars() -> None:
    spec = given(STAGE, btc_swap(), bar(0, "80000", backfill=True), trade(1, "80000", 61))
    for second in range(62, 400, 4):
        spec.when(trade(second, "80000", second)).then()


def test_decide_leaves_the_state_alone() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), bar(0, "80000"))
    before = repr(spec.state)
    ticks: tuple[Event | Message, ...] = (
        trade(2, "99999", 61),
        bar(3, "80000"),
        quote("2", "1", 61),
        status(Channel.TRADES, FeedState.LOST, 61),
        timer(999),
    )
    for tick in ticks:
        assert isinstance(tick, Message)
        assert STAGE.decide(spec.state, tick)
        assert repr(spec.state) == before


def test_bars_loaded_after_a_cut_fill_the_gap_and_the_feeds_word_closes_it() -> None:
    open_channel = status(Channel.BARS, FeedState.OPEN, 0, cadence_us=60 * SECOND)
    spec = given(STAGE, btc_swap(), open_channel, bar(0, "80000"), bar(1, "80000"))
    spec.when(status(Channel.BARS, FeedState.LOST, 130)).then(
        GapOpened(BTC, Channel.BARS, at(120), "cut"),
        changed(Quality.BAD, Quality.GOOD, QualityReason.GAP, QualityReason.FEED_LOST),
    )
    for minute in range(2, 9):
        spec.when(bar(minute, "80000", backfill=True)).then()
    spec.when(status(Channel.BARS, FeedState.RESYNCED, 545)).then(
        GapClosed(BTC, Channel.BARS, at(120), at(545), 0),  # the newest bar closed at 540
        changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP),
    )


def test_bars_that_the_venue_does_not_have_either_are_counted_when_the_channel_is_back() -> None:
    open_channel = status(Channel.BARS, FeedState.OPEN, 0, cadence_us=60 * SECOND)
    spec = given(STAGE, btc_swap(), open_channel, bar(0, "80000"), status(Channel.BARS, FeedState.LOST, 70))
    spec.when(bar(1, "80000", backfill=True))
    spec.when(status(Channel.BARS, FeedState.RESYNCED, 365))
    assert spec.of(GapClosed) == [GapClosed(BTC, Channel.BARS, at(60), at(365), 4)]  # those closing at 180 .. 360


def test_late_bars_of_a_silent_channel_do_not_close_its_gap_but_the_next_live_one_does() -> None:
    open_channel = status(Channel.BARS, FeedState.OPEN, 0, cadence_us=60 * SECOND)
    spec = given(STAGE, btc_swap(), open_channel, bar(0, "80000"))
    spec.when(timer(60 + 240))
    assert spec.of(GapOpened) == [GapOpened(BTC, Channel.BARS, at(60), "no bar for 240 s")]
    for minute in (1, 2, 3):
        spec.when(bar(minute, "80000", backfill=True))
        assert spec.of(GapClosed) == spec.of(GapOpened) == []
    spec.when(bar(4, "80000")).then(
        GapClosed(BTC, Channel.BARS, at(60), at(240), 0), changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP)
    )
