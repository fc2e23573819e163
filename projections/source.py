"""What a projector needs of a log, as protocols: ``services`` hands in the real one, projections import no streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.envelope import Envelope, Event


class LogPosition(NamedTuple):
    """Where a record is on the log."""

    topic: str
    partition: int
    offset: int


class Record(Protocol):
    """A stored record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes: ...


class Accepted(Protocol):
    """A record that counts under the reader rule, decoded."""

    @property
    def record(self) -> Record: ...
    @property
    def envelope(self) -> Envelope: ...
    @property
    def event(self) -> Event: ...


class Unfilled(Protocol):
    """A number that is waited for while a higher one is on the log."""

    @property
    def expected_seq(self) -> int: ...
    @property
    def seen_seq(self) -> int: ...
    @property
    def age_s(self) -> float: ...


class Reader(Protocol):
    """One topic partition read by the ``seq`` rule; ``offset`` and ``seq`` are where it will go on."""

    offset: int
    seq: int

    def poll(self, limit: int) -> Sequence[Accepted]:
        """Return the accepted among the next ``limit`` stored records, those there now. Raises CodecError.

        Logs an error where a number has been waited for too long.
        """

    def unfilled(self) -> Unfilled | None:
        """Return the number that is waited for, if any."""


class Source(Protocol):
    """A log as a projector sees it."""

    def partitions(self, topic: str) -> int:
        """Return the partition count of a topic."""

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset the next record will get."""

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[Record]:
        """Return up to ``limit`` stored records from ``offset`` on, undecoded."""

    def reader(self, topic: str, partition: int, *, offset: int, seq: int) -> Reader:
        """Return a reader that goes on at ``offset``, expecting ``seq``."""
