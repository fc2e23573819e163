"""Read a topic the way every consumer must: accept the record whose ``seq`` is the next, ignore every other.

A lower ``seq`` is a repeat, a higher one means its predecessor will be published again before it (kernel, section 6).
Topics the trader did not write, ``reports`` of a gateway among them, are ordered by their offset alone.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.codec import CodecError, decode
from schemas.envelope import Envelope, Event
from streams.log.base import EventLog, StoredRecord, end_of
from streams.venues import is_sequenced


class Accepted(NamedTuple):
    """A record that counts, decoded."""

    record: StoredRecord
    envelope: Envelope
    event: Event


class SeqReader:
    """Reads one topic partition from (``offset``, ``seq``), both of which a consumer stores with what it derived.

    ``ahead``: how many records in a row had a ``seq`` above the next; more than none for 10 s is an alert.
    """

    def __init__(self, log: EventLog, topic: str, partition: int, *, offset: int = 0, seq: int = 0) -> None:
        self.log = log
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.seq = seq
        self.repeats = 0
        self.ahead = 0
        self._sequenced: bool | None = None

    def poll(self, limit: int) -> list[Accepted]:
        """Return the next accepted records among up to ``limit`` stored ones; empty: nothing new that counts.

        ``offset`` moves past every record looked at. Raises CodecError for bytes that are not a record of ours.
        """
        accepted: list[Accepted] = []
        records = self.log.read(self.topic, self.partition, self.offset, limit=limit)
        if records and self._sequenced is None:  # not before: an empty log does not say yet where its orders go
            self._sequenced = is_sequenced(self.log, self.topic, self.partition)
        for record in records:
            try:
                envelope, event = decode(record.value)
            except CodecError as error:
                raise CodecError(f"{self.topic}[{self.partition}] offset {record.offset}: {error}") from error
            self.offset = record.offset + 1
            if self._sequenced and not self._is_next(envelope.seq):
                continue
            accepted.append(Accepted(record, envelope, event))
        return accepted

    def lag(self) -> int:
        """Return how many stored records are still to be looked at."""
        return end_of(self.log, self.topic, self.partition) - self.offset

    def _is_next(self, seq: int) -> bool:
        if seq == self.seq:
            self.seq += 1
            self.ahead = 0
            return True
        if seq < self.seq:
            self.repeats += 1
        else:
            self.ahead += 1
        return False
