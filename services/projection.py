"""Hand the log to the projector: the one place where projections and streams meet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event as Alarm
from types import TracebackType
from typing import Self

from psycopg import Connection

from projections.connect import ProjectionError, connect
from projections.source import Accepted
from projections.tables import SCHEMA
from projections.writer import Projected, Projector
from schemas.codec import CodecError, decode
from schemas.topics import JOURNAL
from services.disk import free_ratio
from services.metrics.catalog import Metrics, Service
from services.metrics.meter import Meter
from services.metrics.seed import last_events
from streams.log.base import EventLog, NoTopic, StoredRecord
from streams.reader import Clock, SeqReader

POLL_S = 0.1
"""Pause of a projector that has caught up."""
OFFSETS_S = 1.0
"""How often the offsets of log and projector are shown."""


class LogSource:
    """An event log as ``projections.source.Source``: every topic, read by the ``seq`` rule."""

    def __init__(self, log: EventLog, *, clock: Clock = time.monotonic) -> None:
        self.log = log
        self._clock = clock

    def partitions(self, topic: str) -> int:
        """Return the partition count of a topic; 0 where this log is older than the topic."""
        try:
            return self.log.partitions(topic)
        except NoTopic:
            return 0

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""
        return self.log.end_offset(topic, partition)

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        """Return up to ``limit`` stored records from ``offset`` on."""
        return self.log.read(topic, partition, offset, limit=limit)

    def reader(self, topic: str, partition: int, *, offset: int, seq: int) -> SeqReader:
        """Return a reader by the ``seq`` rule that goes on at ``offset``."""
        reader = SeqReader(self.log, topic, partition, offset=offset, seq=seq, clock=self._clock)
        reader.look_back()
        return reader


class OtherLog(ProjectionError):
    """The tables were filled from another log."""


def refuse_other_log(connection: Connection, log: EventLog) -> None:
    """Raise OtherLog unless the first claim of every shard in the tables is the one on this log.

    A claim's id comes from the moment it was made, so no two logs share one; a restored copy has the same.
    """
    query = "SELECT DISTINCT ON (log_partition) log_partition, log_offset, event_id FROM journal_claims ORDER BY 1, 2"
    for partition, offset, event_id in connection.execute(query).fetchall():
        if _event_id(log, partition, offset) != event_id:
            raise OtherLog(
                f"the tables were filled from another log: they know a claim at offset {offset} of its journal, shard "
                f"{partition}, that this log does not have. Name the log they belong to, or another database (--db, "
                "TAPELINE_DB), or drop the schema tapeline and project this log from its beginning"
            )


def _event_id(log: EventLog, partition: int, offset: int) -> str | None:
    try:
        if partition >= log.partitions(JOURNAL) or offset >= log.end_offset(JOURNAL, partition):
            return None
        records = log.read(JOURNAL, partition, offset, limit=1)
        return decode(records[0].value)[0].event_id if records and records[0].offset == offset else None
    except (NoTopic, CodecError):
        return None


class MeteredProjector:
    """A projector that keeps the metrics of what it projects. Use as a context manager; raises as Projector does, and
    OtherLog.

    disk: a folder on the disk that holds the log, where this machine has it.
    """

    def __init__(self, log: EventLog, dsn: str, *, disk: Path | None = None) -> None:
        metrics = Metrics(Service.PROJECTOR)
        self.registry = metrics.registry
        self._metrics = metrics
        self._meter = Meter(metrics)
        self._log = log
        self._looked_at = 0.0
        if disk is not None:
            metrics.gauge("tapeline_log_disk_free_ratio").labels(str(disk)).set_function(partial(free_ratio, disk))
        self._projector = Projector(LogSource(log), dsn, on_accepted=self._take)
        try:
            with connect(dsn, SCHEMA) as connection:
                refuse_other_log(connection, log)
                self._meter.seed(last_events(connection, log))
        except BaseException:
            self._projector.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._projector.close()

    def run(self, *, until_caught_up: bool, stop: Alarm) -> Projected:
        """Project until ``stop`` is set or, with ``until_caught_up``, until the log has nothing new."""
        while not stop.is_set():
            looked_at = self._projector.step()
            self._show_offsets()
            if looked_at:
                continue
            if until_caught_up:
                break
            stop.wait(POLL_S)
        self._show_offsets(every_s=0.0)
        return self._projector.projected

    def _take(self, accepted: Sequence[Accepted]) -> None:
        for entry in accepted:
            self._meter.take(entry.record.topic, entry.envelope, entry.event)

    def _show_offsets(self, every_s: float = OFFSETS_S) -> None:
        """Show how far log and projector are, not more often than that: it asks the log for every topic."""
        if time.monotonic() - self._looked_at < every_s:
            return
        self._looked_at = time.monotonic()
        for place, reached in self._projector.positions().items():
            labels = place.topic, str(place.partition)
            self._metrics.gauge("tapeline_projector_offset").labels(*labels).set(reached.offset)
            self._metrics.gauge("tapeline_log_end_offset").labels(*labels).set(self._log.end_offset(*place))
        missing = self._metrics.gauge("tapeline_seq_missing_seconds")
        missing.clear()
        for place, unfilled in self._projector.waiting_for().items():
            missing.labels(place.topic, str(place.partition)).set(unfilled.age_s)
