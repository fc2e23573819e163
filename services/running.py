"""All services on one machine: worker, projector and API as processes of their own, the feed paced by this one.

What it runs are the same commands an operator would start by hand; here they are watched and stopped together.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event as Alarm
from types import TracebackType
from typing import Self

from schemas.envelope import Envelope, Event
from schemas.events.market import BookTop, Quote, Trade, VenueBar
from schemas.values import SECOND
from services.commands.common import BAD_INPUT, MISSING, NO
from services.importer import held, import_feed
from services.lag import TraderWatch, projector_lag
from services.last_words import last_words_in
from services.query.database import DatabaseUnavailable, ReadDatabase
from services.settings import Settings
from streams.log.base import EventLog

RESTART = 75
"""Exit code of a worker that wants to be started again (``streams.app``)."""
RESTARTS_MAX = 5
"""Restarts in a row; one that runs for RECOVERED_S is past its trouble and the next one counts from the start."""
PAUSE_S = 0.5
PAUSE_S_MAX = 30.0
RECOVERED_S = 300.0
STOP_S = 30.0
CATCH_UP_S = 1_800.0
LIVE_CATCH_UP_S = 60.0
"""A live feed is taken as it comes; more than this behind it something is wrong."""
GATEWAY = "okx-market"
ADAPTERS = "adapters"
POLL_S = 0.2

Tick = tuple[Envelope, Event]


class ServiceEnded(Exception):
    """A service ended that should run on; names it, says its last words and where its log is."""

    def __init__(self, message: str, *, exit_code: int = MISSING) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def paced(feed: Iterable[Tick], *, speed: float, skip: int, wait: Callable[[float], object]) -> Iterator[Tick]:
    """Yield ticks ``speed`` times as fast as they happened; at once the first ``skip`` and all before the live market.

    ``wait``: called with the seconds until the next tick is due; when it returns something true the feed ends.
    """
    began: tuple[float, int] | None = None
    for number, (envelope, event) in enumerate(feed):
        if began is not None:
            early = began[0] + (envelope.ts_event - began[1]) / SECOND / speed - time.monotonic()
            if early > 0 and wait(early):
                return
        elif number >= skip and _is_live(event):
            began = time.monotonic(), envelope.ts_event
        yield envelope, event


def _is_live(event: Event) -> bool:
    return isinstance(event, Trade | Quote | BookTop) or (isinstance(event, VenueBar) and not event.backfill)


class Restarts:
    """When a service that asks for it is started again: each time in a row after twice the pause, and not for ever."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._started = 0.0

    def started(self, now: float) -> None:
        """Note that the service has been started."""
        self._started = now

    def pause(self, now: float) -> float | None:
        """Return the seconds to wait for a service that has ended; None: it has been tried often enough."""
        if now - self._started >= RECOVERED_S:
            self._in_a_row = 0
        if self._in_a_row >= RESTARTS_MAX:
            return None
        self._in_a_row += 1
        return min(PAUSE_S * 2.0 ** (self._in_a_row - 1), PAUSE_S_MAX)


class Services:
    """Child processes by name, each a ``tapeline`` command whose stderr goes to a file in ``folder``."""

    def __init__(self, folder: Path, *, env_file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._env_file = env_file
        self._commands: dict[str, list[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts: dict[str, Restarts] = {}
        self._due: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> None:
        """Start ``tapeline ARGUMENTS`` under a name."""
        self._commands[name] = list(arguments)
        self._restarts.setdefault(name, Restarts()).started(self._clock())
        named = ["--env-file", str(self._env_file)] if self._env_file.exists() else []  # .env may be absent
        command = [sys.executable, "-m", "services.cli", "--until-stdin-closes", *named]
        with self.log_of(name).open("ab") as output:
            self._running[name] = subprocess.Popen(
                [*command, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.PIPE,  # nothing is written: it closes when this process ends, however that happens
                env=dict(os.environ),
                cwd=Path.cwd(),
                start_new_session=True,  # Ctrl-C reaches this process, which stops the services in order
            )

    def log_of(self, name: str) -> Path:
        """Return the file a service logs to."""
        return self._folder / f"{name}.log"

    def check(self) -> None:
        """Start again what asks for it, after a pause; raise ServiceEnded for anything else that has ended."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is None:
                continue
            pause = self._restarts[name].pause(self._clock()) if code == RESTART else None
            if pause is None:
                log = self.log_of(name)
                said = f"{name} ended with exit code {code}; see {log}. It said: {last_words_in(log)}"
                raise ServiceEnded(said, exit_code=code if code in (NO, BAD_INPUT) else MISSING)
            del self._running[name]
            self._due[name] = self._clock() + pause
        for name, due in list(self._due.items()):
            if self._clock() >= due:
                del self._due[name]
                self.start(name, *self._commands[name])

    def stop(self) -> None:
        """Ask every service to stop, wait, and end those that do not."""
        self._end(list(self._running))
        self._due.clear()

    def end(self, name: str) -> None:
        """Stop one service before the others; one that is waiting to be started again is not."""
        self._due.pop(name, None)
        self._end([name] if name in self._running else [])

    def _end(self, names: Sequence[str]) -> None:
        processes = [self._running.pop(name) for name in names]
        for process in processes:
            process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()


def await_caught_up(
    log: EventLog,
    database: ReadDatabase,
    services: Services,
    *,
    shard: int,
    stopped: Alarm,
    limit_s: float = CATCH_UP_S,
) -> bool:
    """Wait until the trader has taken every input and the projector has projected every record; False: told to stop.

    Raises ServiceEnded when a service ends, or when they do not get there in ``limit_s``.
    """
    deadline = time.monotonic() + limit_s
    trader = TraderWatch(log, shard)
    while time.monotonic() < deadline:
        services.check()
        if trader.progress().lag == 0 and _is_projected(log, database, shard):
            return True
        if stopped.wait(POLL_S):
            return False
    raise ServiceEnded(f"the trader or the projector did not catch up in {limit_s:.0f} s; see their logs")


def _is_projected(log: EventLog, database: ReadDatabase, shard: int) -> bool:
    try:
        return sum(projector_lag(log, database.positions(), shard).values()) == 0
    except DatabaseUnavailable:
        return False  # the projector creates the tables when it starts; until then there is nothing to ask


@contextmanager
def all_services(
    folder: Path, *, env_file: Path, log: str, db: str, shards: int, api: Sequence[str] | None, model: bool = False
) -> Iterator[Services]:
    """Run worker, projector, with its options the API, and with ``model`` what asks one, while the block lasts."""
    with Services(folder, env_file=env_file) as services:
        services.start("worker", "worker", "--log", log, "--shards", str(shards))
        services.start("projector", "projector", "--log", log, "--db", db)
        if model:
            services.start("llm", "llm", "--log", log)
        if api is not None:
            services.start("api", "api", "--log", log, "--db", db, *api)
        yield services


def drive(
    log: EventLog, feed: Iterable[Tick], settings: Settings, services: Services, *, speed: float, shards: int,
    stopped: Alarm,
) -> int:  # fmt: skip
    """Put the feed on the log, paced unless ``speed`` is 0; return how many ticks were appended.

    Raises ServiceEnded when a service ends meanwhile.
    """
    shard = settings.service.shard
    put = partial(import_feed, log, settings=settings.trading, shard=shard, shards=shards)
    if speed == 0:
        return put(_watched(feed, services, stopped))
    ticks = iter(feed)
    first = next(ticks, None)
    if first is None:
        return 0
    skip = held(log, shard, first)
    watched = _watched(chain((first,), ticks), services, stopped)
    return put(paced(watched, speed=speed, skip=skip, wait=stopped.wait), chunk_size=1)


def follow_okx(
    log: EventLog, database: ReadDatabase, services: Services, *, log_url: str, shard: int, shards: int, stopped: Alarm,
    context: bool,
) -> bool:  # fmt: skip
    """Run the market gateway until told to stop, then let the others take what it wrote; False: they did not.

    ``context``: the adapters too. Raises ServiceEnded when a service ends meanwhile.
    """
    services.start(GATEWAY, "gateway", "okx-market", "--log", log_url, "--shards", str(shards))
    if context:
        services.start(ADAPTERS, "adapters", "--log", log_url, "--shards", str(shards))
    while not stopped.wait(1.0):
        services.check()
    services.end(ADAPTERS)
    services.end(GATEWAY)
    return await_caught_up(log, database, services, shard=shard, stopped=Alarm(), limit_s=LIVE_CATCH_UP_S)


def _watched(feed: Iterable[Tick], services: Services, stopped: Alarm) -> Iterator[Tick]:
    """Yield the feed until told to stop, looking after the services about once a second."""
    looked = time.monotonic()
    for tick in feed:
        if stopped.is_set():
            return
        if time.monotonic() - looked > 1.0:
            services.check()
            looked = time.monotonic()
        yield tick
