"""A broker that misbehaves on purpose, and the checker that judges what is left on its log.

``BrokerLog`` behaves like a broker: an append always lands, at whatever offset is next, and outputs are published
one by one. A ``Faults`` plan says what happens at each of those operations: nothing, the process dies before or after
it, its ack is lost, it is repeated, or its owner is paused while somebody else takes over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from schemas.codec import decode
from schemas.topics import INPUTS, JOURNAL, OUTPUTS
from streams.core.kernel import Kernel
from streams.core.stage import Stage
from streams.journal import CountedCommit, FailStop, JournalState, TraderStopped, read_journal
from streams.log import create_log
from streams.log.base import Append, LogError, NewRecord, StoredRecord
from streams.log.memory import MemoryLog
from streams.reader import Accepted, SeqReader
from streams.trader import Trader
from streams.verify import verify
from tests.toy import STAGES, fill

FINISH = "finish"
"""In place of a topic: the worker commits what is left and checkpoints."""


class Fault(Enum):
    """What happens at one write of the trader under test."""

    NONE = "none"
    DIE_BEFORE = "die before"
    DIE_AFTER = "die after"
    ACK_LOST = "ack lost"
    TWICE = "written twice"
    LOST = "this send is lost, the ones after it are not"
    PAUSE_BEFORE = "owner paused before the write, another takes over"
    PAUSE_AFTER = "owner paused after the write, another takes over"


class Killed(BaseException):
    """The process is gone: nothing after this line runs."""


@dataclass
class Faults:
    """A plan, consumed write by write; empty: no more faults. ``takeover`` runs while an owner is paused."""

    plan: list[Fault] = field(default_factory=list)
    takeover: Callable[[], None] = lambda: None

    def next(self) -> Fault:
        """Return what happens now."""
        return self.plan.pop(0) if self.plan else Fault.NONE


class BrokerLog(MemoryLog):
    """A memory log with a broker's manners and a plan of faults for the writes of a trader."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.false_alarms: list[str] = []
        self._muted = 0

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        records = super().read(topic, partition, offset, limit=limit)
        if topic == JOURNAL and self._fault() in (Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER):
            self._pause()  # a slow recoverer: what it has read is old by the time it goes on
        return records

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        fault = self._fault()
        self._before(fault)
        if fault is Fault.LOST:
            return Append.UNSURE
        (offset,) = MemoryLog.append(self, [record])
        if fault is Fault.TWICE:
            MemoryLog.append(self, [record])
        self._after(fault)
        if fault is Fault.ACK_LOST:
            return Append.UNSURE
        return Append.ACCEPTED if offset == expected_offset else Append.FENCED

    def publish(self, records: Sequence[NewRecord]) -> None:
        lost = 0
        for record in records:
            fault = self._fault()
            self._before(fault)
            if fault is Fault.LOST:
                lost += 1
                continue
            MemoryLog.append(self, [record])
            if fault is Fault.TWICE:
                MemoryLog.append(self, [record])
            self._after(fault)
        if lost:
            raise LogError(f"{lost} of {len(records)} outputs were not acknowledged")

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        result = self.append_at(journal, expected_offset)
        if result is Append.ACCEPTED:
            self.publish(outputs)
        return result

    def _fault(self) -> Fault:
        return Fault.NONE if self._muted else self.faults.next()

    def _before(self, fault: Fault) -> None:
        if fault is Fault.DIE_BEFORE:
            raise Killed
        if fault is Fault.PAUSE_BEFORE:
            self._pause()

    def _after(self, fault: Fault) -> None:
        if fault is Fault.PAUSE_AFTER:
            self._pause()
        if fault is Fault.DIE_AFTER:
            raise Killed

    def _pause(self) -> None:
        self._muted += 1
        try:
            self.faults.takeover()
        finally:
            self._muted -= 1


TraderFactory = Callable[[BrokerLog, str], Trader]


def plain_trader(log: BrokerLog, worker: str) -> Trader:
    """Return the trader as it ships, with frequent checkpoints."""
    return Trader(log, 0, STAGES, worker=worker, code_version="1", checkpoint_inputs=7)


def run_once(log: BrokerLog, make: TraderFactory, worker: str, batches: Sequence[tuple[str, int]]) -> None:
    """Run one worker until its batches are through or it dies; a death is silent, as a SIGKILL is."""
    try:
        trader = make(log, worker)
        trader.start()
        for topic, size in batches:
            if topic == FINISH:
                trader.finish()
                continue
            records = log.read(topic, 0, trader.position(topic), limit=size)
            if records:
                trader.process(topic, records)
    except FailStop as error:
        log.false_alarms.append(str(error))
    except (Killed, TraderStopped):
        return


def run_to_end(log: BrokerLog, make: TraderFactory) -> None:
    """Run an undisturbed worker until every input is taken."""
    trader = make(log, "last")
    trader.start()
    for topic in INPUTS:
        while records := log.read(topic, 0, trader.position(topic), limit=3):
            trader.process(topic, records)
    trader.finish()


def scenario(
    make: TraderFactory,
    *,
    ticks: Sequence[int] = (),
    timers: int = 0,
    inputs: Sequence[NewRecord] = (),
    lives: Sequence[tuple[Sequence[Fault], Sequence[tuple[str, int]]]],
    takeover: Sequence[tuple[str, int]],
) -> BrokerLog:
    """Run one life after another under its faults, then an undisturbed one to the end; return the log.

    The inputs are toy ticks and timers, or, if given, ``inputs`` as they are.
    """
    log = BrokerLog()
    if inputs:
        create_log(log)
        MemoryLog.append(log, inputs)
    else:
        fill(log, ticks, timers)
    for number, (faults, batches) in enumerate(lives):
        log.faults = Faults(list(faults), lambda: run_once(log, make, "other", takeover))
        run_once(log, make, f"w{number}", batches)
    log.faults = Faults()
    run_to_end(log, make)
    return log


Reader = Callable[[BrokerLog, str], list[Accepted]]


def ship_reader(log: BrokerLog, topic: str) -> list[Accepted]:
    """Read a topic with the reader that ships."""
    reader, accepted = SeqReader(log, topic, 0), []
    while reader.lag() > 0:
        accepted += reader.poll(10)
    return accepted


def violations(
    log: BrokerLog, read: Reader = ship_reader, stages: Callable[[], Sequence[Stage[Any]]] = lambda: STAGES
) -> list[str]:
    """Judge a finished log by the invariants of the write path; empty: it holds.

    I1 what a reader accepts is the result of one interleaving of the inputs, without duplicates; I2 every input counts
    once; I4 verify reproduces every output.
    """
    problems = [f"fail-stop on a healthy log: {alarm}" for alarm in log.false_alarms]
    try:
        commits = list(read_journal(log, 0, JournalState(), log.end_offset(JOURNAL, 0)))
    except TraderStopped as error:
        return [f"journal: {error}"]
    counts, expected = _implied(log, commits, stages())
    for topic in INPUTS:
        if counts[topic] != log.end_offset(topic, 0):
            problems.append(f"I2: {counts[topic]} of {log.end_offset(topic, 0)} {topic} count")
    for topic in OUTPUTS:
        problems += _judge_readers(topic, [accepted.record.value for accepted in read(log, topic)], expected[topic])
    report = verify(log, 0, stages())
    if report.difference:
        problems.append(f"I4: {report.difference.detail}")
    return problems


def _implied(
    log: BrokerLog, commits: Sequence[CountedCommit], stages: Sequence[Stage[Any]]
) -> tuple[Counter[str], dict[str, list[bytes]]]:
    """Return the inputs the journal covers, by topic, and the outputs they imply."""
    counts: Counter[str] = Counter()
    kernel, place = Kernel(stages, code_version="1"), dict.fromkeys(INPUTS, 0)
    expected: dict[str, list[bytes]] = {topic: [] for topic in OUTPUTS}
    for counted in commits:
        for run in counted.commit.runs:
            counts[run.topic] += run.count
            for record in log.read(run.topic, 0, place[run.topic], limit=run.count):
                for output in kernel.step(run.topic, record.value):
                    expected[output.topic].append(output.value)
            place[run.topic] += run.count
    return counts, expected


def _judge_readers(topic: str, seen: list[bytes], expected: list[bytes]) -> list[str]:
    problems = []
    if seen != expected:
        problems.append(f"I1: readers of {topic} accept {len(seen)} records, not the {len(expected)} implied")
    ids = [decode(value)[0].event_id for value in seen]
    if len(ids) != len(set(ids)):
        problems.append(f"I1: {topic} gives an event id twice")
    return problems
