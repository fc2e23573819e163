"""The checker is worth something only if it flags writers and readers that are broken in the known ways.

Each variant drops one rule of the write path; a bounded number of seeded random scenarios must produce a violation.
The same scenarios leave the trader as it ships without one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from schemas.codec import decode
from schemas.events.journal import CheckpointTaken, Committed
from schemas.topics import CHECKPOINTS, JOURNAL
from streams import recovery, trader
from streams.core.kernel import Output
from streams.journal import JournalState, TraderStopped, read_journal
from streams.log.base import Append, LogError, NewRecord, StoredRecord
from streams.reader import Accepted, SeqReader
from streams.trader import Trader
from tests.toy import STAGES
from tests.write_path import BrokerLog, Fault, plain_trader, scenario, violations

SCENARIOS = 400


class PublishesFirst(BrokerLog):
    """Publishes before the commit's ack."""

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Any) -> Append:
        self.publish(outputs)
        return self.append_at(journal, expected_offset)


class IgnoresOffset(BrokerLog):
    """Takes any ack for a success."""

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        super().append_at(record, expected_offset)
        return Append.ACCEPTED


class UnawaitedPublish(BrokerLog):
    """Does not wait until its outputs are acknowledged: nobody hears of one that is lost."""

    def publish(self, records: Sequence[NewRecord]) -> None:
        with suppress(LogError):
            super().publish(records)


class GoesOnAfterAnError(Trader):
    """Is an agent that raised: the message counts as taken, as Faust has it, and its step was not made."""

    def _step(self, topic: str, record: StoredRecord) -> list[Output]:
        return [] if record.offset % 13 == 5 else super()._step(topic, record)


class SkipsAHole(Trader):
    """Goes on where the delivery goes on, whatever is missing before it."""

    def process(self, topic: str, records: Sequence[StoredRecord]) -> int:
        if len(records) > 3:
            records = records[1:]
            self.positions[topic] = max(self.positions[topic], records[0].offset)
        return super().process(topic, records)


class NoClaim(Trader):
    """Restarts under the claim that is there, if there is one."""

    def start(self) -> Any:
        end = self.log.end_offset(JOURNAL, self.shard)
        if end == 0:
            return super().start()
        state = JournalState()
        for _ in read_journal(self.log, self.shard, state, end):
            pass
        recovered = recovery.recover(self.log, self.shard, self.kernel, end - 1)
        self.positions, self._chain = recovered.positions, recovered.chain
        self._epoch, self._next_journal_offset = state.epoch, end
        self._begin_batch()
        return recovered


class EarlyCheckpoint(Trader):
    """Takes the checkpoint before the outputs of its commit are acknowledged."""

    def _append(self, journal: Any, outputs: Any) -> None:
        commit = decode(journal.value)[1]
        if isinstance(commit, Committed) and commit.state_digest:
            ends = recovery.output_positions(self.log, self.shard, self.kernel.counters.seqs) or tuple(
                recovery.Position(topic, self.log.end_offset(topic, self.shard), seq)
                for topic, seq in self.kernel.counters.seqs.items()
            )
            state = trader.compress(self.kernel.state_json())
            early = CheckpointTaken(
                commit.last_step,
                commit.chain,
                self._next_journal_offset,
                recovery.input_positions(self.positions),
                ends,
                state,
                commit.state_digest,
            )
            self.log.append([self._record(CHECKPOINTS, early)])
        super()._append(journal, outputs)

    def _checkpoint(self, state: bytes) -> None:
        self._since_checkpoint = 0


class BlindCheckpoint(Trader):
    """Restores the newest checkpoint whatever it holds."""

    def start(self) -> Any:
        original = recovery.usable
        recovery.usable = lambda *_: True  # type: ignore[assignment]
        try:
            return super().start()
        finally:
            recovery.usable = original


class EarlyAndBlind(EarlyCheckpoint, BlindCheckpoint):
    """Checkpoints before the acks and believes them: outputs never published are skipped for ever."""


def any_number(state: JournalState, offset: int, event: Any) -> Any:
    """Count every commit of the latest claim, dense or not."""
    if isinstance(event, Committed) and state.claim and event.epoch == state.epoch:
        state.next_step = event.first_step
    return TAKE(state, offset, event)


TAKE = JournalState.take


def newest_wins(log: BrokerLog, topic: str) -> list[Accepted]:
    """Take whatever is newer than what was seen."""

    class Reader(SeqReader):
        def take(self, seq: int) -> bool:
            if seq >= self.seq:
                self.seq = seq + 1
                return True
            return False

    return _read(Reader(log, topic, 0))


def dedup_only(log: BrokerLog, topic: str) -> list[Accepted]:
    """Drop only records whose event id was seen before."""

    class Reader(SeqReader):
        def take(self, seq: int) -> bool:
            return True

    seen: set[str] = set()
    return [
        a for a in _read(Reader(log, topic, 0)) if a.envelope.event_id not in seen and not seen.add(a.envelope.event_id)
    ]


def _read(reader: SeqReader) -> list[Accepted]:
    accepted: list[Accepted] = []
    while reader.lag() > 0:
        accepted += reader.poll(10)
    return accepted


def make(kind: type[Trader]) -> Callable[[BrokerLog, str], Trader]:
    return lambda log, worker: kind(log, 0, STAGES, worker=worker, code_version="1", checkpoint_inputs=7)


def random_scenario(seed: int, build: Callable[[BrokerLog, str], Trader], log_type: type[BrokerLog]) -> BrokerLog:
    chance = random.Random(seed)
    faults = [*Fault, Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER, Fault.DIE_AFTER] + [Fault.NONE] * 12

    def batches(count: int) -> list[tuple[str, int]]:
        return [(chance.choice(["ticks", "ticks", "commands"]), chance.randint(1, 6)) for _ in range(count)]

    from tests import write_path

    original = write_path.BrokerLog
    write_path.BrokerLog = log_type  # type: ignore[misc]
    try:
        return scenario(
            build,
            ticks=[chance.randint(0, 20) for _ in range(40)],
            timers=4,
            lives=[([chance.choice(faults) for _ in range(20)], batches(8)) for _ in range(3)],
            takeover=batches(4),
        )
    finally:
        write_path.BrokerLog = original  # type: ignore[misc]


def flagged(build: Callable[[BrokerLog, str], Trader], log_type: type[BrokerLog] = BrokerLog, **kw: Any) -> str:
    """Return the first violation found, or an empty string."""
    for seed in range(SCENARIOS):
        try:
            found = violations(random_scenario(seed, build, log_type), **kw)
        except TraderStopped as error:
            found = [f"stopped: {error}"]
        if found:
            return found[0]
    return ""


def test_the_trader_as_it_ships_is_not_flagged() -> None:
    assert flagged(plain_trader) == ""


@pytest.mark.parametrize("kind", [GoesOnAfterAnError, SkipsAHole])
def test_a_trader_that_passes_over_an_input_is_flagged(kind: type[Trader]) -> None:
    assert flagged(make(kind))


@pytest.mark.parametrize("log_type", [PublishesFirst, IgnoresOffset, UnawaitedPublish])
def test_a_writer_with_a_broken_commit_is_flagged(log_type: type[BrokerLog]) -> None:
    assert flagged(plain_trader, log_type)


@pytest.mark.parametrize("kind", [NoClaim, EarlyAndBlind])
def test_a_trader_with_broken_recovery_is_flagged(kind: type[Trader]) -> None:
    assert flagged(make(kind))


@pytest.mark.parametrize("reader", [newest_wins, dedup_only])
def test_a_reader_with_a_weaker_rule_is_flagged(reader: Any) -> None:
    assert flagged(plain_trader, read=reader)


def test_commits_that_need_not_be_dense_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalState, "take", any_number)
    assert flagged(plain_trader)
