"""How far the trader and the projector are behind the log, and whether either of them stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

from projections.positions import Reached
from schemas.codec import CodecError, decode
from schemas.settings import Venue
from schemas.topics import CHECKPOINTS, JOURNAL, OUTPUTS, TOPICS, inputs_of
from schemas.values import SECOND
from services.market_time import wall_time
from streams.journal import FailStop, JournalState, read_journal
from streams.log.base import EventLog, LogError, end_of
from streams.reader import Clock, SeqReader, Unfilled
from streams.recovery import CHECKPOINTS_TRIED, commit_at, read_checkpoint
from streams.venues import venue_of

COMMANDS = "commands"
STALL_S = 30.0
"""How long an input may wait while the trader takes none: what a worker grants itself (``streams.app``) as well."""


class TraderProgress(NamedTuple):
    """Inputs on the log, inputs taken (a step takes one), wall-clock microseconds of the newest commit.

    ``waited_s``: for how long an input has certainly waited while none was taken.
    """

    inputs: int
    taken: int
    committed_at: int | None
    waited_s: float = 0.0

    @property
    def lag(self) -> int:
        """Return how many inputs wait."""
        return max(0, self.inputs - self.taken)

    @property
    def stalled(self) -> bool:
        """Tell whether an input has waited longer than a trader that is alive lets it."""
        return self.waited_s > STALL_S

    def words(self) -> str:
        """Say that no trader takes inputs, and what to do."""
        last = "none was ever taken" if self.committed_at is None else f"the last was taken {self.silent_s():.0f} s ago"
        return (
            f"{self.lag} inputs wait, for {self.waited_s:.0f} s at least, and no trader takes them ({last}): "
            "is `tapeline worker` running on this log? Nothing is decided until it is"
        )

    def silent_s(self) -> float:
        """Return the seconds since the newest commit by this machine's clock; 0 where there is none."""
        return 0.0 if self.committed_at is None else max(0.0, (wall_time() - self.committed_at) / SECOND)


class TraderWatch:
    """Follows the journal of a shard: the first question starts at the newest checkpoint, the next read what is new.

    How long an input waits is told by the clock between two questions, and at once where the input is a command: its
    ``ts_ingest`` is the wall clock's, which that of a recorded tick is not.
    """

    def __init__(
        self, log: EventLog, shard: int, *, clock: Clock = time.monotonic, wall: Callable[[], int] = wall_time
    ) -> None:
        self._log = log
        self._shard = shard
        self._clock = clock
        self._wall = wall
        self._lock = Lock()
        self._still: tuple[int, float] | None = None  # inputs taken, and since when others were seen to wait
        self._commands = 0  # commands taken
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
            progress = TraderProgress(inputs, journal.next_step, self._committed_at)
            return progress._replace(waited_s=round(self._waited(progress), 3))

    def _waited(self, progress: TraderProgress) -> float:
        if progress.lag == 0:
            self._still = None
            return 0.0
        now = self._clock()
        if self._still is None or self._still[0] != progress.taken:
            self._still = progress.taken, now
        return max(now - self._still[1], self._command_waited())

    def _command_waited(self) -> float:
        """Return how long the oldest waiting command has waited since the newest commit; 0: none waits."""
        waiting = self._log.read(COMMANDS, self._shard, self._commands, limit=1)
        if not waiting:
            return 0.0
        try:
            asked = decode(waiting[0].value)[0].ts_ingest
        except CodecError:
            return 0.0  # what cannot be read has no time; the clock between two questions tells
        return max(0.0, (self._wall() - max(asked, self._committed_at or 0)) / SECOND)

    def _read_on(self) -> JournalState:
        journal = self._begin() if self._journal is None else replace(self._journal)
        end = self._log.end_offset(JOURNAL, self._shard)
        newest, commands = None, 0
        for newest in read_journal(self._log, self._shard, journal, end):
            commands += sum(run.count for run in newest.commit.runs if run.topic == COMMANDS)
        if newest is not None:
            self._committed_at = self._time_of(newest.offset)
        self._journal = journal  # only a pass that went through is built upon
        self._commands += commands
        return journal

    def _begin(self) -> JournalState:
        self._commands = 0
        end = self._log.end_offset(CHECKPOINTS, self._shard)
        for offset in range(end - 1, max(end - 1 - CHECKPOINTS_TRIED, -1), -1):
            checkpoint = read_checkpoint(self._log, self._shard, offset)
            counted = checkpoint and commit_at(self._log, self._shard, checkpoint.journal_offset)
            if checkpoint and counted and checkpoint.chain == counted.commit.chain:
                self._committed_at = self._time_of(counted.offset)
                self._commands = next((at.offset for at in checkpoint.inputs if at.topic == COMMANDS), 0)
                commit = counted.commit
                return JournalState(commit.epoch, counted.claim, commit.last_step + 1, commit.chain, counted.offset + 1)
        return JournalState()

    def _time_of(self, offset: int) -> int:
        return decode(self._log.read(JOURNAL, self._shard, offset, limit=1)[0].value)[0].ts_ingest


def projector_lag(log: EventLog, positions: Mapping[tuple[str, int], Reached], shard: int) -> dict[str, int]:
    """Return records not yet projected, by topic; ``positions`` by (topic, partition)."""
    reached = {topic: at.offset for (topic, partition), at in positions.items() if partition == shard}
    return {topic.name: end_of(log, topic.name, shard) - reached.get(topic.name, 0) for topic in TOPICS}


class ProjectorWatch:
    """Whether the projector waits for a number that does not come, told from its stored positions and the log.

    Costs nothing while the projector moves: a topic is looked at where it stands still, once for each offset.
    """

    def __init__(self, log: EventLog, shard: int, *, clock: Clock = time.monotonic) -> None:
        self._log = log
        self._shard = shard
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[str, SeqReader] = {}

    def overdue(self, positions: Mapping[tuple[str, int], Reached]) -> list[Unfilled]:
        """Return the numbers that have been missing too long, and log each of them as an error. Raises LogError."""
        found = []
        with self._lock:
            for (topic, partition), at in sorted(positions.items()):
                if partition == self._shard and topic in OUTPUTS:
                    missing = self._look(topic, at)
                    found += [missing] if missing is not None and missing.overdue else []
        return found

    def _look(self, topic: str, at: Reached) -> Unfilled | None:
        reader = self._waiting.get(topic)
        moved = reader is not None and reader.seq != at.seq
        if reader is None or moved:
            reader = SeqReader(self._log, topic, self._shard, seq=at.seq, clock=self._clock)
            self._waiting[topic] = reader
        if not moved and reader.offset != at.offset:
            reader.offset = at.offset
            try:
                reader.look_back()
            except CodecError as error:
                raise LogError(f"{topic} cannot be followed: {error}") from error
        reader.alert()
        return reader.unfilled()
