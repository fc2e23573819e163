"""One Kafka partition read in bulk and in sequence, without a consumer group."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.log.base import LogError, StoredRecord

_CHUNK = 10_000
"""Records asked of librdkafka in one call."""

INCURABLE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,
    }
)
"""Errors that waiting does not cure; the others are the weather of a broker restart."""


class PartitionReader:
    """Remembers where it is and the end it last heard of, so that reading on costs no question to the broker."""

    def __init__(self, consumer: Consumer, topic: str, name: str, partition: int, timeout_s: float) -> None:
        self.consumer = consumer
        self.topic = topic
        self.name = name
        self.partition = partition
        self.lock = Lock()
        self._timeout_s = timeout_s
        self._position = -1
        self._end = 0
        self._closed = False

    def close(self) -> None:
        """Disconnect, after the read under way if there is one."""
        with self.lock:
            self._closed = True
            self.consumer.close()

    def read(self, offset: int, limit: int, end_offset: Callable[[], int]) -> list[StoredRecord]:
        """Return the records from ``offset`` on that are there now, at most ``limit``. Raises LogError on a hole."""
        with self.lock:
            if self._closed:
                raise LogError(f"{self.name}[{self.partition}]: this log was closed")
            if offset + limit > self._end:
                self._end = end_offset()
            want = min(limit, self._end - offset)
            if want <= 0:
                return []
            if offset != self._position:
                self.consumer.assign([TopicPartition(self.name, self.partition, offset)])
            self._position = -1  # until all of it has arrived
            records = self._collect(offset, want)
            self._position = offset + len(records)
            return records

    def _collect(self, offset: int, want: int) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        topic, partition = self.topic, self.partition
        deadline = time.monotonic() + self._timeout_s
        while len(records) < want:
            for message in self.consumer.consume(min(want - len(records), _CHUNK), 0.5):
                error = message.error()
                if error is not None:
                    self._judge(error, offset)
                    continue
                key, value = message.key(), message.value()
                records.append(StoredRecord(topic, partition, int(message.offset() or 0), key or b"", value or b""))
            if len(records) < want and time.monotonic() > deadline:
                raise LogError(f"{self.name}[{partition}]: {want} records from offset {offset} did not arrive in time")
        if records[0].offset != offset or records[-1].offset != offset + want - 1:
            raise LogError(
                f"{self.name}[{partition}]: asked for {want} records from offset {offset}, "
                f"got {records[0].offset}..{records[-1].offset}: the log has a hole"
            )
        return records

    def _judge(self, error: KafkaError, offset: int) -> None:
        if error.code() in INCURABLE or error.fatal():
            raise LogError(f"{self.name}[{self.partition}] at offset {offset}: {error.str()}")
