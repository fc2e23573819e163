"""How far the trader and the projector are behind the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from schemas.codec import CodecError, decode
from schemas.settings import Venue
from schemas.topics import CHECKPOINTS, JOURNAL, TOPICS, inputs_of
from streams.journal import FailStop, JournalState, read_journal
from streams.log.base import EventLog, LogError, end_of
from streams.recovery import CHECKPOINTS_TRIED, commit_at, read_checkpoint
from streams.venues import venue_of


class TraderProgress(NamedTuple):
    """Inputs on the log, inputs taken (a step takes one), wall-clock microseconds of the newest commit."""

    inputs: int
    taken: int
    committed_at: int | None

    @property
    def lag(self) -> int:
        """Return how many inputs wait."""
        return max(0, self.inputs - self.taken)


class TraderWatch:
    """Follows the journal of a shard: the first question starts at the newest checkpoint, the next read what is new."""

    def __init__(self, log: EventLog, shard: int) -> None:
        self._log = log
        self._shard = shard
        self._lock = Lock()
        self._venue: Venue | None = None
        self._journal: JournalState | None = None
        self._committed_at: int | None = None

    def progress(self) -> TraderProgress:
        """Return how far the trader has come, by the commits that count. Raises LogError."""
        self._venue = self._venue or venue_of(self._log, self._shard)
        topics = inputs_of(self._venue or Venue.PAPER)
        inputs = sum(end_of(self._log, topic, self._shard) for topic in topics)
        with self._lock:
            try:
                journal = self._read_on()
            except (FailStop, CodecError) as error:
                raise LogError(f"the journal of shard {self._shard} cannot be followed: {error}") from error
            return TraderProgress(inputs, journal.next_step, self._committed_at)

    def _read_on(self) -> JournalState:
        journal = self._begin() if self._journal is None else replace(self._journal)
        end = self._log.end_offset(JOURNAL, self._shard)
        for newest in deque(read_journal(self._log, self._shard, journal, end), maxlen=1):
            self._committed_at = self._time_of(newest.offset)
        self._journal = journal  # only a pass that went through is built upon
        return journal

    def _begin(self) -> JournalState:
        end = self._log.end_offset(CHECKPOINTS, self._shard)
        for offset in range(end - 1, max(end - 1 - CHECKPOINTS_TRIED, -1), -1):
            checkpoint = read_checkpoint(self._log, self._shard, offset)
            counted = checkpoint and commit_at(self._log, self._shard, checkpoint.journal_offset)
            if checkpoint and counted and checkpoint.chain == counted.commit.chain:
                self._committed_at = self._time_of(counted.offset)
                commit = counted.commit
                return JournalState(commit.epoch, counted.claim, commit.last_step + 1, commit.chain, counted.offset + 1)
        return JournalState()

    def _time_of(self, offset: int) -> int:
        return decode(self._log.read(JOURNAL, self._shard, offset, limit=1)[0].value)[0].ts_ingest


def trader_progress(log: EventLog, shard: int) -> TraderProgress:
    """Return how far the trader of a shard has come; who asks again and again keeps a TraderWatch. Raises LogError."""
    return TraderWatch(log, shard).progress()


def projector_lag(log: EventLog, positions: Mapping[tuple[str, int], int], shard: int) -> dict[str, int]:
    """Return records not yet projected, by topic; ``positions`` are next offsets by (topic, partition)."""
    return {topic.name: end_of(log, topic.name, shard) - positions.get((topic.name, shard), 0) for topic in TOPICS}
