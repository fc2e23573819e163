"""The quality stage: which ticks are set aside, and why."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.envelope import Message
from schemas.events import EVENT_TYPES
from schemas.events.common import Quality
from schemas.events.data import (
    GapClosed,
    QualityReason,
    QuarantineReason,
    TickQuarantined,
)
from schemas.events.market import (
    BookLevel,
    BookTop,
    Channel,
    FundingSettled,
    Tick,
    VenueBar,
)
from schemas.values import Price, Quantity, Rate
from streams.core.quality import STAGE
from streams.core.quality.checks import CHANNELS, JUDGES
from streams.core.quality.folding import ACCEPT
from streams.core.quality.state import TRADE_IDS_KEPT
from tests.builders import T0, at, btc_swap, eth_swap, message
from tests.quality_ticks import BTC, ETH, bar, changed, mark, quarantined, quote, reason_of, trade
from tests.spec import given


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


def test_another_outlier_starts_the_count_again() -> None:
    spec = given(STAGE, btc_swap(), trade(1, "80000", 0), trade(2, "90000", 1), trade(3, "72000", 1.1))
    assert reason_of(spec.when(trade(4, "72000", 1.2))) is QuarantineReason.OUTLIER
    spec.when(trade(5, "72000", 1.3)).then()


def test_compares_a_mark_with_the_last_mark_and_the_last_trade() -> None:
    past = (btc_swap(), trade(1, "100000", 0), mark("80000", 0))
    given(STAGE, *past).when(mark("100000", 1)).then()
    assert reason_of(given(STAGE, *past).when(mark("130000", 1))) is QuarantineReason.OUTLIER


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
    assert (
        reason_of(given(STAGE, btc_swap(), trade(1, "80000", 0)).when(trade(2, "90000", 60)))
        is QuarantineReason.OUTLIER
    )


def test_sets_aside_a_bar_and_a_settlement_seen_before() -> None:
    settled = FundingSettled(BTC, Rate(Decimal("0.0001")), T0)
    spec = given(STAGE, btc_swap(), bar(0, "80000"), bar(1, "80000"), message(settled, ts=at(120)))
    assert reason_of(spec.when(bar(1, "80000"))) is QuarantineReason.DUPLICATE
    assert reason_of(spec.when(bar(0, "80000"))) is QuarantineReason.OUT_OF_ORDER
    assert reason_of(spec.when(settled, ts=at(130))) is QuarantineReason.DUPLICATE


def test_judges_every_kind_of_tick_there_is() -> None:
    kinds = {kind for kind in EVENT_TYPES.values() if issubclass(kind, Tick)}
    assert kinds == set(JUDGES) == set(CHANNELS) == set(ACCEPT)
    assert kinds < set(STAGE.takes)
