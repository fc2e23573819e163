"""A checkpoint is a cache: one that cannot be written or restored costs time, never the shard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from schemas.envelope import Event, Message
from schemas.topics import CHECKPOINTS, INPUTS, JOURNAL
from streams.core.stage import Stage
from streams.journal import TraderStopped
from streams.log.base import LogError, NewRecord
from streams.log.memory import MemoryLog
from streams.recovery import commit_at, read_checkpoint
from streams.trader import Trader
from streams.verify import verify
from tests.toy import LABEL, STAGES, SUM, SumState, fill, mark
from tests.unit.streams.test_recovery import append_checkpoint, finished_log, newest_checkpoint
from tests.write_path import FINISH, BrokerLog, Fault, Faults, plain_trader, run_to_end, scenario, violations


class NoRoom(BrokerLog):
    """A broker that refuses checkpoints: larger than its limit, or the topic's disk is full."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        if records and records[0].topic == CHECKPOINTS:
            raise LogError("larger than the broker takes")
        return super().append(records)


def test_a_checkpoint_the_log_refuses_costs_no_more_than_the_cache() -> None:
    log = NoRoom()
    fill(log, [(number * 7) % 11 for number in range(60)])
    for _ in range(2):
        trader = plain_trader(log, "w")
        trader.start()
        try:
            while records := log.read("ticks", 0, trader.position("ticks"), limit=5):
                trader.process("ticks", records)
            break
        except TraderStopped:
            continue
    assert trader.position("ticks") == 60
    assert violations(log) == []


def test_a_late_repeat_at_the_end_of_a_silent_topic_does_not_end_checkpoints() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 4, 5] + [0] * 200)
    trader = plain_trader(log, "w")
    trader.start()
    trader.process("ticks", log.read("ticks", 0, 0, limit=4))
    repeat = log.read("signals", 0, 0, limit=1)[0]
    MemoryLog.append(log, [NewRecord("signals", 0, repeat.key, repeat.value, 1)])
    for _ in range(20):
        trader._committed_at -= 2  # silent seconds
        trader.process("ticks", log.read("ticks", 0, trader.position("ticks"), limit=10))
    assert plain_trader(log, "again").start().from_step > 100


def test_a_clean_stop_leaves_a_checkpoint_where_everything_was_committed_before() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 4, 5])
    trader = Trader(log, 0, STAGES, worker="w", code_version="1")
    trader.start()
    trader.process("ticks", log.read("ticks", 0, 0, limit=4))
    commits, checkpoints = log.end_offset(JOURNAL, 0), log.end_offset(CHECKPOINTS, 0)
    trader.finish()
    trader.finish()  # a second one has nothing to add
    assert (log.end_offset(JOURNAL, 0) - commits, log.end_offset(CHECKPOINTS, 0) - checkpoints) == (1, 1)
    again = plain_trader(log, "again")
    recovered = again.start()
    assert (recovered.from_step, recovered.to_step) == (5, 5)
    again.finish()
    assert log.end_offset(CHECKPOINTS, 0) == checkpoints + 1
    log.append([mark(4, 7)])
    run_to_end(log, plain_trader)
    assert violations(log) == []


def test_a_commit_of_no_steps_written_twice_counts_once() -> None:
    """Repeated by the broker as its last record; then work goes on behind it."""
    log = scenario(
        plain_trader,
        ticks=[1, 2, 4, 5],
        lives=[([Fault.NONE] * 7, [("ticks", 2), (FINISH, 0)])],
        takeover=[],
    )
    trader = plain_trader(log, "w")
    trader.start()
    log.append([mark(4, 7)])
    trader.process("ticks", log.read("ticks", 0, 4, limit=1))
    log.faults = Faults([Fault.TWICE])
    with suppress(TraderStopped):  # the copy takes the offset of what it would write next
        trader.finish()
    run_to_end(log, plain_trader)
    assert violations(log) == []


@pytest.mark.parametrize("bit", [1, 2, 32])
def test_a_checkpoint_with_a_torn_input_position_is_passed_over(bit: int) -> None:
    for torn in range(len(INPUTS)):
        log = finished_log()
        _, checkpoint = newest_checkpoint(log)
        inputs = list(checkpoint.inputs)
        inputs[torn] = replace(inputs[torn], offset=inputs[torn].offset ^ bit)
        append_checkpoint(log, replace(checkpoint, inputs=tuple(inputs)))
        trader = plain_trader(log, "again")
        assert trader.start().from_step == 64
        taken = {"settings": 1, "commands": 3, "completions": 0, "context": 0, "ticks": 60}
        assert {topic: trader.position(topic) for topic in INPUTS} == taken


@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_a_checkpoint_with_a_torn_topic_name_is_passed_over(field: str) -> None:
    log = finished_log()
    whole = newest_checkpoint(log)[1]
    for torn in range(len(getattr(whole, field))):
        positions = list(getattr(whole, field))
        positions[torn] = replace(positions[torn], topic=positions[torn].topic[:-1] + "?")
        append_checkpoint(log, replace(whole, **{field: tuple(positions)}))  # type: ignore[arg-type]
        trader = plain_trader(log, "again")
        assert trader.start().from_step == 64
        assert "?" not in "".join(trader.positions)
        del log._partitions[CHECKPOINTS][0][-1]


def test_verify_proves_the_state_a_clean_stop_left() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 4, 5])
    trader = Trader(log, 0, STAGES, worker="w", code_version="1")
    trader.start()
    trader.process("ticks", log.read("ticks", 0, 0, limit=4))
    trader.kernel.states[0].total += 1  # what a bug would do: outputs until now are right, the state is not
    trader.finish()
    difference = verify(log, 0, STAGES).difference
    assert difference is not None
    assert "the state digest is" in difference.detail


def test_a_trader_whose_stage_raised_commits_no_half_done_step() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 4, 5, 7, 8])
    trader = Trader(log, 0, (SUM, _raising(LABEL)), worker="w", code_version="1", checkpoint_inputs=1)
    trader.start()
    with pytest.raises(ArithmeticError):
        trader.process("ticks", log.read("ticks", 0, 0, limit=6))
    with suppress(TraderStopped):
        trader.finish()
    Trader(log, 0, STAGES, worker="again", code_version="1").start()


def _raising(stage: Stage[SumState]) -> Stage[SumState]:
    def decide(state: SumState, incoming: Message) -> Sequence[Event]:
        if state.count == 3:
            raise ArithmeticError("bug")
        return stage.decide(state, incoming)

    return replace(stage, decide=decide)


def test_recovery_reads_the_journal_from_its_newest_checkpoint_on() -> None:
    """Sixty commits before it are not looked at: their records may even be unreadable."""
    log = finished_log()
    recovered = plain_trader(log, "first").start()
    journal = log._partitions[JOURNAL][0]
    checkpoint = read_checkpoint(log, 0, log.end_offset(CHECKPOINTS, 0) - 1)
    assert checkpoint is not None
    commit = commit_at(log, 0, checkpoint.journal_offset)
    assert commit is not None
    for offset in range(commit.commit.epoch + 1, checkpoint.journal_offset):
        journal[offset] = replace(journal[offset], value=b"unreadable")
    assert plain_trader(log, "again").start().from_step == recovered.from_step > 0
