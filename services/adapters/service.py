"""Run the adapters: a task per source that asks it on its schedule, and one place where everything is written.

A source that fails, hangs or answers nonsense costs its own task its time and nobody else anything: every attempt is
bounded (``fetching``, ``source``), and the newest answer of a source is all that is ever kept of it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from schemas.events.context import SourceState
from schemas.values import Micros
from services.adapters.counters import AdapterCounters
from services.adapters.errors import Failure, SourceError
from services.adapters.judging import aside
from services.adapters.source import Poller, Source
from services.adapters.writer import Answer, ContextWriter, shards_of
from streams.log import create_log
from streams.log.base import EventLog, NoTopic

LOOK_S = 1.0
"""Between two looks whether to stop, and whether the market is live, while there is something to write."""
WAITING_MAX = 100
"""Answers that wait to be taken in; a source whose answer finds no room waits with its next question."""
THREADS_EACH = 4
"""Threads for each source: a name that nobody answers for holds one until the system gives up, and those of other
sources must not wait for it."""
JITTER = 0.1
"""Share of its interval by which a source is asked earlier or later: sources must not fall into step."""
STOPPED, SWITCHED_OFF = "the adapters were stopped", "it is not among the sources that are on"
_log = structlog.get_logger("tapeline.adapters")


def local_now() -> int:
    """Return our clock in microseconds."""
    return time.time_ns() // 1000


class Adapters:
    """Sources on one side, one writer a shard on the other. ``chance``: in [0, 1), for the jitter."""

    def __init__(
        self,
        log: EventLog,
        sources: Sequence[Source],
        *,
        counters: AdapterCounters | None = None,
        now: Callable[[], int] = local_now,
        chance: Callable[[], float] = random.random,
        look_s: float = LOOK_S,
    ) -> None:
        self._sources = sources
        self._now = now
        self._chance = chance
        self._look_s = look_s
        self.counters = counters or AdapterCounters()
        session = now()
        self._writers = [ContextWriter(log, shard, session=session) for shard in shards_of(log)]
        self._last_ok: dict[str, Micros] = {}
        self._fresh: asyncio.Queue[Answer] = asyncio.Queue(WAITING_MAX)
        for source in sources:
            self.counters.know(source.name)
            status = self._writers[0].ledger.statuses.get(source.name)
            if status is not None and status.ts_last_ok is not None:
                self._last_ok[source.name] = status.ts_last_ok

    async def run(self, stopped: Callable[[], bool]) -> None:
        """Ask and write until stopped; what is then said last is that every source is down.

        Raises WriterStopped, LogError: what must end the process.
        """
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_EACH * (len(self._sources) + 1)))
        self._switch_off()
        if not self._sources:
            _log.warning("no source is on: TAPELINE_CONTEXT_SOURCES is empty")
        tasks = [asyncio.create_task(self._follow(source)) for source in self._sources]
        try:
            while not stopped():
                await self._settle()
                _raise_of(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for source in self._sources:
            self._offer(self._answer(source.name, error=SourceError(Failure.UNREACHABLE, STOPPED)))
        await asyncio.to_thread(self._flush)

    async def _follow(self, source: Source) -> None:
        """Ask one source for ever."""
        counters, name = self.counters, source.name
        poller = Poller(source, now=self._now, failed=lambda kind: counters.fail(name, kind))
        while True:
            try:
                events, error = await poller.ask(), None
            except SourceError as raised:
                events, error = (), raised
            counters.is_open[name] = poller.is_open
            await self._fresh.put(Answer(name, events, source.stale_after_us, error, self._last_ok.get(name)))
            await asyncio.sleep(source.interval_s * (1 - JITTER + 2 * JITTER * self._chance()))

    async def _settle(self) -> None:
        """Take in what has come, wait a little for more, and write what may be written."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_s):
                self._take(await self._fresh.get())
        while not self._fresh.empty():
            self._take(self._fresh.get_nowait())
        await asyncio.to_thread(self._flush)

    def _take(self, answer: Answer) -> None:
        """Show an answer in the counts, note when its source was well, and hand it to every shard's writer."""
        now, name, counters = self._now(), answer.source, self.counters
        verdict = self._writers[0].verdict(answer, now)
        if counters.state.get(name) is not verdict.state:
            _log.info("source", source=name, state=verdict.state.value, detail=verdict.detail)
        counters.state[name] = verdict.state
        counters.aside[name] += sum(1 for event in verdict.events if aside(event))
        if verdict.state is SourceState.UP:
            self._last_ok[name] = Micros(now)
            counters.last_ok_us[name] = now
        self._offer(answer)

    def _offer(self, answer: Answer) -> None:
        for writer in self._writers:
            writer.offer(answer)

    def _flush(self) -> None:
        done = [writer.flush(self._now()) for writer in self._writers]
        held = any(written is None for written in done)
        if held and not self.counters.held:
            _log.warning("context is held back: the log has no live market (newest tick history or an hour old)")
        self.counters.held = held
        for written in done:
            for source, number in (written or {}).items():
                self.counters.items[source] = self.counters.items.get(source, 0) + number

    def _switch_off(self) -> None:
        """Say of every source the log knows and nobody asks any more that it is down."""
        on = {source.name for source in self._sources}
        for writer in self._writers:
            for name, status in writer.ledger.statuses.items():
                if name not in on and status.state is not SourceState.DOWN:
                    error = SourceError(Failure.UNREACHABLE, SWITCHED_OFF)
                    writer.offer(Answer(name, (), None, error, status.ts_last_ok))

    def _answer(self, name: str, *, error: SourceError) -> Answer:
        return Answer(name, (), None, error, self._last_ok.get(name))


def _raise_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Raise what ended a task: a bug, for a source's own trouble never does."""
    for task in tasks:
        if task.done():
            task.result()


def run_blocking(
    log: EventLog,
    sources: Sequence[Source],
    *,
    shards: int,
    stopped: Callable[[], bool],
    counters: AdapterCounters | None = None,
) -> AdapterCounters:
    """Run the adapters in an event loop of their own; return the counts. ``shards``: of a log that is new."""
    try:
        shards_of(log)
    except NoTopic:
        create_log(log, shards=shards)
    adapters = Adapters(log, sources, counters=counters)
    asyncio.run(adapters.run(stopped))
    return adapters.counters
