"""The service's hold on ``completions``: it claims the topic, and every answer must land at the very next offset.

At another offset somebody else has written. A claim means that the hold is gone: nothing is retried in place, a new
process claims, reads what is answered, and goes on. An answer is what the service before us still wrote, as a broker
lets it; answers are inputs of the trader, which takes the first of a request, so it is that one or says nothing new.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.model import CompletionAttempted, CompletionFailed, CompletionReceived, CompletionsClaimed
from schemas.ids import derive_id
from schemas.values import Micros
from services.market_time import wall_time
from services.sole_writer import AppendInDoubt, Displaced, WriterStopped
from streams.log.base import Append, EventLog, LogError, NewRecord, StoredRecord
from streams.pipeline import CODE_VERSION

COMPLETIONS = "completions"
STAGE = "llm"
READ_LIMIT = 500
PLACE_AFTER = 500
"""Answers after which the topic is claimed again with a place, so that a start need not read a year of them."""
LOOK_BACK = 100
"""Records before a place that are looked at all the same: a former service's last answer may be to a newer request."""

Completion = CompletionReceived | CompletionFailed
Written = Completion | CompletionAttempted
"""What a service writes about a request."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in ``prompts`` before which every request is answered; the reader of them begins there."""

    offset: int = 0
    seq: int = 0


@dataclass
class Held:
    """What the end of the topic holds, newest first: answers behind the place by their request, answers of the day.

    ``attempts``: calls behind the place to whose requests no answer is known, by request.
    """

    place: Place | None = None
    answered: set[str] = field(default_factory=set)
    answers: list[tuple[Completion, int]] = field(default_factory=list)
    attempts: dict[str, list[CompletionAttempted]] = field(default_factory=dict)
    oldest: int = 0
    behind: int = 0

    def take(self, envelope: Envelope, event: Event, since: int) -> None:
        """Take in the next older record."""
        self.oldest = envelope.ts_ingest
        self.behind += self.place is not None
        if isinstance(event, CompletionsClaimed):
            if self.place is None and event.prompts_offset is not None and event.prompts_seq is not None:
                self.place = Place(event.prompts_offset, event.prompts_seq)
        elif isinstance(event, CompletionReceived | CompletionFailed):
            if self._near:
                self.answered.add(event.request_id)
            if envelope.ts_ingest >= since:
                self.answers.append((event, envelope.ts_ingest))
        elif isinstance(event, CompletionAttempted) and self._near and event.request_id not in self.answered:
            self.attempts.setdefault(event.request_id, []).append(event)

    @property
    def _near(self) -> bool:
        return self.place is None or self.behind <= LOOK_BACK


class CompletionsTopic:
    """``completions`` of one shard in the hand of one service. ``now``: the time a message of now carries."""

    def __init__(self, log: EventLog, shard: int, account_id: str, now: Callable[[], int]) -> None:
        self._log = log
        self._shard = shard
        self._account_id = account_id
        self._now = now
        self._next = 0
        self._unplaced = 0
        self._foreign: list[Completion] = []
        self._stopped: WriterStopped | None = None
        self._service = f"{socket.gethostname()}-{os.getpid()}"
        self.claim_id = derive_id("completions-claim", shard, self._service, wall_time())

    @property
    def place_due(self) -> bool:
        """Tell whether so many answers came since the last place that the next start deserves a new one."""
        return self._unplaced >= PLACE_AFTER

    def look(self, *, since: int) -> Held:
        """Read from the end back to the newest place, and to a moment of the wall clock. Raises LogError at a hole."""
        held = Held()
        end = self._next = self._log.end_offset(COMPLETIONS, self._shard)
        while end > 0 and (held.place is None or held.behind < LOOK_BACK or held.oldest >= since):
            start = max(0, end - READ_LIMIT)
            for record in reversed(self._between(start, end)):
                held.take(*decode(record.value), since)
            end = start
        self._unplaced = len(held.answered)
        return held

    def claim(self) -> list[Written]:
        """Claim the topic; return what was still written since ``look``.

        Raises AppendInDoubt when the claim is not acknowledged, LogError at a hole.
        """
        try:
            (offset,) = self._log.append([self._record(self._envelope("", ""), self._claimed(None))])
        except LogError as error:
            raise AppendInDoubt(f"the claim on the completions was not acknowledged: {error}") from error
        between = [event for _, event in self._records(offset + 1)]
        return [event for event in between if isinstance(event, Written)]

    def renew(self, place: Place) -> None:
        """Claim what is ours again, for the place. Raises Displaced, AppendInDoubt."""
        self._append(self._envelope("", ""), self._claimed(place))
        self._unplaced = 0

    def _claimed(self, place: Place | None) -> CompletionsClaimed:
        offset, seq = (None, None) if place is None else (place.offset, place.seq)
        return CompletionsClaimed(self._account_id, self.claim_id, self._service, CODE_VERSION, offset, seq)

    def _records(self, end: int) -> Iterator[tuple[Envelope, Event]]:
        """Yield the records from the next one to ``end``, exclusive, and count them as read."""
        while self._next < end:
            records = self._between(self._next, min(end, self._next + READ_LIMIT))
            self._next += len(records)
            yield from (decode(record.value) for record in records)

    def _between(self, start: int, end: int) -> Sequence[StoredRecord]:
        records = self._log.read(COMPLETIONS, self._shard, start, limit=end - start)
        if len(records) != end - start or records[0].offset != start:
            raise LogError(f"completions of shard {self._shard}: a record between {start} and {end} is missing")
        return records

    def others(self) -> list[Completion]:
        """Return what the service before us wrote since we last looked. Raises Displaced at the claim of another."""
        self._read_on()
        found, self._foreign = self._foreign, []
        return found

    def write(self, event: Completion, request: Envelope) -> None:
        """Append one answer. Raises Displaced, AppendInDoubt."""
        self._append(self._envelope(request.event_id, request.correlation_id), event)
        self._unplaced += 1

    def attempt(self, event: CompletionAttempted, request: Envelope) -> None:
        """Append a call before it is made; it may not be when this raises. Raises Displaced, AppendInDoubt."""
        self._append(self._envelope(request.event_id, request.correlation_id), event)

    def _append(self, envelope: Envelope, event: Event) -> None:
        self._go_on()
        result = self._log.append_at(self._record(envelope, event), self._next)
        if result is Append.ACCEPTED:
            self._next += 1
        elif result is Append.UNSURE or not self._read_on(envelope):
            doubt = f"completions of shard {self._shard}: a record is in doubt, start again"
            self._stopped = AppendInDoubt(doubt)
            raise self._stopped

    def _read_on(self, ours: Envelope | None = None) -> bool:
        """Take in what is there since we last looked; tell whether a record of ours is among it. Raises Displaced."""
        self._go_on()
        found = False
        for envelope, event in self._records(self._log.end_offset(COMPLETIONS, self._shard)):
            if isinstance(event, CompletionsClaimed) and event.claim_id != self.claim_id:
                self._stopped = Displaced(
                    f"completions of shard {self._shard}: another completion service has taken over and this one "
                    "stops; only one may write there"
                )
                raise self._stopped
            if envelope == ours:
                found = True
            elif isinstance(event, CompletionReceived | CompletionFailed):
                self._foreign.append(event)
        return found

    def _go_on(self) -> None:
        """Raise what ended the hold, again and again: other requests are still under way then, and must not write."""
        if self._stopped is not None:
            raise self._stopped

    def _envelope(self, causation_id: str, correlation_id: str) -> Envelope:
        wall, when = wall_time(), Micros(self._now())
        identity = derive_id("completion", self._shard, self._next, causation_id, self.claim_id, wall)
        correlation = correlation_id or identity
        return Envelope(
            identity, correlation, causation_id, STAGE, NOT_SEQUENCED, 0, NOT_SEQUENCED, when, wall, CODE_VERSION, ""
        )

    def _record(self, envelope: Envelope, event: Event) -> NewRecord:
        return NewRecord(
            COMPLETIONS, self._shard, self._account_id.encode(), encode(envelope, event), envelope.ts_event
        )
