"""The market gateway and its log: restarts write nothing twice, one writer at a time, a slow log loses nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.events.data import BarClosed, GapClosed, GapOpened, TickQuarantined
from schemas.events.market import (
    Channel,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    InstrumentDefined,
    Trade,
    VenueBar,
)
from services.bootstrap import build_trader
from services.gateways.okx.market.errors import VenueRefused, VenueUnreachable
from services.sole_writer import Displaced
from streams.batch import run_batch
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import message
from tests.fakes.okx import Fault, Frame
from tests.okx_gateway import BTC, ETH, QUICK, Stand, drive, outputs

OPEN, LOST, RESYNCED, ENDED = FeedState.OPEN, FeedState.LOST, FeedState.RESYNCED, FeedState.ENDED
STOPPED, AWAY = "the gateway was stopped", "the gateway was away"


def test_a_restart_goes_on_where_the_log_ends(tmp_path: Path) -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(30)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.venue.print_trade(BTC, "50001", "1", "buy")
            await stand.until(lambda: len(stand.of(Trade)) == 1)
        stand.pass_minutes(7)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN, LOST, RESYNCED)
            await stand.until_said(Channel.BOOK, OPEN, LOST, RESYNCED)
            stand.pass_minutes(1)
            await stand.until(lambda: len(stand.of(VenueBar)) == 38)
        assert stand.bar_minutes() == list(range(-38, 0))
        assert [bar.backfill for bar in stand.of(VenueBar)] == [True] * 37 + [False]
        assert len(stand.of(Trade)) == 1
        ids = [envelope.event_id for envelope, _ in stand.ticks()]
        assert len(ids) == len(set(ids))
        lost = [e.detail for e in stand.of(FeedStatus) if e.state is LOST and e.channel is Channel.BARS]
        assert lost == [STOPPED, STOPPED]  # a clean stop says so itself

    drive(scenario, channels="trades,book,bars", folder=tmp_path)


def test_a_gateway_that_was_killed_is_told_to_have_been_away() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(3)
        async with stand.gateway() as task:
            await stand.until_said(Channel.MARK, OPEN)
            await stand.until_said(Channel.BARS, OPEN)
            task.cancel()
            await asyncio.wait({task})
            stand.okx.clock.advance(seconds=90)
            stand.close_bar(stand.minute - 60_000)
            async with stand.gateway():
                await stand.until_said(Channel.MARK, OPEN, LOST, RESYNCED)
                await stand.until_said(Channel.BARS, OPEN, LOST, RESYNCED)
            assert stand.bar_minutes() == [-4, -3, -2, -1]
            back = {e.channel: e for e in stand.of(FeedStatus) if e.state is RESYNCED}
            lost = [e.detail for e in stand.of(FeedStatus) if e.state is LOST]
            assert lost == [AWAY, AWAY, STOPPED, STOPPED]
            assert 90 <= (back[Channel.MARK].lost_us or 0) / 1e6 < 120

    with pytest.raises(asyncio.CancelledError):
        drive(scenario, channels="mark,bars")


class Listing(MemoryLog):
    """A log that remembers which topics were appended to, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: list[str] = []

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        self.topics += [record.topic for record in records]
        return super().append(records)


def test_settings_come_first_on_a_new_log_and_after_the_bars_on_one_that_goes_on() -> None:
    async def scenario(stand: Stand) -> None:
        listing = Listing()
        stand.replace_log(listing)
        stand.seed_bars(5)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
        assert listing.topics.index("settings") == 0
        stand.pass_minutes(3)
        listing.topics.clear()
        stand.settings = replace(stand.settings, slippage_bps=Decimal(7))
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN, LOST, RESYNCED)
        # Three bars and the instrument, then what is stamped now and would move the trader's clock past them.
        assert listing.topics.index("settings") == 4
        assert listing.topics.count("settings") == 1

    drive(scenario, channels="bars")


def test_a_channel_no_longer_named_has_ended() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway():
            await stand.until_said(Channel.MARK, OPEN)
        async with stand.gateway(channels=("bars",)):
            await stand.until_said(Channel.MARK, OPEN, LOST, ENDED)

    drive(scenario, channels="mark,bars")


def test_an_instrument_that_is_new_gets_its_history_beside_one_that_is_known() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(20, BTC)
        stand.seed_bars(20, ETH)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
        stand.settings = replace(stand.settings, instruments_allowed=(BTC, ETH))
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN, instrument_id=ETH)
        assert stand.bar_minutes(BTC) == stand.bar_minutes(ETH) == list(range(-20, 0))

    drive(scenario, channels="bars")


def test_the_gateway_that_came_last_goes_on_and_the_other_one_stops() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway() as first:
            await stand.until_said(Channel.TRADES, OPEN)
            async with stand.gateway() as second:
                await asyncio.sleep(0)
                stand.okx.venue.print_trade(BTC, "50001", "1", "buy")
                await stand.until(lambda: (_print(stand), first.done())[1], "the first one's end")
                assert not second.done()
                before = len(stand.of(Trade))
                stand.okx.venue.print_trade(BTC, "50009", "1", "buy")
                await stand.until(lambda: len(stand.of(Trade)) > before)

    with pytest.raises(Displaced, match="a market gateway that started later: this one stops"):
        drive(scenario, channels="trades,bars")


def _print(stand: Stand) -> None:
    stand.okx.venue.print_trade(BTC, "50002", "1", "sell")


def test_a_settlement_missed_is_fetched_and_told_once() -> None:
    async def scenario(stand: Stand) -> None:
        market = stand.okx.venue.market(BTC)
        async with stand.gateway():
            await stand.until_said(Channel.FUNDING, OPEN)
            stand.okx.hub.drop("public")
            await stand.until(lambda: LOST in stand.said(Channel.FUNDING))
            market.set_funding("0.0007", time_ms=stand.okx.clock.now_ms())
            market.settle_funding()
            await stand.until_said(Channel.FUNDING, OPEN, LOST, RESYNCED)
            market.set_funding("0.0002")
            await stand.until(lambda: FundingSettled in {type(e) for _, e in stand.ticks()})
        settled = [e for e in stand.of(FundingSettled) if e.funding_rate]
        assert [e.funding_rate for e in settled] == [Decimal("0.0007")]

    drive(scenario, channels="funding,bars")


def test_a_settlement_is_told_as_it_happens_and_once_whatever_the_channel_repeats() -> None:
    async def scenario(stand: Stand) -> None:
        market = stand.okx.venue.market(BTC)
        async with stand.gateway():
            await stand.until_said(Channel.FUNDING, OPEN)
            market.set_funding("0.0007", time_ms=stand.okx.clock.now_ms())
            moment, _ = market.settle_funding()
            await stand.until(lambda: bool(stand.of(FundingSettled)))
            market.set_funding("0.0002")
            market.pushes_last_settlement = True
            market.set_funding("0.0003")
            await stand.until(lambda: stand.of(FundingRate)[-1].funding_rate == Decimal("0.0003"))
        (settled,) = stand.of(FundingSettled)
        assert (settled.funding_rate, settled.ts_funding) == (Decimal("0.0007"), moment * 1000)
        assert not any("funding-rate-history" in path for _, path in stand.okx.requests)

    drive(scenario, channels="funding,bars")


def test_a_settlement_the_channel_does_not_tell_is_asked_for() -> None:
    async def scenario(stand: Stand) -> None:
        market = stand.okx.venue.market(BTC)
        async with stand.gateway(patience=replace(QUICK, settlement=0.3)):
            await stand.until_said(Channel.FUNDING, OPEN)
            market.set_funding("0.0007", time_ms=stand.okx.clock.now_ms())
            stand.okx.faults.plan("funding-rate", Frame.LOSE, times=1)
            market.settle_funding()
            await stand.until(lambda: bool(stand.of(FundingSettled)))
            market.set_funding("0.0002")
            await stand.until(lambda: stand.of(FundingRate)[-1].funding_rate == Decimal("0.0002"))
        assert [e.funding_rate for e in stand.of(FundingSettled)] == [Decimal("0.0007")]
        assert stand.counters.disconnects == 0

    drive(scenario, channels="funding,bars")


def test_a_settlement_that_was_awaited_when_the_gateway_stopped_is_asked_for() -> None:
    """The history does not have it yet when the next gateway begins, and the channel speaks of the one after."""

    async def scenario(stand: Stand) -> None:
        market = stand.okx.venue.market(BTC)
        async with stand.gateway():
            await stand.until_said(Channel.FUNDING, OPEN)
            market.set_funding("0.0007", time_ms=stand.okx.clock.now_ms())
            await stand.until(lambda: bool(stand.of(FundingRate)))
        market.settle_funding()
        (row,), market.funding.settled = list(market.funding.settled), []
        async with stand.gateway(patience=replace(QUICK, settlement=0.3)):
            await stand.until_said(Channel.FUNDING, OPEN, LOST, RESYNCED)
            market.funding.settled = [row]
            await stand.until(lambda: bool(stand.of(FundingSettled)))
        assert [e.funding_rate for e in stand.of(FundingSettled)] == [Decimal("0.0007")]

    drive(scenario, channels="funding,bars")


def test_an_instrument_the_venue_does_not_have_is_refused_with_its_name() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway() as task:
            await asyncio.wait({task})

    with pytest.raises(VenueRefused, match="DOGE-USDT-SWAP"):
        drive(scenario, instruments=("DOGE-USDT-SWAP",))


def test_a_venue_out_of_reach_is_tried_again_and_then_said() -> None:
    async def scenario(stand: Stand) -> None:
        stand.okx.faults.plan("public/time", Fault.ANSWER_BEFORE, times=2, code="50001")
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
        assert stand.counters.rest_failures == 2
        stand.okx.faults.plan("public/time", Fault.ANSWER_BEFORE, times=99, code="50001")
        async with stand.gateway() as task:
            await asyncio.wait({task})

    with pytest.raises(VenueUnreachable, match="public_get_public_time failed 5 times"):
        drive(scenario, channels="bars")


def test_history_that_cannot_be_fetched_after_a_cut_is_fetched_by_the_next_connection() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(5)
        async with stand.gateway():
            await stand.until_said(Channel.BARS, OPEN)
            stand.okx.faults.plan("market/candles", Fault.ANSWER_BEFORE, times=1, code="51001")
            stand.okx.hub.drop("business")
            stand.pass_minutes(2)
            await stand.until_said(Channel.BARS, OPEN, LOST, RESYNCED)
        assert stand.bar_minutes() == list(range(-7, 0))
        assert stand.counters.disconnects >= 2

    drive(scenario, channels="bars")


def test_an_import_into_the_same_log_stops_the_gateway() -> None:
    async def scenario(stand: Stand) -> None:
        async with stand.gateway() as task:
            await stand.until_said(Channel.TRADES, OPEN)
            event = stand.of(FeedStatus)[0]
            stand.log.append([NewRecord("ticks", 0, b"x", encode(message(event).envelope, event), 0)])
            await stand.until(lambda: (_print(stand), task.done())[1], "its end")

    with pytest.raises(Displaced, match="no market gateway: this one stops; only one may write there"):
        drive(scenario, channels="trades,bars")


def test_the_trader_sees_the_gap_of_a_cut_and_whole_bars_through_it() -> None:
    async def scenario(stand: Stand) -> None:
        stand.seed_bars(60)
        async with stand.gateway():
            for channel in (Channel.BARS, Channel.TRADES, Channel.MARK):
                await stand.until_said(channel, OPEN)
            await _minutes_with_trades(stand, 2)
            stand.okx.hub.drop()
            await stand.until(lambda: LOST in stand.said(Channel.BARS) and LOST in stand.said(Channel.TRADES))
            stand.pass_minutes(20)
            for channel in (Channel.BARS, Channel.TRADES, Channel.MARK):
                await stand.until_said(channel, OPEN, LOST, RESYNCED)
            await _minutes_with_trades(stand, 3)
        trader = build_trader(stand.log, 0)
        trader.start()
        run_batch(stand.log, trader)
        quality = outputs(stand, "quality")
        assert [event for event in quality if isinstance(event, TickQuarantined)] == []
        opened, closed = ([e.channel for e in quality if isinstance(e, kind)] for kind in (GapOpened, GapClosed))
        assert {Channel.TRADES, Channel.BARS, Channel.MARK} <= set(closed)
        assert opened.count(Channel.TRADES) == opened.count(Channel.BARS) == 2  # the cut, and the stop at the end
        assert [e.missing for e in quality if isinstance(e, GapClosed) and e.channel is Channel.BARS] == [0]
        bars = [e for e in outputs(stand, "bars") if isinstance(e, BarClosed) and e.timeframe == "1m"]
        assert [(e.ts_open // 60_000_000) - stand.minute // 60_000 for e in bars] == list(range(-85, 0))
        assert [e.backfill for e in bars] == [True] * 60 + [False] * 2 + [True] * 20 + [False] * 3
        longer = [e for e in outputs(stand, "bars") if isinstance(e, BarClosed) and e.timeframe == "15m"]
        assert all(e.complete for e in longer[1:])

    drive(scenario, channels="trades,mark,bars")


async def _minutes_with_trades(stand: Stand, count: int) -> None:
    for _ in range(count):
        before = len(stand.of(Trade)), len(stand.of(VenueBar))
        stand.okx.venue.print_trade(BTC, "50001", "1", "buy")
        stand.okx.venue.set_mark(BTC, "50000")
        stand.pass_minutes(1)
        await stand.until(lambda before=before: (len(stand.of(Trade)), len(stand.of(VenueBar))) > before)  # type: ignore[misc]


class SlowLog(MemoryLog):
    """A log that takes nothing while it is held back."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        assert self.free.wait(30)
        return super().append(records)


def test_a_log_slower_than_the_feed_slows_the_reading_and_loses_nothing() -> None:
    async def scenario(stand: Stand) -> None:
        slow = SlowLog()
        stand.replace_log(slow)
        async with stand.gateway(inbox=50):
            await stand.until_said(Channel.TRADES, OPEN)
            slow.free.clear()
            for number in range(5_000):
                stand.okx.venue.print_trade(BTC, str(50_000 + number), "1", "buy")
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await stand.until(lambda: stand.counters.waits > 0)
            assert stand.counters.inbox_max <= 50
            slow.free.set()
            await stand.until(lambda: len(stand.of(Trade)) == 5_000)
        assert [trade.last_price for trade in stand.of(Trade)] == [50_000 + number for number in range(5_000)]
        assert stand.counters.waited_s > 0
        assert len(stand.of(InstrumentDefined)) == 1

    drive(scenario, channels="trades,bars")
