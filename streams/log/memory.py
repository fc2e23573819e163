"""An event log in memory: for tests, what-if and time travel. Same rules as the durable ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import RLock

from streams.log.base import Append, LogError, NewRecord, NoTopic, StoredRecord


class MemoryLog:
    """Lists of records by topic and partition; safe to share between threads."""

    def __init__(self) -> None:
        self._partitions: dict[str, list[list[StoredRecord]]] = {}
        self._lock = RLock()

    def create_topics(self, topics: Mapping[str, int]) -> None:
        with self._lock:
            for name, count in topics.items():
                existing = self._partitions.setdefault(name, [[] for _ in range(count)])
                if len(existing) != count:
                    raise LogError(
                        f"topic {name} has {len(existing)} partitions, not {count}: partition counts are fixed for ever"
                    )

    def partitions(self, topic: str) -> int:
        if topic not in self._partitions:
            raise NoTopic(f"topic {topic} does not exist; create the log first (`tapeline feed import` does)")
        return len(self._partitions[topic])

    def end_offset(self, topic: str, partition: int) -> int:
        return len(self._records(topic, partition))

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        with self._lock:
            return self._records(topic, partition)[offset : offset + limit]

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        with self._lock:
            return [self._put(record) for record in records]

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        with self._lock:
            if self.end_offset(record.topic, record.partition) != expected_offset:
                return Append.FENCED
            self._put(record)
            return Append.ACCEPTED

    def publish(self, records: Sequence[NewRecord]) -> None:
        self.append(records)

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        with self._lock:
            result = self.append_at(journal, expected_offset)
            if result is Append.ACCEPTED:
                self.publish(outputs)
            return result

    def close(self) -> None:
        """Nothing to release; the records live as long as the object."""

    def _records(self, topic: str, partition: int) -> list[StoredRecord]:
        if partition >= self.partitions(topic):
            raise LogError(f"topic {topic} has no partition {partition}")
        return self._partitions[topic][partition]

    def _put(self, record: NewRecord) -> int:
        records = self._records(record.topic, record.partition)
        offset = len(records)
        records.append(StoredRecord(record.topic, record.partition, offset, record.key, record.value))
        return offset
