"""The service's hold on ``completions``: it claims the topic, and every answer must land at the very next offset.

Another offset means that somebody else wrote: the hold is gone. Nothing is retried in place; a new process claims,
reads what is answered, and goes on. Answers are inputs of the trader, which takes the first one of a request: what a
former service still wrote, as a broker lets it, is either that first one or says nothing new.
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
            (offset,) = self._log.append([self._record(event, "", "")])
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

    def check(self) -> None:
        """Raise Displaced when somebody else has written since our last record."""
        end = self._log.end_offset(COMPLETIONS, self._shard)
        if end != self._next:
            raise self._taken()

    def write(self, event: Completion, request: Envelope) -> None:
        """Append one answer at the next offset. Raises Displaced, AppendInDoubt."""
        record = self._record(event, request.event_id, request.correlation_id)
        result = self._log.append_at(record, self._next)
        if result is Append.FENCED:
            raise self._taken()
        if result is Append.UNSURE:
            raise AppendInDoubt(f"completions of shard {self._shard}: offset {self._next} is in doubt")
        self._next += 1

    def _taken(self) -> Displaced:
        return Displaced(
            f"completions of shard {self._shard}: offset {self._next} was written by somebody else: another completion "
            "service has taken over and this one stops; only one may write there"
        )

    def _record(self, event: Event, causation_id: str, correlation_id: str) -> NewRecord:
        wall, when = wall_time(), Micros(self._now())
        identity = derive_id("completion", self._shard, self._next, causation_id, self.claim_id, wall)
        envelope = Envelope(
            identity,
            correlation_id or identity,
            causation_id,
            STAGE,
            NOT_SEQUENCED,
            0,
            NOT_SEQUENCED,
            when,
            wall,
            CODE_VERSION,
            "",
        )
        return NewRecord(COMPLETIONS, self._shard, self._account_id.encode(), encode(envelope, event), when)
