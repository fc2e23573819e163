"""The market gateway against the fake OKX, over real HTTP and WebSockets through ccxt: what reaches the log."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from schemas.events.market import (
    NO_MAXIMUM,
    BookTop,
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    FundingRate,
    IndexPrice,
    InstrumentDefined,
    InstrumentState,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from tests.fakes.okx import Frame
from tests.okx_gateway import BTC, ETH, MINUTE_MS, QUICK, Stand, drive

OPEN, LOST, RESYNCED, ENDED = FeedState.OPEN, FeedState.LOST, FeedState.RESYNCED, FeedState.ENDED


def test_a_fresh_log_gets_instruments_and_history_first_then_every_channel() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(60)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            await stand.until_said(Channel.BOOK, OPEN)
            stand.okx.venue.print_trade(BTC, "50002.5", "3", "buy")
            await stand.until(lambda: bool(stand.of(Trade)))
            stand.pass_minutes(1)
            await stand.until(lambda: len(stand.of(VenueBar)) == 61)
        kinds = [type(event) for _, event in stand.ticks()]
        assert kinds[:61] == [InstrumentDefined, *[VenueBar] * 60]
        assert {Quote, BookTop, MarkPrice, IndexPrice, FundingRate, Trade} <= set(kinds)
        (defined,) = stand.of(InstrumentDefined)
        assert (defined.contract_value, defined.tick_size, len(defined.tiers)) == (Decimal("0.01"), Decimal("0.1"), 8)
        assert [bar.backfill for bar in stand.of(VenueBar)] == [True] * 60 + [False]
        assert stand.of(Trade)[0].base_quantity == Decimal("0.03")
        opened = [e for e in stand.of(FeedStatus) if e.state is OPEN]
        assert {e.channel: e.cadence_us for e in opened}[Channel.BARS] == 60_000_000
        assert {e.origin for e in opened} == {FeedOrigin.LIVE}
        assert {e.detail for e in stand.of(FeedStatus) if e.state is LOST} == {"the gateway was stopped"}

    drive(scenario)


def test_times_are_the_venues_and_ours_apart() -> None:
    async def scenario(stand: Stand) -> None:
        stand.okx.clock.advance(hours=5)
        async with stand.gateway():
            await stand.until_said(Channel.TRADES, OPEN)
            stand.okx.venue.print_trade(BTC, "50002.5", "3", "buy")
            await stand.until(lambda: bool(stand.of(Trade)))
        ahead = [
            (envelope.ts_event - envelope.ts_ingest) / 3.6e9 for envelope, e in stand.ticks() if isinstance(e, Trade)
        ]
        assert 4.9 < ahead[0] < 5.1
        statuses = [envelope for envelope, e in stand.ticks() if isinstance(e, FeedStatus)]
        assert all(4.9 < (envelope.ts_event - envelope.ts_ingest) / 3.6e9 < 5.1 for envelope in statuses)

    drive(scenario)


def test_a_cut_is_told_with_its_length_and_the_bars_of_the_time_are_backfilled_once() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(10)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            await stand.until_said(Channel.TRADES, OPEN)
            stand.okx.hub.drop()
            stand.pass_minutes(5)
            for channel in (Channel.BARS, Channel.TRADES, Channel.BOOK, Channel.FUNDING):
                await stand.until_said(channel, OPEN, LOST, RESYNCED)
            stand.pass_minutes(1)
            await stand.until(lambda: len(stand.of(VenueBar)) == 16)
            assert stand.bar_minutes() == list(range(-16, 0))
            assert [bar.backfill for bar in stand.of(VenueBar)] == [True] * 15 + [False]
        back = [e for e in stand.of(FeedStatus) if e.state is RESYNCED]
        assert all(e.lost_us is not None and e.lost_us > 0 for e in back)
        assert stand.counters.disconnects >= 2
        assert stand.counters.backfilled_bars == 15

    drive(scenario)


def test_a_bar_that_leaves_a_hole_waits_until_the_hole_is_filled() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(10)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.faults.plan("candle1m", Frame.LOSE, times=3)
            stand.pass_minutes(4)
            await stand.until(lambda: len(stand.of(VenueBar)) == 14)
            assert stand.bar_minutes() == list(range(-14, 0))
            assert [bar.backfill for bar in stand.of(VenueBar)][10:] == [True] * 3 + [False]

    drive(scenario)


def test_a_bar_that_is_not_pushed_is_asked_for_once_it_is_late() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(10)
        async with stand.gateway(refresh_s=0.3, patience=replace(QUICK, bar=0.5)):
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.faults.plan("candle1m", Frame.LOSE, times=1)
            stand.pass_minutes(1)  # its frame is lost, and no other follows
            await stand.until(lambda: stand.bar_minutes() == list(range(-11, 0)))
            assert stand.counters.disconnects == 0

    drive(scenario, channels="bars")


def test_a_book_with_a_gap_is_lost_first_and_subscribed_again_once() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until(lambda: bool(stand.of(BookTop)))
            market = stand.okx.venue.market(BTC)
            market.update_book(bids=[("49999.9", "7")], silent=True)
            for size in ("8", "9", "10"):
                market.update_book(bids=[("49999.9", size)])
            await stand.until_said(Channel.BOOK, OPEN, LOST, RESYNCED)
            await stand.until(lambda: stand.of(BookTop)[-1].bids[0].base_quantity == Decimal("0.1"))
            assert stand.counters.gaps == stand.counters.resyncs == 1
            assert stand.counters.disconnects == 0
        lost = next(e for e in stand.of(FeedStatus) if e.state is LOST)
        assert lost.detail == "sequence gap: prevSeqId 1000001 after seqId 1000000"

    drive(scenario, channels="book,bars")


def test_a_quiet_book_and_a_reset_of_its_sequence_are_no_gap() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until(lambda: bool(stand.of(BookTop)))
            market = stand.okx.venue.market(BTC)
            market.keep_alive()
            market.reset_sequence()
            market.update_book(asks=[("50000.1", "5")])
            await stand.until(lambda: len(stand.of(BookTop)) == 2)
            assert stand.of(BookTop)[1].seq_id == 4
            assert stand.said(Channel.BOOK) == [OPEN]

    drive(scenario, channels="book,bars")


def test_an_announced_end_of_the_connection_is_followed_by_a_new_one() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until_said(Channel.MARK, OPEN)
            stand.okx.hub.notice()
            await stand.until_said(Channel.MARK, OPEN, LOST, RESYNCED)
            lost = next(e for e in stand.of(FeedStatus) if e.state is LOST)
            assert "64008" in lost.detail

    drive(scenario, channels="mark,bars")


def test_a_connection_that_answers_no_ping_is_given_up() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway(keep_alive_ms=100):
            await stand.until_said(Channel.MARK, OPEN)
            stand.okx.hub.stall("public")
            await stand.until_said(Channel.MARK, OPEN, LOST, RESYNCED)
            lost = next(e for e in stand.of(FeedStatus) if e.state is LOST)
            assert "ping-pong" in lost.detail

    drive(scenario, channels="mark,bars")


def test_repeated_trades_are_dropped_by_id_and_counted() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until_said(Channel.TRADES, OPEN)
            stand.okx.faults.plan("trades", Frame.DUPLICATE)
            for price in ("50001", "50002"):
                stand.okx.venue.print_trade(BTC, price, "1", "buy")
            await stand.until(lambda: len(stand.of(Trade)) == 2)
            assert [trade.last_price for trade in stand.of(Trade)] == [50001, 50002]
            assert stand.counters.repeats == 1

    drive(scenario, channels="trades,bars")


def test_a_changed_instrument_is_defined_again_with_its_tiers() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.control.set_instrument(BTC, tick=Decimal("0.5"))
            await stand.until(lambda: len(stand.of(InstrumentDefined)) == 2)
            stand.okx.control.set_instrument(BTC, state="suspend")
            await stand.until(lambda: len(stand.of(InstrumentDefined)) == 3)
        first, second, third = stand.of(InstrumentDefined)
        assert (second.tick_size, second.tiers) == (Decimal("0.5"), first.tiers)
        assert (third.tick_size, third.state) == (Decimal("0.5"), InstrumentState.SUSPEND)

    drive(scenario, channels="bars")


def test_an_instrument_before_its_opening_keeps_its_terms_and_is_not_tradable() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.control.set_instrument(BTC, state="preopen", has_terms=False)
            await stand.until(lambda: len(stand.of(InstrumentDefined)) == 2)
            stand.okx.control.set_instrument(BTC, state="live", has_terms=True)
            await stand.until(lambda: len(stand.of(InstrumentDefined)) == 3)
        first, second, third = stand.of(InstrumentDefined)
        assert second == replace(first, state=InstrumentState.PREOPEN)
        assert third == first
        assert stand.counters.disconnects == 0

    drive(scenario, channels="bars")


def test_a_maximum_the_venue_leaves_empty_is_none_and_one_of_spot_a_value() -> None:
    async def scenario(stand: Stand) -> None:
        listed = stand.okx.venue.instruments
        listed[BTC].market_max = listed["BTC-USDT"].market_max = None
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
        found = {each.instrument_id: each for each in stand.of(InstrumentDefined)}
        assert (found[BTC].market_quantity_max, found[BTC].market_notional_max) == (NO_MAXIMUM, None)
        assert (found["BTC-USDT"].market_quantity_max, found["BTC-USDT"].market_notional_max) == (100_000_000, None)
        assert found["ETH-USDT"].market_notional_max == 1_000_000

    drive(scenario, channels="bars", instruments=(BTC, "BTC-USDT", "ETH-USDT"))


def test_tiers_that_change_without_a_word_are_found_at_the_next_look() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway(refresh_s=0.2):
            await stand.until_said(Channel.BARS, OPEN)
            tiers = stand.okx.venue.instruments[BTC].tiers
            tiers[0] = replace(tiers[0], mmr=Decimal("0.0123"))
            await stand.until(lambda: _first_tiers(stand) == [Decimal("0.0123")] * 2)
            assert 2 <= len(stand.of(InstrumentDefined)) <= 3  # a look may fall between the two margin modes

    drive(scenario, channels="bars")


def _first_tiers(stand: Stand) -> list[Decimal]:
    return [tier.mmr for tier in stand.of(InstrumentDefined)[-1].tiers if tier.tier == 1]


def test_two_instruments_are_written_in_feed_order() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(30, BTC)
        stand.seed_bars(20, ETH)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN, instrument_id=ETH)
        bars = [(bar.ts_open, bar.instrument_id) for bar in stand.of(VenueBar)]
        assert bars == sorted(bars)
        assert len(bars) == 50

    drive(scenario, channels="bars", instruments=(BTC, ETH))


def test_swaps_and_spot_pairs_side_by_side_each_with_what_it_has() -> None:
    spot, eth_spot = "BTC-USDT", "ETH-USDT"

    async def scenario(stand: Stand) -> None:
        for name in (BTC, ETH, spot, eth_spot):
            stand.seed_bars(5, name)
        async with stand.gateway():
            for name in (BTC, ETH, spot, eth_spot):
                await stand.until_said(Channel.BARS, OPEN, instrument_id=name)
                await stand.until_said(Channel.QUOTES, OPEN, instrument_id=name)
            stand.okx.venue.print_trade(spot, "50002.5", "0.25", "sell")
            stand.okx.venue.set_mark(ETH, "2501")
            await stand.until(lambda: bool(stand.of(Trade)) and bool(stand.of(MarkPrice)))
        assert stand.of(Trade)[0].base_quantity == Decimal("0.25")
        assert len(stand.of(VenueBar)) == 20
        told = {(e.instrument_id, e.channel) for e in stand.of(FeedStatus)}
        swaps = {Channel.TRADES, Channel.QUOTES, Channel.BARS, Channel.MARK, Channel.INDEX, Channel.FUNDING}
        assert {channel for name, channel in told if name == BTC} == swaps
        assert {channel for name, channel in told if name == spot} == {Channel.TRADES, Channel.QUOTES, Channel.BARS}
        tiers = {e.instrument_id: len(e.tiers) for e in stand.of(InstrumentDefined)}
        assert (tiers[BTC], tiers[spot]) == (8, 0)
        assert stand.counters.quarantined == 0

    drive(scenario, channels="trades,quotes,mark,index,funding,bars", instruments=(BTC, ETH, spot, eth_spot))


def test_minutes_are_of_the_venue() -> None:
    """A guard for the tests above: their clock stands five seconds into a minute."""

    async def scenario(stand: Stand) -> None:
        assert stand.okx.clock.now_ms() - stand.minute == 5_000
        stand.pass_minutes(2)
        assert stand.okx.clock.now_ms() % MINUTE_MS == 5_000

    drive(scenario)
