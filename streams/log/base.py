"""The event log: what the rest of Tapeline needs of a store of ordered, immutable records, and nothing more.

Kafka, SQLite and memory implement it under one contract suite. The journal, the projector, verify, review and the batch
runner know only this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

RECORD_BYTES_MAX = 16 * 1024 * 1024 - 64 * 1024
"""Largest key and value together, on every log alike: what a broker of 16 MiB takes with the record's own frame."""


class LogError(Exception):
    """The log cannot do what was asked: names the topic, partition and offset, and what to do."""


class NoTopic(LogError):
    """The log has no such topic: it was made by a version that did not know it, or it was never created."""


class Append(Enum):
    """How a conditional append ended.

    FENCED: somebody else wrote first. UNSURE: nobody can tell whether it landed (error, time-out, ack without offset).
    After both, the writer must stop and recover.
    """

    ACCEPTED = "accepted"
    FENCED = "fenced"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to write."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    ts_event: int


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as read: where it is and what it holds."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes


class EventLog(Protocol):
    """Partitions of records with dense offsets from 0. Topic names here carry no prefix; the Kafka log adds it."""

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Create missing topics (name -> partition count); raise LogError if one exists with another count."""

    def partitions(self, topic: str) -> int:
        """Return the partition count of a topic. Raises NoTopic if it does not exist, as every method below does."""

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        """Return up to ``limit`` records from ``offset`` on, oldest first, those there now: does not wait for more."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append inputs in order and return their offsets, all durable. Raises LogError when in doubt."""

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        """Append one record; ACCEPTED only if it landed exactly at ``expected_offset``."""

    def publish(self, records: Sequence[NewRecord]) -> None:
        """Write outputs in order and wait until they are durable. Raises LogError when in doubt."""

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        """Append the journal record, then publish the outputs if and only if it was accepted.

        A log with transactions does both in one. Raises LogError when the outputs could not be published.
        """

    def close(self) -> None:
        """Release connections; the log stays."""


def end_of(log: EventLog, topic: str, partition: int) -> int:
    """Return the end offset of a topic; 0 where the log is older than the topic."""
    try:
        return log.end_offset(topic, partition)
    except NoTopic:
        return 0
