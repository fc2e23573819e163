"""The market gateway running against the fake OKX in one event loop, and what it has put on its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.market import Channel, FeedState, FeedStatus, VenueBar
from schemas.settings import TradingSettings
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.link import Patience
from services.gateways.okx.market.start import MarketOptions, run_market_gateway
from services.gateways.okx.market.subscriptions import parse_channels
from streams.log import create_log, open_log
from streams.log.base import EventLog
from tests.fakes.okx import Clock, FakeOkx
from tests.waiting import PATIENCE_S, SCENARIO_S

BTC, ETH = "BTC-USDT-SWAP", "ETH-USDT-SWAP"
MINUTE_MS = 60_000
QUICK = Patience(
    acknowledge=PATIENCE_S, snapshot=PATIENCE_S, first_wait=0.05, longest_wait=0.2, recovered=60, question=0.02
)
"""Quick where it is about pauses; what only a slow machine could exceed has time: no loss may be told for it."""
Found = TypeVar("Found", bound=Event)
Scenario = Callable[["Stand"], Awaitable[None]]


def standing_clock() -> Clock:
    """Return a venue clock five seconds into a minute, so that no bar closes unless the test lets time pass."""
    now = time.time_ns() // 1_000_000
    return Clock.frozen(now - now % MINUTE_MS + 5_000)


class Stand:
    """A fake venue, a log in memory or a file, and gateways on it."""

    def __init__(self, okx: FakeOkx, log: EventLog, channels: str, instruments: tuple[str, ...]) -> None:
        self.okx = okx
        self.log = log
        self.settings = TradingSettings(instruments_allowed=instruments)
        self.options = MarketOptions(
            rest_url=okx.rest_url, ws_url=okx.ws_url, channels=parse_channels(channels),
            warmup_us=60 * MINUTE_MS * 1000, patience=QUICK,
        )  # fmt: skip
        self.counters = MarketCounters()

    def replace_log(self, log: EventLog) -> None:
        """Write to another log, empty as yet."""
        create_log(log)
        self.log = log

    @property
    def minute(self) -> int:
        """The running minute's open time at the venue, in milliseconds."""
        now = self.okx.clock.now_ms()
        return now - now % MINUTE_MS

    def seed_bars(self, count: int, instrument_id: str = BTC) -> None:
        """Let the venue have the last ``count`` closed 1m candles."""
        for number in range(count, 0, -1):
            self.close_bar(self.minute - number * MINUTE_MS, instrument_id)

    def close_bar(self, ts_ms: int, instrument_id: str = BTC) -> None:
        """Close one candle: the venue keeps it and pushes it."""
        values = {"o": "50000", "h": "50010", "l": "49990", "c": "50001", "vol": "100"}
        self.okx.venue.market(instrument_id).set_candle("1m", ts_ms, values, confirm=True)

    def pass_minutes(self, count: int, instrument_id: str = BTC) -> None:
        """Let minutes pass at the venue, each with its candle."""
        for _ in range(count):
            opened = self.minute
            self.okx.clock.advance(seconds=60)
            self.close_bar(opened, instrument_id)

    def ticks(self) -> list[tuple[Envelope, Event]]:
        """Return everything on ``ticks``."""
        end = self.log.end_offset("ticks", 0)
        return [decode(record.value) for record in self.log.read("ticks", 0, 0, limit=end)] if end else []

    def of(self, kind: type[Found]) -> list[Found]:
        """Return the ticks of one type."""
        return [event for _, event in self.ticks() if isinstance(event, kind)]

    def said(self, channel: Channel, instrument_id: str = BTC) -> list[FeedState]:
        """Return what was said of a channel, in order."""
        return [e.state for e in self.of(FeedStatus) if (e.channel, e.instrument_id) == (channel, instrument_id)]

    def bar_minutes(self, instrument_id: str = BTC) -> list[int]:
        """Return the open times of the bars on the log, in minutes before (below 0) the running one."""
        bars = [bar for bar in self.of(VenueBar) if bar.instrument_id == instrument_id]
        return [(bar.ts_open // 1000 - self.minute) // MINUTE_MS for bar in bars]

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait until something holds, within a bound."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"{what or 'it'} never came true; said: {self.of(FeedStatus)[-9:]}"
            await asyncio.sleep(0.01)

    async def until_said(self, channel: Channel, *states: FeedState, instrument_id: str = BTC) -> None:
        """Wait until exactly this has been said of a channel."""
        await self.until(lambda: self.said(channel, instrument_id) == list(states), f"{channel} {states}")

    @asynccontextmanager
    async def gateway(self, **changes: object) -> AsyncIterator[asyncio.Task[MarketCounters]]:
        """Run a gateway for as long as the block lasts; what ended it is raised, also at the block's end."""
        stop = asyncio.Event()
        options = replace(self.options, **changes)  # type: ignore[arg-type]
        task = asyncio.create_task(
            run_market_gateway(self.log, self.settings, options, stopped=stop.is_set, counters=self.counters)
        )
        try:
            yield task
        finally:
            stop.set()
            await asyncio.wait({task}, timeout=PATIENCE_S)
        assert task.done(), "the gateway does not stop"
        task.result()


def outputs(stand: Stand, topic: str) -> list[Event]:
    """Return what a trader has written to a topic of the stand's log."""
    end = stand.log.end_offset(topic, 0)
    return [decode(record.value)[1] for record in stand.log.read(topic, 0, 0, limit=end)] if end else []


def drive(
    scenario: Scenario,
    *,
    channels: str = "trades,quotes,book,mark,index,funding,bars",
    instruments: tuple[str, ...] = (BTC,),
    folder: Path | None = None,
    bound_s: float = SCENARIO_S,
) -> None:
    """Run a scenario with a running fake and an empty log, within a bound."""

    async def run() -> None:
        log = open_log("memory://" if folder is None else f"sqlite:///{folder / 'log.db'}")
        create_log(log)
        async with FakeOkx(clock=standing_clock()) as okx:
            async with asyncio.timeout(bound_s):
                await scenario(Stand(okx, log, channels, instruments))
        log.close()

    asyncio.run(run())
