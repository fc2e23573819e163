"""Seconds from the start of a worker after a SIGKILL to its first new journal commit: SQLite and Kafka."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.settings import TradingSettings
from services.bootstrap import prepare_log
from streams.log import open_log
from streams.log.base import EventLog, NewRecord
from tests.bench.history import moments
from tests.bench.options import Options
from tests.bench.report import Report, Table, seconds
from tests.bench.tapes import recorded_bars, tick_record
from tests.worker_process import WorkerProcess, eventually

DAYS = 6
KILLS = 5
LIVE = r"shard 0 live"


@dataclass(frozen=True, slots=True)
class _Restart:
    """Seconds since the process was started. ``claim``: it owns the shard; ``live``: recovered; ``commit``: acked."""

    claim: float
    live: float
    commit: float


def run(options: Options) -> Report:
    """Measure."""
    tape = recorded_bars(DAYS)
    ticks, first = [tick_record(*tick) for tick in tape], tape[0][0].ts_event
    rows = []
    for kind in options.places.kinds():
        found = _restarts(options.places.url(kind), ticks, first)
        parts = [r.claim for r in found], [r.live - r.claim for r in found], [r.commit - r.live for r in found]
        rows.append([kind, *map(seconds, parts), seconds([r.commit for r in found]), "5"])
    columns = ("log", "process start to claim", "claim to live", "live to first commit", "all", "goal")
    caption = (
        f"Seconds, median (range) of {KILLS} kills of a worker with the ten real stages, in the middle of "
        f"{len(ticks):,} ticks of bars that keep coming; each restart finds inputs waiting."
    )
    return Report("recovery", "Recovery after SIGKILL", [Table(caption, columns, rows)])


def _restarts(url: str, ticks: Sequence[NewRecord], first: int) -> list[_Restart]:
    log, found = open_log(url), list[_Restart]()
    prepare_log(log, TradingSettings(), ts_event=first)
    size = len(ticks) // (KILLS + 1)
    worker = WorkerProcess(url, stages="streams.pipeline:STAGES")
    for number in range(KILLS + 1):
        log.append(ticks[number * size : (number + 1) * size])
        if number:
            worker, restart = _restart(url, log)
            found.append(restart)
        _run_on(log, worker, (number + 0.5) * size)
        worker.send(signal.SIGKILL)
        worker.kill()
    log.close()
    return found


def _run_on(log: EventLog, worker: WorkerProcess, ticks: float) -> None:
    eventually(lambda: moments(log)[-1:] != [] and moments(log)[-1].ticks >= ticks, f"tick {ticks:.0f}", worker)


def _restart(url: str, log: EventLog) -> tuple[WorkerProcess, _Restart]:
    before = log.end_offset("journal", 0)
    started = time.time()
    worker = WorkerProcess(url, stages="streams.pipeline:STAGES")
    eventually(lambda: log.end_offset("journal", 0) >= before + 2, "the first commit after a kill", worker)
    commit = time.time() - started
    worker.seconds_to(LIVE)
    claim = moments(log, before)[0].at - started
    return worker, _Restart(claim, _said_at(worker, LIVE) - started, commit)


def _said_at(worker: WorkerProcess, pattern: str) -> float:
    """Return the epoch seconds the worker's own log line carries; reading it may have come later."""
    line = next(line for line in worker.lines if re.search(pattern, line))
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC).timestamp()
