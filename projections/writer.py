"""The projector: rows and log position in one transaction, batch by batch, so that every record counts exactly once.

It decides nothing about rows (``projectors``) and nothing about which records count (the reader handed in by the
source). Killed anywhere, it goes on where the last committed transaction left it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from psycopg import Connection

from projections.columns import Unprojectable
from projections.connect import connect
from projections.copying import copy_rows
from projections.positions import LOCK_WAIT_S, Place, Reached, add_missing, check_tables, load, lock, move
from projections.projectors import Rows, project_all
from projections.source import Accepted, Reader, Source, Unfilled
from projections.tables import SCHEMA
from projections.unreadable import Unreadable, set_aside, sift
from schemas.codec import CodecError
from schemas.topics import BY_NAME, TOPICS

BATCH = 5000
"""Records of one topic partition in one transaction."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one transaction brought. ``end_offset``: of the partition, when it was read."""

    topic: str
    partition: int
    offset: int
    end_offset: int
    records: int
    rows: int


@dataclass(slots=True)
class Projected:
    """Sums over a run; ``records`` by topic, ``rows`` by table."""

    records: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0


@dataclass(slots=True)
class _Batch:
    accepted: Sequence[Accepted]
    rows: Rows
    bad: Sequence[Unreadable]
    reader: Reader


class Projector:
    """Projects every topic of ``source`` into ``schema`` of the database ``dsn``, which must be migrated.

    One projector a schema: a second one raises ProjectorRunning. Raises VersionDiffers for tables of another version,
    PositionMoved when somebody else wrote, TooManyUnreadable, and CodecError or Unprojectable where a topic may not
    skip a record.
    After any exception the object is spent; a new one goes on from the stored position.
    """

    def __init__(
        self,
        source: Source,
        dsn: str,
        *,
        schema: str = SCHEMA,
        batch: int = BATCH,
        lock_wait_s: float = LOCK_WAIT_S,
        on_progress: Callable[[Progress], None] | None = None,
        on_accepted: Callable[[Sequence[Accepted]], None] | None = None,
    ) -> None:
        self.source = source
        self.schema = schema
        self.batch = batch
        self.projected = Projected()
        self._on_progress = on_progress
        self._on_accepted = on_accepted
        self._connection: Connection = connect(dsn, schema, lazy_commit=True)
        try:
            lock(self._connection, schema, wait_s=lock_wait_s)
            self._readers = self._open_readers()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection and with it the right to write."""
        self._connection.close()

    def run(
        self,
        *,
        until_caught_up: bool = False,
        stop: Callable[[], bool] = lambda: False,
        poll_interval_s: float = 0.1,
        wait: Callable[[float], None] = time.sleep,
    ) -> Projected:
        """Project until ``stop()`` is true or, with ``until_caught_up``, until the log has nothing new."""
        while not stop():
            if self.step():
                continue
            if until_caught_up:
                break
            wait(poll_interval_s)
        return self.projected

    def step(self, up_to: Mapping[Place, Reached] | None = None) -> int:
        """Take at most one batch of every topic partition; return how many records were looked at.

        ``up_to``: offsets not to read past, by place; a place that is not in it is not read at all.
        """
        looked_at = 0
        for place in self._readers:
            limit = self.batch
            if up_to is not None:
                target = up_to[place].offset if place in up_to else 0
                limit = min(limit, target - self._readers[place].offset)
            if limit > 0:
                looked_at += self._take(place, limit)
        return looked_at

    def positions(self) -> dict[Place, Reached]:
        """Return how far each partition has been projected."""
        return {place: Reached(reader.offset, reader.seq) for place, reader in self._readers.items()}

    def lag(self) -> dict[Place, int]:
        """Return how many stored records are still to be looked at, by partition."""
        return {place: self.source.end_offset(*place) - reader.offset for place, reader in self._readers.items()}

    def waiting_for(self) -> dict[Place, Unfilled]:
        """Return the numbers that are waited for while higher ones are on the log, by partition."""
        found = {place: reader.unfilled() for place, reader in self._readers.items()}
        return {place: unfilled for place, unfilled in found.items() if unfilled is not None}

    # -- inside -------------------------------------------------------------------------------------------------------

    def _open_readers(self) -> dict[Place, Reader]:
        places = [
            Place(topic.name, partition) for topic in TOPICS for partition in range(self.source.partitions(topic.name))
        ]
        check_tables(self._connection, self.schema)
        add_missing(self._connection, self.schema, places)
        stored = load(self._connection, self.schema)
        return {place: self._reader(place, stored[place]) for place in places}

    def _reader(self, place: Place, at: Reached) -> Reader:
        return self.source.reader(place.topic, place.partition, offset=at.offset, seq=at.seq)

    def _take(self, place: Place, limit: int) -> int:
        reader = self._readers[place]
        old = Reached(reader.offset, reader.seq)
        batch = self._read(place, reader, old, limit)
        new = Reached(batch.reader.offset, batch.reader.seq)
        if new == old:
            return 0
        self._write(place, old, new, batch)
        self._readers[place] = batch.reader
        return new.offset - old.offset

    def _read(self, place: Place, reader: Reader, old: Reached, limit: int) -> _Batch:
        try:
            accepted = reader.poll(limit)
            return _Batch(accepted, project_all(accepted), (), reader)
        except (CodecError, Unprojectable):
            if not BY_NAME[place.topic].may_skip or BY_NAME[place.topic].sequenced:
                raise
        records = self.source.read(place.topic, place.partition, old.offset, limit=limit)
        good, bad = sift(records)
        return _Batch(good, project_all(good), bad, self._reader(place, Reached(records[-1].offset + 1, old.seq)))

    def _write(self, place: Place, old: Reached, new: Reached, batch: _Batch) -> None:
        with self._connection.transaction():
            # First, so that a writer who lost its place learns that, and not that its rows are there already.
            move(self._connection, self.schema, place, old, new)
            for table, values in batch.rows.items():
                copy_rows(self._connection, self.schema, table, values)
            set_aside(self._connection, self.schema, batch.bad)
        self._count(place, new, batch)

    def _count(self, place: Place, new: Reached, batch: _Batch) -> None:
        sums = self.projected
        sums.records[place.topic] = sums.records.get(place.topic, 0) + len(batch.accepted)
        sums.unreadable += len(batch.bad)
        for table, values in batch.rows.items():
            sums.rows[table] = sums.rows.get(table, 0) + len(values)
        if self._on_progress is not None:
            end = self.source.end_offset(*place)
            rows = sum(map(len, batch.rows.values()))
            self._on_progress(Progress(*place, new.offset, end, len(batch.accepted), rows))
        if self._on_accepted is not None:
            self._on_accepted(batch.accepted)
