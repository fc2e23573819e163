"""Hand the log to the projector: the one place where projections and streams meet."""

from __future__ import annotations

from collections.abc import Sequence

from streams.log.base import EventLog, LogError, StoredRecord
from streams.reader import SeqReader


class LogSource:
    """An event log as ``projections.source.Source``: every topic, read by the ``seq`` rule."""

    def __init__(self, log: EventLog) -> None:
        self.log = log

    def partitions(self, topic: str) -> int:
        """Return the partition count of a topic; 0 where this log is older than the topic."""
        try:
            return self.log.partitions(topic)
        except LogError:
            return 0

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""
        return self.log.end_offset(topic, partition)

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        """Return up to ``limit`` stored records from ``offset`` on."""
        return self.log.read(topic, partition, offset, limit=limit)

    def reader(self, topic: str, partition: int, *, offset: int, seq: int) -> SeqReader:
        """Return a reader by the ``seq`` rule that goes on at ``offset``."""
        return SeqReader(self.log, topic, partition, offset=offset, seq=seq)
