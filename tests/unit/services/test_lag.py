"""How far the trader has come is told by the commits that count, from the newest checkpoint on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from projections.positions import Reached
from schemas.codec import decode, encode
from schemas.events.journal import Committed
from schemas.topics import CHECKPOINTS, JOURNAL
from schemas.values import SECOND, Micros
from services.lag import ProjectorWatch, TraderWatch
from streams.log.base import LogError, NewRecord
from streams.log.memory import MemoryLog
from streams.reader import Unfilled
from tests.clock import Clock
from tests.toy import fill, timer
from tests.unit.streams.test_reader import log_of, signal
from tests.unit.streams.test_recovery import finished_log
from tests.write_path import plain_trader, run_to_end

INPUTS_TAKEN = 64


def append_commit(log: MemoryLog, **changes: Any) -> None:
    """Append the last commit again, changed: what a worker that was fenced, or counts wrongly, may leave behind."""
    envelope, event = decode(log.read(JOURNAL, 0, log.end_offset(JOURNAL, 0) - 1, limit=1)[0].value)
    assert isinstance(event, Committed)
    late = envelope._replace(ts_ingest=Micros(envelope.ts_ingest + 1_000_000))
    MemoryLog.append(log, [NewRecord(JOURNAL, 0, b"", encode(late, replace(event, **changes)), 0)])


@pytest.mark.parametrize("checkpointed", [True, False])
@pytest.mark.parametrize("void", [{"epoch": 999, "last_step": 5}, {"first_step": 70, "last_step": 999}])
def test_a_void_commit_tells_nothing(checkpointed: bool, void: dict[str, int]) -> None:
    log = finished_log()
    if not checkpointed:
        log._partitions[CHECKPOINTS][0].clear()
    before = TraderWatch(log, 0).progress()
    assert (before.inputs, before.taken, before.lag) == (INPUTS_TAKEN, INPUTS_TAKEN, 0)
    append_commit(log, **void)
    assert TraderWatch(log, 0).progress() == before


def test_a_watch_reads_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    log = finished_log()
    watch = TraderWatch(log, 0)
    before = watch.progress()
    append_commit(log, epoch=999)
    assert watch.progress() == before
    fill(log, [1, 2, 3])
    assert watch.progress().lag > 0
    run_to_end(log, plain_trader)
    after = watch.progress()
    assert (after.lag, after.taken > before.taken) == (0, True)
    read = MemoryLog.read
    seen: list[int] = []

    def noted(self: MemoryLog, topic: str, partition: int, offset: int, *, limit: int) -> object:
        seen.append(offset)
        return read(self, topic, partition, offset, limit=limit)

    monkeypatch.setattr(MemoryLog, "read", noted)
    assert (watch.progress(), seen) == (after, [])


def test_a_journal_that_contradicts_itself_is_an_error_of_the_log() -> None:
    log = finished_log()
    MemoryLog.append(log, [NewRecord(JOURNAL, 0, b"", b"garbage", 0)])
    with pytest.raises(LogError, match="journal of shard 0 cannot be followed"):
        TraderWatch(log, 0).progress()


def test_nothing_has_been_taken_where_no_trader_ran() -> None:
    log = MemoryLog()
    fill(log, [1, 2])
    progress = TraderWatch(log, 0).progress()
    assert (progress.taken, progress.committed_at, progress.lag) == (0, None, progress.inputs)


def command(ts_ingest: int) -> NewRecord:
    record = timer(99)
    envelope, event = decode(record.value)
    return replace(record, value=encode(envelope._replace(ts_ingest=Micros(ts_ingest)), event))


@pytest.mark.parametrize("checkpointed", [True, False])
@pytest.mark.parametrize(
    ("asked_s", "waited_s", "stalled"), [(-9_000, 404.0, True), (373, 31.0, True), (374, 30.0, False)]
)
def test_a_command_no_trader_takes_is_told_at_the_first_question(
    checkpointed: bool, asked_s: int, waited_s: float, stalled: bool
) -> None:
    log = finished_log()
    if not checkpointed:
        log._partitions[CHECKPOINTS][0].clear()
    committed_at = TraderWatch(log, 0).progress().committed_at
    assert committed_at is not None

    def wall() -> int:
        return committed_at + 404 * SECOND

    assert TraderWatch(log, 0, wall=wall).progress().waited_s == 0, "on an idle log nothing waits"
    log.append([command(committed_at + asked_s * SECOND)])
    progress = TraderWatch(log, 0, wall=wall).progress()
    assert (progress.lag, progress.waited_s, progress.stalled) == (1, waited_s, stalled)


def test_a_tick_no_trader_takes_is_told_by_the_clock_between_two_questions_until_one_is_taken() -> None:
    log, clock = finished_log(), Clock()
    watch = TraderWatch(log, 0, clock=clock)
    watch.progress()
    clock.now = 1_000.0
    fill(log, [1, 2, 3])
    for seconds, stalled in ((0.0, False), (30.0, False), (30.5, True)):
        clock.now = 1_000.0 + seconds
        progress = watch.progress()
        assert (progress.waited_s, progress.stalled) == (seconds, stalled)
    assert "4 inputs wait, for 30 s at least, and no trader takes them" in progress.words()
    run_to_end(log, plain_trader)
    assert (watch.progress().lag, watch.progress().waited_s) == (0, 0.0)
    fill(log, [4])
    assert watch.progress().waited_s == 0.0


# -- the projector ----------------------------------------------------------------------------------------------------


def places(offset: int, seq: int) -> dict[tuple[str, int], Reached]:
    """Return positions of a projector: of a sequenced topic, of one that is not, and of another shard."""
    return {("signals", 0): Reached(offset, seq), ("ticks", 0): Reached(9, 0), ("signals", 1): Reached(9, 9)}


def test_a_projector_that_waits_for_ten_seconds_is_overdue_and_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    log, clock = log_of(0, 1, 3), Clock()
    watch = ProjectorWatch(log, 0, clock=clock)
    assert watch.overdue(places(3, 2)) == []
    clock.now = 9.9
    assert watch.overdue(places(3, 2)) == []
    clock.now = 10.0
    assert watch.overdue(places(3, 2)) == [Unfilled("signals", 0, 2, 3, 10.0)]
    assert "signals[0]: seq 2 is missing" in caplog.text
    log.append([signal(2), signal(3)])
    assert watch.overdue(places(5, 4)) == []


def test_the_wait_goes_on_while_more_comes_before_its_turn() -> None:
    log, clock = log_of(0, 1, 3), Clock()
    watch = ProjectorWatch(log, 0, clock=clock)
    watch.overdue(places(3, 2))
    log.append([signal(4)])
    clock.now = 10.0
    assert watch.overdue(places(4, 2)) == [Unfilled("signals", 0, 2, 4, 10.0)]


def test_a_projector_that_moves_or_has_read_everything_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, clock = log_of(*range(50)), Clock()
    watch = ProjectorWatch(log, 0, clock=clock)
    watch.overdue(places(10, 10))
    monkeypatch.setattr(MemoryLog, "read", None)  # asking again costs no look at the log
    for offset in (20, 30, 40):
        clock.now += 100
        assert watch.overdue(places(offset, offset)) == []
    monkeypatch.undo()
    for _ in range(2):
        clock.now += 100
        assert watch.overdue(places(40, 40)) == []
