"""The quality stage: which ticks are set aside, and how far an instrument is trusted."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.envelope import Event, Message
from schemas.events.common import Quality, Side
from schemas.events.control import TimerFired
from schemas.events.data import (
    GapClosed,
    GapOpened,
    QualityChanged,
    QualityReason,
    QuarantineReason,
    TickQuarantined,
)
from schemas.events.market import (
    BookLevel,
    BookTop,
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    FundingSettled,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.values import SECOND, Price, Quantity, Rate
from streams.core.quality import STAGE
from streams.core.quality.state import TRADE_IDS_KEPT
from tests.builders import MINUTE, T0, at, btc_swap, eth_swap, message
from tests.spec import Spec, given

BTC, ETH = "BTC-USDT-SWAP", "ETH-USDT-SWAP"


def trade(number: int, price: str, seconds: float, *, instrument_id: str = BTC) -> Message:
    """One print at ``seconds`` after T0."""
    event = Trade(instrument_id, str(number), Side.BUY, Price(Decimal(price)), Quantity(Decimal("0.5")))
    return message(event, ts=at(seconds), event_id=f"trade-{instrument_id}-{number}-{seconds}")


def quote(bid: str, ask: str, seconds: float) -> Message:
    """Best bid and ask."""
    one = Quantity(Decimal(1))
    return message(Quote(BTC, Price(Decimal(bid)), one, Price(Decimal(ask)), one), ts=at(seconds), event_id="quote")


def mark(price: str, seconds: float) -> Message:
    """A mark price."""
    return message(MarkPrice(BTC, Price(Decimal(price))), ts=at(seconds), event_id="mark")


def bar(minute: int, close: str, *, high: str | None = None, low: str | None = None, backfill: bool = False) -> Message:
    """The one-minute bar that opens ``minute`` minutes after T0; flat unless told otherwise."""
    price = Price(Decimal(close))
    top, bottom = Price(Decimal(high or close)), Price(Decimal(low or close))
    event = VenueBar(BTC, "1m", at(60 * minute), price, top, bottom, price, Quantity(Decimal(3)), backfill)
    return message(event, ts=at(60 * (minute + 1)), event_id=f"bar-{minute}")


def status(channel: Channel, state: FeedState, seconds: float, *, cadence_us: int | None = None) -> Message:
    """The feed's word on a channel."""
    return message(FeedStatus(BTC, channel, state, FeedOrigin.RECORDED, "test", cadence_us, "cut"), ts=at(seconds))


def quarantined(reason: QuarantineReason, channel: Channel, cause: str, detail: str) -> TickQuarantined:
    return TickQuarantined(BTC, channel, reason, cause, detail)


def changed(quality: Quality, previous: Quality, *reasons: QualityReason) -> QualityChanged:
    return QualityChanged(BTC, quality, previous, reasons)


def reason_of(spec: Spec) -> QuarantineReason:
    """The reason of the only tick set aside."""
    (only,) = spec.of(TickQuarantined)
    reason: QuarantineReason = only.reason
    return reason


def timer(seconds: float) -> Message:
    return message(TimerFired("paper"), ts=at(seconds))


def test_becomes_good_with_the_first_accepted_price() -> None:
    given(STAGE, btc_swap()).when(trade(1, "80000", 0)).then(changed(Quality.GOOD, Quality.BAD))


def test_says_nothing_about_an_ordinary_tick() -> None:
    past = (btc_swap(), trade(1, "80000", 0), quote("79999", "80001", 0.1), mark("80000", 0.2))
    for tick in (trade(2, "80000.1", 0.5), quote("80000", "80001", 0.5), mark("80001", 0.5)):
        given(STAGE, *past).when(tick).then()


def test_sets_aside_a_tick_before_its_instrument_is_defined() -> None:
    detail = "BTC-USDT-SWAP: no InstrumentDefined came before it"
    given(STAGE, eth_swap()).when(trade(1, "80000", 0)).then(
        quarantined(QuarantineReason.UNKNOWN_INSTRUMENT, Channel.TRADES, "trade-BTC-USDT-SWAP-1-0", detail)
    )


def test_sets_aside_the_same_trade_id_once_more() -> None:
    given(STAGE, btc_swap(), trade(7, "80000", 0)).when(trade(7, "80000", 1)).then(
        quarantined(QuarantineReason.DUPLICATE, Channel.TRADES, "trade-BTC-USDT-SWAP-7-1", "trade_id=7")
    )


def test_remembers_trade_ids_across_a_generation_and_forgets_in_bounded_memory() -> None:
    prints = [trade(number, "80000", number / 1000) for number in range(2 * TRADE_IDS_KEPT + 5)]
    spec = given(STAGE, btc_swap(), *prints)
    slot = spec.state.slots[BTC]
    assert len(slot.trade_ids) + len(slot.trade_ids_before) == TRADE_IDS_KEPT + 5
    assert reason_of(spec.when(trade(TRADE_IDS_KEPT + 6, "80000", 1.1))) is QuarantineReason.DUPLICATE


def test_sets_aside_a_trade_older_than_the_newest() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 2)).when(trade(2, "80000", 1.5))
    detail = f"ts_event={at(1.5)}, newest={at(2)}"
    spec.then(quarantined(QuarantineReason.OUT_OF_ORDER, Channel.TRADES, "trade-BTC-USDT-SWAP-2-1.5", detail))


def test_judges_order_per_channel_and_instrument() -> None:
    past = (btc_swap(), eth_swap(), trade(1, "80000", 2), trade(1, "2000", 1.9, instrument_id=ETH))
    given(STAGE, *past).when(quote("79999", "80001", 1.5)).then()


@pytest.mark.parametrize(
    "tick",
    [
        trade(2, "0", 1),
        trade(2, "-1", 1),
        quote("80001", "80000.9", 1),
        quote("0", "80000", 1),
        mark("0", 1),
        bar(1, "80000", high="79999"),
        bar(1, "80000", low="80001"),
        message(
            BookTop(
                BTC,
                (BookLevel(Price(Decimal(3)), Quantity(Decimal(1))),),
                (BookLevel(Price(Decimal(2)), Quantity(Decimal(1))),),
            ),
            ts=at(1),
        ),
    ],
)
def test_sets_aside_an_impossible_price(tick: Message) -> None:
    assert reason_of(given(STAGE, btc_swap(), trade(1, "80000", 0)).when(tick)) is QuarantineReason.INVALID


@pytest.mark.parametrize(
    ("timeframe", "ts_open", "ts_event"),
    [("7m", at(0), at(420)), ("1m", at(1), at(61)), ("1m", at(0), at(59.999999))],
)
def test_sets_aside_a_bar_off_the_grid_or_not_closed(timeframe: str, ts_open: int, ts_event: int) -> None:
    price, volume = Price(Decimal(80000)), Quantity(Decimal(1))
    odd = VenueBar(BTC, timeframe, ts_open, price, price, price, price, volume)  # type: ignore[arg-type]
    assert reason_of(given(STAGE, btc_swap()).when(odd, ts=ts_event)) is QuarantineReason.INVALID


def test_a_crossed_quote_degrades_until_a_sound_one() -> None:
    past = (btc_swap(), trade(1, "80000", 0), quote("79999", "80001", 0))
    spec = given(STAGE, *past).when(quote("80002", "80001", 1))
    detail = "bid_price=80002, ask_price=80001"
    spec.then(
        quarantined(QuarantineReason.INVALID, Channel.QUOTES, "quote", detail),
        changed(Quality.DEGRADED, Quality.GOOD, QualityReason.CROSSED_BOOK),
    )
    spec.when(quote("80000", "80001", 2)).then(changed(Quality.GOOD, Quality.DEGRADED))


def test_a_quote_without_a_price_is_not_a_crossed_one() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0)).when(quote("0", "80001", 1))
    assert len(spec.emitted) == 1


def test_sets_aside_a_print_far_from_last_and_degrades_for_a_minute() -> None:
    past = (btc_swap(), trade(1, "80000", 0), quote("79999", "80001", 0))
    spec = given(STAGE, *past).when(trade(2, "84000.1", 1))
    detail = "price=84000.1, last_and_mark=80000, limit=0.05"
    spec.then(
        quarantined(QuarantineReason.OUTLIER, Channel.TRADES, "trade-BTC-USDT-SWAP-2-1", detail),
        changed(Quality.DEGRADED, Quality.GOOD, QualityReason.OUTLIER),
    )
    for second in range(2, 61):
        spec.when(trade(100 + second, "80000", second)).then()
    spec.when(trade(200, "80000", 61)).then(changed(Quality.GOOD, Quality.DEGRADED))


def test_accepts_a_print_exactly_at_the_limit() -> None:
    given(STAGE, btc_swap(), trade(1, "80000", 0)).when(trade(2, "84000", 1)).then()
    given(STAGE, btc_swap(), trade(1, "80000", 0)).when(trade(2, "76000", 1)).then()


def test_accepts_a_jump_that_a_fresh_mark_shares_but_not_a_stale_one() -> None:
    past = (btc_swap(), trade(1, "80000", 0), mark("90000", 0.5))
    given(STAGE, *past).when(trade(2, "90000", 1)).then()
    old_mark = (btc_swap(), mark("90000", 0), *(trade(n, "80000", n * 4) for n in range(1, 17)))
    assert reason_of(given(STAGE, *old_mark).when(trade(99, "90000", 64.1))) is QuarantineReason.OUTLIER


def test_believes_the_third_consistent_print_of_a_real_fast_move() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0))
    assert reason_of(spec.when(trade(2, "72000", 1))) is QuarantineReason.OUTLIER
    assert reason_of(spec.when(trade(3, "71900", 1.1))) is QuarantineReason.OUTLIER
    spec.when(trade(4, "71950", 1.2)).then()
    spec.when(trade(5, "71940", 1.3)).then()


def test_scattered_outliers_never_confirm_each_other() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0))
    for number, price in enumerate(("72000", "90000", "72000", "90000", "60000"), start=2):
        assert reason_of(spec.when(trade(number, price, number / 10))) is QuarantineReason.OUTLIER


def test_a_print_between_two_outliers_starts_the_count_again() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), trade(2, "72000", 1), trade(3, "72000", 1))
    spec.when(trade(4, "80000", 1.1))
    assert reason_of(spec.when(trade(5, "72000", 1.2))) is QuarantineReason.OUTLIER


def test_believes_the_second_bar_of_a_real_fast_move_and_shows_the_hole() -> None:
    spec = given(STAGE, btc_swap(), bar(0, "80000"))
    assert reason_of(spec.when(bar(1, "70000"))) is QuarantineReason.OUTLIER
    spec.when(bar(2, "70500"))
    assert spec.of(TickQuarantined) == []
    assert spec.of(GapClosed) == [GapClosed(BTC, Channel.BARS, at(60), at(120), 1)]


def test_does_not_compare_a_price_with_one_from_before_a_long_silence() -> None:
    given(STAGE, btc_swap(), trade(1, "80000", 0)).when(trade(2, "90000", 61)).then()


def test_sets_aside_a_bar_and_a_settlement_seen_before() -> None:
    settled = FundingSettled(BTC, Rate(Decimal("0.0001")), T0)
    spec = given(STAGE, btc_swap(), bar(0, "80000"), bar(1, "80000"), message(settled, ts=at(120)))
    assert reason_of(spec.when(bar(1, "80000"))) is QuarantineReason.DUPLICATE
    assert reason_of(spec.when(bar(0, "80000"))) is QuarantineReason.OUT_OF_ORDER
    assert reason_of(spec.when(settled, ts=at(130))) is QuarantineReason.DUPLICATE


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
    spec.when(bar(4, "80000")).then(
        GapClosed(BTC, Channel.BARS, at(60), at(240), 3),
        changed(Quality.DEGRADED, Quality.BAD, QualityReason.GAP),
    )


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
    absent = given(STAGE, btc_swap(), opened, trade(1, "80000", 0), trade(2, "80000", 4))
    absent.when(trade(3, "80000", 8)).then()
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
    assert MINUTE == 60 * SECOND
