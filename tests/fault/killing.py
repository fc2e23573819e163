"""Kill a trader process again and again while data flows, and judge the log it leaves against an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events.journal import Committed
from schemas.events.orders import OrderIntended
from schemas.settings import TradingSettings
from schemas.topics import JOURNAL, OUTPUTS
from services.bootstrap import build_trader, prepare_log
from streams.batch import run_batch
from streams.log import open_log
from streams.log.base import EventLog, NewRecord
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.reader import SeqReader
from streams.verify import topic_digest, verify
from tests.waiting import eventually

DEADLINE_S = 60.0
"""How long a worker may take to do anything at all before the test gives up."""
WORDS = 3000
"""How much of what a worker has written is shown."""
ROOT = Path(__file__).parent.parent.parent

Command = Sequence[str]


@dataclass
class Outcome:
    """What the kills did. ``restarts``: seconds from each start of a worker to its first journal record after it."""

    kills: int = 0
    restarts: list[float] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)


def batch_command(url: str) -> Command:
    """Return the batch runner as a process that follows the log until it is killed."""
    return (sys.executable, "-m", "tests.fault.batch_worker", url)


class Worker(subprocess.Popen[bytes]):
    """A worker in the repository's root. Its words go to a file: a pipe nobody reads stops who writes, once full."""

    def __init__(self, command: Command) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the object lives
        super().__init__(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self._words)

    def said(self) -> str:
        """Return the last it has written to standard error."""
        size = os.fstat(self._words.fileno()).st_size
        return os.pread(self._words.fileno(), WORDS, max(0, size - WORDS)).decode(errors="replace")


def start(command: Command) -> Worker:
    """Start a worker."""
    return Worker(command)


def settle(command: Command) -> None:
    """Start a worker once more and let it stop by itself: on Kafka a commit is seen before its outputs are there."""
    worker = start((*command, "--until-idle"))
    try:
        code = worker.wait(DEADLINE_S)
    finally:
        worker.kill()
        worker.wait()
    assert code == 0, f"exit {code}\n{worker.said()}"


def records(ticks: Iterable[tuple[Envelope, Event]]) -> list[NewRecord]:
    """Encode ticks for the log."""
    return [
        NewRecord(
            "ticks", 0, str(getattr(event, "instrument_id", "")).encode(), encode(envelope, event), envelope.ts_event
        )
        for envelope, event in ticks
    ]


def until(condition: Callable[[], bool], what: str, worker: Worker | None = None) -> None:
    """Poll a condition; fail with the worker's last words when it does not come true in time."""
    if worker is None:
        eventually(condition, what, patience_s=DEADLINE_S)
    else:

        def words() -> str:
            return f"worker exit {worker.poll()}\n{worker.said()}"

        eventually(condition, what, alive=lambda: worker.poll() is None, said=words, patience_s=DEADLINE_S)


def taken(log: EventLog) -> int:
    """Return how many ticks the counted commits cover: the sum of the journal's runs."""
    total, epoch, next_step = 0, -1, 0
    for record in log.read(JOURNAL, 0, 0, limit=1_000_000):
        event = decode(record.value)[1]
        if not isinstance(event, Committed):
            epoch = record.offset
        elif event.epoch == epoch and event.first_step == next_step:
            next_step = event.last_step + 1
            total += sum(run.count for run in event.runs if run.topic == "ticks")
    return total


def kill_while_data_flows(
    log: EventLog, command: Command, ticks: Sequence[NewRecord], *, kills: int, seed: int
) -> Outcome:
    """Append the ticks in pieces; kill the worker somewhere inside each piece; let the last one take all and settle."""
    chance, outcome = random.Random(seed), Outcome()
    size = len(ticks) // (kills + 1) + 1
    for number in range(kills + 1):
        began = time.monotonic()
        before = log.end_offset(JOURNAL, 0)
        worker = start(command)
        try:
            piece = ticks[number * size : (number + 1) * size]
            half = chance.randint(0, len(piece))
            log.append(piece[:half])
            until(lambda before=before: log.end_offset(JOURNAL, 0) > before, "a claim", worker)
            log.append(piece[half:])
            goal = len(ticks) if number == kills else number * size + chance.randint(0, len(piece))
            until(lambda before=before: log.end_offset(JOURNAL, 0) > before + 1, "a commit", worker)
            outcome.restarts.append(time.monotonic() - began)
            until(lambda goal=goal: taken(log) >= goal, f"tick {goal}", worker)
        finally:
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
        outcome.kills += number < kills
    settle(command)
    return outcome


def undisturbed(ticks: Sequence[NewRecord], settings: TradingSettings, ts_event: int) -> dict[str, tuple[int, str]]:
    """Return count and digest of every output topic of a run nobody disturbed."""
    log = MemoryLog()
    prepare_log(log, settings, ts_event=ts_event)
    log.append(ticks)
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    return {topic: topic_digest(log, 0, topic) for topic in OUTPUTS}


def judge(url: str, expected: dict[str, tuple[int, str]], inputs: dict[str, int]) -> None:
    """Assert that the log equals the undisturbed run: nothing twice, nothing lost, every step reproducible."""
    log = open_log(url)
    report = verify(log, 0, stages())
    assert report.difference is None, report.difference
    assert report.inputs == {topic: count for topic, count in inputs.items() if count}
    assert {topic: topic_digest(log, 0, topic) for topic in OUTPUTS} == expected
    reader, orders = SeqReader(log, "orders", 0), list[str]()
    while reader.lag() > 0:
        orders += [a.event.client_order_id for a in reader.poll(1000) if isinstance(a.event, OrderIntended)]
    assert len(orders) == len(set(orders)), "an order id was used twice"
    log.close()
