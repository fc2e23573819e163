"""Recovery uses checkpoints as a cache only, and stops where the log contradicts itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.codec import decode, encode
from schemas.events.journal import CheckpointTaken
from schemas.topics import CHECKPOINTS, JOURNAL
from streams import recovery
from streams.core.kernel import compress, decompress, state_digest
from streams.journal import FailStop, Fenced
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.trader import Trader
from tests.toy import STAGES, fill
from tests.write_path import BrokerLog, plain_trader, run_once, run_to_end, violations


def finished_log() -> BrokerLog:
    log = BrokerLog()
    fill(log, [(number * 7) % 11 for number in range(60)], timers=3)
    run_to_end(log, plain_trader)
    return log


def newest_checkpoint(log: MemoryLog) -> tuple[NewRecord, CheckpointTaken]:
    record = log.read(CHECKPOINTS, 0, log.end_offset(CHECKPOINTS, 0) - 1, limit=1)[0]
    envelope, event = decode(record.value)
    assert isinstance(event, CheckpointTaken)
    return NewRecord(CHECKPOINTS, 0, b"", encode(envelope, event), 0), event


def append_checkpoint(log: MemoryLog, changed: CheckpointTaken) -> None:
    record, _ = newest_checkpoint(log)
    envelope, _ = decode(record.value)
    MemoryLog.append(log, [replace(record, value=encode(envelope, changed))])


def test_recovery_starts_at_the_newest_checkpoint() -> None:
    log = finished_log()
    recovered = plain_trader(log, "again").start()
    assert (recovered.from_step, recovered.to_step) == (64, 64)


def test_recovery_replays_what_was_committed_after_the_newest_checkpoint() -> None:
    log = finished_log()
    MemoryLog.append(log, log_tail(log))
    run_once(log, plain_trader, "killed", [("ticks", 3)])
    recovered = plain_trader(log, "again").start()
    assert (recovered.from_step, recovered.to_step) == (64, 67)


def test_recovery_without_checkpoints_gives_the_same_state() -> None:
    log = finished_log()
    with_cache = plain_trader(log, "a")
    with_cache.start()
    log._partitions[CHECKPOINTS][0].clear()
    without = plain_trader(log, "b")
    assert without.start().from_step == 0
    assert without.kernel.state_json() == with_cache.kernel.state_json()


def test_a_torn_checkpoint_is_passed_over() -> None:
    log = finished_log()
    _, checkpoint = newest_checkpoint(log)
    append_checkpoint(log, replace(checkpoint, state=checkpoint.state[:-5]))
    MemoryLog.append(log, [NewRecord(CHECKPOINTS, 0, b"", b"\x00\x00", 0)])
    assert plain_trader(log, "again").start().from_step > 50
    assert violations(log) == []


def tampered(checkpoint: CheckpointTaken) -> CheckpointTaken:
    state = decompress(checkpoint.state).replace(b'"total":', b'"total":1')
    return replace(checkpoint, state=compress(state), state_digest=state_digest(state))


def test_a_checkpoint_with_a_wrong_state_under_a_right_chain_is_refused() -> None:
    log = finished_log()
    _, checkpoint = newest_checkpoint(log)
    append_checkpoint(log, tampered(checkpoint))
    append_checkpoint(log, replace(tampered(checkpoint), state_digest=checkpoint.state_digest))
    MemoryLog.append(log, log_tail(log))
    run_to_end(log, plain_trader)
    assert violations(log) == []


def test_the_checker_flags_a_trader_that_trusts_the_newest_checkpoint_blindly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "usable", lambda *_: True)
    log = finished_log()
    MemoryLog.append(log, log_tail(log))
    run_once(log, plain_trader, "killed", [("ticks", 3)])
    append_checkpoint(log, tampered(newest_checkpoint(log)[1]))
    with pytest.raises(FailStop, match="digest"):
        run_to_end(log, plain_trader)


def log_tail(log: MemoryLog) -> list[NewRecord]:
    """More inputs, so that the restored state matters."""
    from tests.toy import mark

    first = log.end_offset("ticks", 0)
    return [mark(number, number % 5) for number in range(first, first + 10)]


def test_a_journal_that_lost_its_tail_stops_the_shard() -> None:
    log = finished_log()
    del log._partitions[JOURNAL][0][-4:]
    with pytest.raises(FailStop, match="the journal has lost records"):
        plain_trader(log, "again").start()


def test_an_input_that_changed_under_the_journal_stops_the_shard() -> None:
    log = finished_log()
    log._partitions[CHECKPOINTS][0].clear()
    ticks = log._partitions["ticks"][0]
    ticks[5] = replace(ticks[5], value=ticks[6].value)
    with pytest.raises(FailStop, match=r"steps .* the inputs digest is .* the journal says"):
        plain_trader(log, "again").start()


def test_a_delivered_hole_stops_the_shard_and_a_repeat_is_dropped() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 3, 4, 5])
    trader = plain_trader(log, "w")
    trader.start()
    records = log.read("ticks", 0, 0, limit=5)
    trader.process("ticks", records[:2])
    trader.process("ticks", records[:3])
    assert trader.position("ticks") == 3
    with pytest.raises(FailStop, match="ticks offset 3 is missing, 4 was delivered"):
        trader.process("ticks", records[4:])


def test_two_workers_for_one_shard_fence_each_other_in_turn() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 1, 2, 1, 2, 1, 2])
    first, second = plain_trader(log, "first"), plain_trader(log, "second")
    first.start()
    second.start()
    with pytest.raises(Fenced):
        first.process("ticks", log.read("ticks", 0, 0, limit=2))
    with pytest.raises(Fenced):  # the void commit of the first took the offset the second had to hit
        second.process("ticks", log.read("ticks", 0, 0, limit=2))
    run_to_end(log, plain_trader)
    assert violations(log) == []


def test_a_silent_owner_notices_that_it_was_fenced_by_its_heartbeat() -> None:
    log = BrokerLog()
    fill(log, [0, 0, 0])
    first = plain_trader(log, "first")
    first.start()
    first.process("ticks", log.read("ticks", 0, 0, limit=3))
    run_once(log, plain_trader, "second", [("ticks", 3)])
    first._committed_at -= 2  # a second of silence has passed
    with pytest.raises(Fenced):
        first.heartbeat()


def test_verify_covers_silent_inputs() -> None:
    log = BrokerLog()
    fill(log, [0] * 20)
    run_to_end(log, plain_trader)
    assert violations(log) == []
    trader = Trader(log, 0, STAGES, worker="w", code_version="1")
    assert trader.start().to_step == 21


def test_a_trader_that_was_fenced_writes_nothing_more_whatever_it_is_asked() -> None:
    log = BrokerLog()
    fill(log, [1, 2, 1, 2])
    first = plain_trader(log, "first")
    first.start()
    run_once(log, plain_trader, "second", [("ticks", 4)])
    with pytest.raises(Fenced):
        first.process("ticks", log.read("ticks", 0, 0, limit=2))
    end = log.end_offset("journal", 0)
    for work in (lambda: first.process("ticks", log.read("ticks", 0, 2, limit=2)), first.finish):
        with pytest.raises(FailStop, match="this trader has stopped, only a new one may write: journal offset"):
            work()
    assert log.end_offset("journal", 0) == end
