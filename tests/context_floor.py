"""A trader over recorded bars with the real adapters beside it, and the web sites they ask: one process, one loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events.context import SourceState, SourceStatus
from schemas.events.control import ExecutePlan
from schemas.events.plan import PlanDeclined, PlanProposed
from schemas.settings import TradingSettings
from schemas.values import SECOND
from services.adapters.catalogue import build_sources
from services.adapters.counters import AdapterCounters
from services.adapters.service import Adapters
from services.adapters.source import Patience
from services.bootstrap import build_trader, prepare_log
from services.importer import import_feed
from services.settings import load_settings
from streams.batch import run_batch
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import message
from tests.fakes.sites import Reply, Sites, sites
from tests.waiting import PATIENCE_S

E = TypeVar("E", bound=Event)
PLAN = json.loads((Path(__file__).parents[1] / "examples" / "plan_trend.json").read_text())
TOKEN = "cr1ptopanic-t0ken-of-a-test"
PLACES = {
    "mempool.space": "/fees", "blockchain.info": "/stats", "blockchain-charts": "/chart", "defillama": "/tvl",
    "fear-greed": "/fng", "cryptopanic": "/posts",
}  # fmt: skip
ALL = ("rss:127.0.0.1", "google-trends", *PLACES)
BRISK = Patience(attempts=2, attempt_s=1.5, pause_s=0.001, pause_s_max=0.002, breaker_failures=10_000)
"""Quick to ask again, and with time for a loaded machine."""
INTERVAL_S = 0.05
XML = "application/rss+xml; charset=utf-8"


class Floor:
    """The log, its trader, the adapters' clock (the market's) and the sites."""

    def __init__(self, site: Sites, ticks: Iterable[tuple[Envelope, Event]]) -> None:
        self.site = site
        self.log = MemoryLog()
        self.counters = AdapterCounters()
        self._ticks = list(ticks)
        self._given = 0
        self._looked = 0
        self._states: dict[str, SourceState] = {}
        self.now = int(self._ticks[0][0].ts_event)
        prepare_log(self.log, TradingSettings(), ts_event=self.now)
        self.trader = build_trader(self.log, 0)
        self.trader.start()

    def advance(self, number: int) -> None:
        """Give the trader the next ticks; the clock is theirs."""
        ticks = self._ticks[self._given : self._given + number]
        import_feed(self.log, ticks, TradingSettings())
        self._given += number
        self.now = max(self.now, int(self._ticks[self._given - 1][0].ts_event))
        self._take()

    def _take(self) -> None:
        """Let the trader take what there is, as a worker does: no checkpoint every time."""
        for topic in self.trader.inputs:
            records = self.log.read(topic, 0, self.trader.position(topic), limit=100_000)
            if records:
                self.trader.process(topic, records)

    def ask(self, command: Event) -> list[Event]:
        """Put a command on the log a moment later; return what the trader published on plans and prompts.

        The trader first takes what is there: a batch reads commands before context.
        """
        self._take()
        self.now += SECOND
        seen = {topic: self.log.end_offset(topic, 0) for topic in ("plans", "prompts")}
        envelope = message(command, ts=self.now).envelope
        self.log.append([NewRecord("commands", 0, b"paper", encode(envelope, command), self.now)])
        self._take()
        found = [self.log.read(topic, 0, start, limit=100) for topic, start in seen.items()]
        return [decode(record.value)[1] for records in found for record in records]

    def missing(self) -> set[str]:
        """Return which sources of context a plan made now says it had to do without."""
        (plan,) = [event for event in self.ask(ExecutePlan("paper", json.dumps(PLAN))) if _is_plan(event)]
        assert isinstance(plan, PlanProposed), plan
        return {name for name in plan.missing_sources if name in ALL}

    def of(self, topic: str, kind: type[E]) -> list[E]:
        """Return the events of one type on a topic."""
        found = [decode(record.value)[1] for record in self.log.read(topic, 0, 0, limit=100_000)]
        return [event for event in found if isinstance(event, kind)]

    def states(self) -> dict[str, SourceState]:
        """Return the newest state of every source on the log; what was read before is not read again."""
        for record in self.log.read("context", 0, self._looked, limit=100_000):
            self._looked = record.offset + 1
            event = decode(record.value)[1]
            if isinstance(event, SourceStatus):
                self._states[event.source] = event.state
        return self._states

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait while the loop goes on; fail after the patience there is."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"{what} did not happen: {self.states()}") from None

    async def until_all(self, state: SourceState) -> None:
        """Wait until every source is said to be in a state."""
        await self.until(lambda: self.states() == dict.fromkeys(ALL, state), f"all {state}")

    def adapters(self, trends: Path, **environ: str) -> Adapters:
        """Return the adapters of every source there is, all asked at the sites; trends come from a file."""
        urls = ",".join(f"{name}={self.site.url(path)}" for name, path in PLACES.items())
        given = {
            "TAPELINE_CONTEXT_SOURCES": ",".join(("rss", "google-trends", *PLACES)),
            "TAPELINE_CONTEXT_FEEDS": self.site.url("/rss"), "TAPELINE_CONTEXT_URLS": urls,
            "TAPELINE_CONTEXT_TRENDS": str(trends), "TAPELINE_CRYPTOPANIC_TOKEN": TOKEN, **environ,
        }  # fmt: skip
        found = build_sources(load_settings(environ=given, env_file=None).service, patience=BRISK)
        quick = [replace(source, interval_s=INTERVAL_S) for source in found]
        return Adapters(self.log, quick, counters=self.counters, now=lambda: self.now, look_s=0.02)

    def say_well(self) -> None:
        """Let every site answer as it should, as of now."""
        seconds = self.now // SECOND
        self.site.everywhere = None
        self.site.replies = {
            "/rss": Reply(feed(("n1", "Exchange reports record inflows", seconds - 60)), XML),
            "/posts": _json({"results": [{"id": 1, "title": "Whale wakes", "published_at": _iso(seconds - 60)}]}),
            "/fees": _json({"fastestFee": 12, "halfHourFee": 8, "hourFee": 5}),
            "/stats": _json(
                {"timestamp": seconds * 1000, "hash_rate": 8.5e11, "n_tx": 400_000, "minutes_between_blocks": 9.8,
                 "miners_revenue_usd": 4.5e7, "estimated_transaction_volume_usd": 9e9}
            ),
            "/chart": _json({"name": "Unique", "unit": "Addresses", "values": [{"x": seconds, "y": 5e5}]}),
            "/tvl": _json([{"date": seconds, "tvl": 9e10}]),
            "/fng": _json({"data": [{"value": "49", "timestamp": str(seconds)}]}),
        }  # fmt: skip


def feed(*items: tuple[str, str, int]) -> bytes:
    """Return an Atom feed of (id, title, seconds) entries."""
    entries = "".join(
        f"<entry><id>{i}</id><title>{title}</title><published>{_iso(ts)}</published></entry>" for i, title, ts in items
    )
    return f"<feed xmlns='http://www.w3.org/2005/Atom'><title>f</title>{entries}</feed>".encode()


def export(now: int) -> str:
    """Return an export of Google Trends whose last whole day ended at the newest midnight."""
    days = [_iso(now // SECOND - back * 86_400)[:10] for back in (2, 1)]
    return f"Day,bitcoin: (Worldwide)\n{days[0]},70\n{days[1]},74\n"


def _json(content: Any) -> Reply:
    return Reply(json.dumps(content).encode(), "application/json; charset=utf-8")


def _iso(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _is_plan(event: Event) -> bool:
    return isinstance(event, PlanProposed | PlanDeclined)


def on_floor(ticks: Iterable[tuple[Envelope, Event]], scenario: Callable[[Floor], Awaitable[None]]) -> Floor:
    """Run a scenario on a floor of its own; return the floor."""

    async def run() -> Floor:
        async with sites() as site:
            floor = Floor(site, ticks)
            await scenario(floor)
            run_batch(floor.log, floor.trader)
            return floor

    return asyncio.run(run())
