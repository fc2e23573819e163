"""The service's hold on ``completions``: it claims the topic, and every answer must land at the very next offset.

At another offset somebody else has written. A claim means that the hold is gone: nothing is retried in place, a new
process claims, reads what is answered, and goes on. An answer is what the service before us still wrote, as a broker
lets it; answers are inputs of the trader, which takes the first of a request, so it is that one or says nothing new.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.model import CompletionFailed, CompletionReceived, CompletionsClaimed
from schemas.ids import derive_id
from schemas.values import Micros
from services.market_time import wall_time
from services.sole_writer import AppendInDoubt, Displaced
from streams.log.base import Append, EventLog, LogError, NewRecord
from streams.pipeline import CODE_VERSION

COMPLETIONS = "completions"
STAGE = "llm"
READ_LIMIT = 2_000

Completion = CompletionReceived | CompletionFailed


@dataclass
class Held:
    """What the topic holds when it is claimed: requests that are answered, and every answer with when it came in."""

    answered: set[str] = field(default_factory=set)
    answers: list[tuple[Completion, int]] = field(default_factory=list)


class CompletionsTopic:
    """``completions`` of one shard in the hand of one service. ``now``: the time a message of now carries."""

    def __init__(self, log: EventLog, shard: int, account_id: str, now: Callable[[], int]) -> None:
        self._log = log
        self._shard = shard
        self._account_id = account_id
        self._now = now
        self._next = 0
        self.claim_id = ""

    def claim(self, *, answers_since: int) -> Held:
        """Claim the topic and return what it holds, answers only as old as a moment of the wall clock.

        Raises AppendInDoubt when the claim is not acknowledged, LogError at a hole.
        """
        service = f"{socket.gethostname()}-{os.getpid()}"
        self.claim_id = derive_id("completions-claim", self._shard, service, wall_time())
        event = CompletionsClaimed(self._account_id, self.claim_id, service, CODE_VERSION)
        try:
            (offset,) = self._log.append([self._record(self._envelope("", ""), event)])
        except LogError as error:
            raise AppendInDoubt(f"the claim on the completions was not acknowledged: {error}") from error
        held = Held()
        for envelope, found in self._records(offset + 1):
            if isinstance(found, CompletionReceived | CompletionFailed):
                held.answered.add(found.request_id)
                if envelope.ts_ingest >= answers_since:
                    held.answers.append((found, envelope.ts_ingest))
        return held

    def _records(self, end: int) -> Iterator[tuple[Envelope, Event]]:
        """Yield the records from the next one to ``end``, exclusive, and count them as read."""
        while self._next < end:
            records = self._log.read(COMPLETIONS, self._shard, self._next, limit=min(READ_LIMIT, end - self._next))
            if not records or records[0].offset != self._next:
                raise LogError(f"completions of shard {self._shard}: offset {self._next} is missing")
            self._next += len(records)
            yield from (decode(record.value) for record in records)

    def others(self) -> list[Completion]:
        """Return what the service before us wrote since our last record. Raises Displaced at the claim of another."""
        return [event for _, event in self._foreign()]

    def write(self, event: Completion, request: Envelope) -> None:
        """Append one answer. Raises Displaced, AppendInDoubt."""
        envelope = self._envelope(request.event_id, request.correlation_id)
        result = self._log.append_at(self._record(envelope, event), self._next)
        if result is Append.ACCEPTED:
            self._next += 1
        elif result is Append.UNSURE or not any(envelope == written for written, _ in self._foreign()):
            raise AppendInDoubt(f"completions of shard {self._shard}: an answer is in doubt, start again")

    def _foreign(self) -> list[tuple[Envelope, Completion]]:
        found = []
        for envelope, event in self._records(self._log.end_offset(COMPLETIONS, self._shard)):
            if not isinstance(event, CompletionReceived | CompletionFailed):
                raise Displaced(
                    f"completions of shard {self._shard}: another completion service has taken over and this one "
                    "stops; only one may write there"
                )
            found.append((envelope, event))
        return found

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
