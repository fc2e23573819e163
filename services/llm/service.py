"""The completion service of one shard: reads ``prompts`` by the reader rule, has each request answered, once.

A request nobody was asked about yet is asked while its deadline is not over, also after a crash, and else answered that
it is too late. One that was under way when a service ended is answered so and not asked again: that may be paid. So
every request has its answer. The service ends with the first error of its hold on ``completions``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from schemas.envelope import Envelope
from schemas.events.model import CompletionAttempted, CompletionRequested
from schemas.values import SECOND, plain
from services.llm.asker import Asker, Completion
from services.llm.budget import DAY, Amount, spent_by
from services.llm.topic import CompletionsTopic, Place, Written
from services.market_time import wall_time
from streams.log.base import EventLog
from streams.reader import SeqReader

PROMPTS = "prompts"
READ_LIMIT = 500
PARALLEL_MAX = 4
"""Requests asked at once; the others wait, and their time with them."""
POLL_S = 0.1
MARGIN = 0.05
"""Share of the time left that is kept for writing the answer down."""
MARGIN_S_MAX = 1.0

Waiting = tuple[Envelope, CompletionRequested]
logger = structlog.get_logger("tapeline.llm")


@dataclass
class ServiceCounts:
    """What a run came to, by how requests ended."""

    answers: dict[str, int] = field(default_factory=dict)

    def take(self, outcome: str) -> None:
        """Count one answer."""
        self.answers[outcome] = self.answers.get(outcome, 0) + 1


def outcome_of(event: Completion) -> str:
    """Return ``received``, or the reason there is no completion."""
    reason = getattr(event, "reason", None)
    return "received" if reason is None else str(reason.value).lower()


class CompletionService:
    """One shard's requests. ``now``: the time a message of now carries. ``told``: called with every answer written."""

    def __init__(
        self,
        log: EventLog,
        shard: int,
        asker: Asker,
        topic: CompletionsTopic,
        *,
        now: Callable[[], int],
        stopped: Callable[[], bool],
        told: Callable[[Completion], None] = lambda _: None,
    ) -> None:
        self.counts = ServiceCounts()
        self._asker = asker
        self._topic = topic
        self._log = log
        self._shard = shard
        self._reader = SeqReader(log, PROMPTS, shard)
        self._now = now
        self._stopped = stopped
        self._told = told
        self._answered: set[str] = set()
        self._under_way: dict[str, list[CompletionAttempted]] = {}
        self._waiting: deque[Waiting] = deque()

    async def run(self) -> None:
        """Claim the completions and answer until stopped. Raises Displaced, AppendInDoubt, LogError."""
        self._open()
        running = set[asyncio.Task[None]]()
        try:
            while not self._stopped():
                self._read()
                while self._waiting and len(running) < PARALLEL_MAX:
                    running.add(asyncio.create_task(self._serve(*self._waiting.popleft())))
                done, running = await self._pause(running)
                for error in [error for task in done if (error := task.exception()) is not None]:
                    raise error
                if self._topic.place_due and not running and not self._waiting and self._reader.lag() == 0:
                    self._topic.renew(Place(self._reader.offset, self._reader.seq))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _open(self) -> None:
        wall = wall_time()
        held = self._topic.look(since=wall - wall % DAY)
        place = held.place or Place()
        self._answered, self._under_way = held.answered, held.attempts
        for event, when in held.answers:
            self._asker.budget.spend(spent_by(event), when)
        self._reader = SeqReader(self._log, PROMPTS, self._shard, offset=place.offset, seq=place.seq)
        self._reader.look_back()
        self._read()
        self._take(self._topic.claim())
        for attempt in [attempt for attempts in self._under_way.values() for attempt in attempts]:
            self._asker.budget.spend(Amount(attempt.tokens_max, attempt.cost_max), wall)
        spent = self._asker.budget.spent(wall)
        logger.info("claimed", open=len(self._waiting), spent_tokens=spent.tokens, spent_usd=plain(spent.cost))

    def _take_others(self) -> None:
        """Take in what the service before us still wrote; another that has come since ends this one."""
        self._take(self._topic.others())

    def _take(self, events: Sequence[Written]) -> None:
        for event in events:
            if isinstance(event, CompletionAttempted):
                self._under_way.setdefault(event.request_id, []).append(event)
                continue
            self._answered.add(event.request_id)
            self._asker.budget.spend(spent_by(event), wall_time())

    def _read(self) -> None:
        """Read on while there is something and nothing waits: a long past of answered requests passes quickly."""
        while not self._waiting and not self._stopped():
            before = self._reader.offset
            for accepted in self._reader.poll(READ_LIMIT):
                if accepted.envelope.event_id in self._answered:
                    self._answered.discard(accepted.envelope.event_id)
                elif isinstance(accepted.event, CompletionRequested):
                    self._waiting.append((accepted.envelope, accepted.event))
            if self._reader.offset == before:
                return

    async def _pause(self, running: set[asyncio.Task[None]]) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
        if not running:
            await asyncio.sleep(POLL_S)
            return set(), set()
        return await asyncio.wait(running, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)

    async def _serve(self, envelope: Envelope, request: CompletionRequested) -> None:
        """Ask, unless somebody else has taken over, and write the answer down."""
        self._take_others()
        if envelope.event_id in self._answered:
            return
        now = max(self._now(), envelope.ts_event)  # the trader's clock may be ahead of a feed that stands still
        left_s = (request.ts_deadline - now) / SECOND
        left_s -= min(MARGIN_S_MAX, left_s * MARGIN)
        if attempts := self._under_way.pop(envelope.event_id, None):
            event: Completion = self._asker.interrupted(request, envelope.event_id, attempts)
        else:
            event = await self._asker.answer(
                request, envelope.event_id, left_s, lambda attempt: self._topic.attempt(attempt, envelope)
            )
        self._topic.write(event, envelope)
        outcome = outcome_of(event)
        self.counts.take(outcome)
        self._told(event)
        logger.info(
            "answered",
            request_id=envelope.event_id,
            instrument_id=request.instrument_id,
            outcome=outcome,
            model=event.model,
            detail=getattr(event, "detail", ""),
            attempts=event.attempts,
            latency_ms=event.latency_ms,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            usd=plain(event.cost) if event.cost_known else "unknown",
            correlation_id=envelope.correlation_id,
        )
