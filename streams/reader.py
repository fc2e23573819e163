"""Read a topic the way every consumer must: accept the record whose ``seq`` is the next, ignore every other.

A lower ``seq`` is a repeat, a higher one means its predecessor will be published again before it (kernel, section 6).
Where it is not, within ``UNFILLED_S_MAX``, every consumer says so in an error log, and is not ready.
Topics the trader did not write, ``reports`` of a gateway among them, are ordered by their offset alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

from schemas.codec import CodecError, decode
from schemas.envelope import Envelope, Event
from streams.log.base import EventLog, StoredRecord, end_of
from streams.venues import is_sequenced

UNFILLED_S_MAX = 10.0
"""How long a number may be missing while a higher one is there. Source: kernel, section 6."""
ALERT_AGAIN_S = 60.0
"""How often a consumer that still waits says so."""
LOOK_BACK = 100
"""How many records before a stored place are looked at for one that came before its turn."""

Clock = Callable[[], float]
"""Seconds that only go forward."""

logger = logging.getLogger("tapeline.reader")


class Accepted(NamedTuple):
    """A record that counts, decoded."""

    record: StoredRecord
    envelope: Envelope
    event: Event


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A number readers wait for: ``seen_seq``, a higher one, is on the log. ``age_s``: since it has been waited for."""

    topic: str
    partition: int
    expected_seq: int
    seen_seq: int
    age_s: float

    @property
    def overdue(self) -> bool:
        """Tell whether it has been waited for longer than a writer takes to publish it again."""
        return self.age_s >= UNFILLED_S_MAX

    def words(self) -> str:
        """Say what is missing and what to do."""
        return (
            f"{self.topic}[{self.partition}]: seq {self.expected_seq} is missing for {self.age_s:.0f} s although "
            f"seq {self.seen_seq} is there: no reader takes what follows; is its worker running? It publishes what is "
            "missing when it starts, or says why it cannot"
        )


class SeqRule:
    """Which record of a partition counts. ``seq``: the next number; ``repeats``: how many lower ones there were."""

    def __init__(self, topic: str, partition: int, seq: int = 0, *, clock: Clock = time.monotonic) -> None:
        self.topic = topic
        self.partition = partition
        self.seq = seq
        self.repeats = 0
        self._clock = clock
        self._seen = -1  # the highest number there is
        self._waiting_since: float | None = None
        self._alerted_at: float | None = None

    def take(self, seq: int) -> bool:
        """Tell whether the record with this number is the next; remember it either way."""
        if seq == self.seq:
            self.seq += 1
            if self._waiting_since is not None:
                self._waiting_since = self._clock() if self._seen >= self.seq else None
            return True
        if seq < self.seq:
            self.repeats += 1
        else:
            self.note(seq)
        return False

    def note(self, seq: int) -> None:
        """Remember that a number not below the next one is on the log."""
        self._seen = max(self._seen, seq)
        if self._waiting_since is None:
            self._waiting_since = self._clock()

    def unfilled(self) -> Unfilled | None:
        """Return the number that is waited for, however short; None: none is."""
        if self._waiting_since is None:
            return None
        age_s = round(self._clock() - self._waiting_since, 3)
        return Unfilled(self.topic, self.partition, self.seq, self._seen, age_s)

    def alert(self) -> None:
        """Write an error log where a number is overdue, and again every ``ALERT_AGAIN_S`` until it comes."""
        missing = self.unfilled()
        if missing is None or not missing.overdue:
            self._alerted_at = None
        elif self._alerted_at is None or self._clock() - self._alerted_at >= ALERT_AGAIN_S:
            self._alerted_at = self._clock()
            logger.error("%s", missing.words(), extra=asdict(missing))


class SeqReader(SeqRule):
    """Reads one topic partition from (``offset``, ``seq``), both of which a consumer stores with what it derived."""

    def __init__(
        self,
        log: EventLog,
        topic: str,
        partition: int,
        *,
        offset: int = 0,
        seq: int = 0,
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(topic, partition, seq, clock=clock)
        self.log = log
        self.offset = offset
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
            envelope, event = self._decode(record)
            self.offset = record.offset + 1
            if self._sequenced and not self.take(envelope.seq):
                continue
            accepted.append(Accepted(record, envelope, event))
        if self._waiting_since is not None:
            self.alert()
        return accepted

    def look_back(self) -> None:
        """Find out whether a number is waited for already: a stored (offset, seq) alone does not tell."""
        if self.offset == 0 or not is_sequenced(self.log, self.topic, self.partition):
            return
        start = max(0, self.offset - LOOK_BACK)
        for record in self.log.read(self.topic, self.partition, start, limit=self.offset - start):
            seq = self._decode(record)[0].seq
            if seq >= self.seq:
                self.note(seq)

    def lag(self) -> int:
        """Return how many stored records are still to be looked at."""
        return end_of(self.log, self.topic, self.partition) - self.offset

    def _decode(self, record: StoredRecord) -> tuple[Envelope, Event]:
        try:
            return decode(record.value)
        except CodecError as error:
            raise CodecError(f"{self.topic}[{self.partition}] offset {record.offset}: {error}") from error
