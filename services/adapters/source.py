"""One source: where it is, what its answer means, how often it is asked; and asking it, with patience and a breaker.

A failed attempt is repeated after a random, growing pause where that can help. Every attempt goes through the source's
circuit breaker: after some failures in a row nobody asks for a while, then one attempt finds out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pybreaker
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from schemas.envelope import Event
from schemas.values import SECOND
from services.adapters.errors import Failure, SourceError, garbage
from services.adapters.fetching import TIME_LIMIT_S, Body, Fetcher

Parse = Callable[[str, Body, int], tuple[Event, ...]]
"""Source name, body and now in microseconds to events, nothing judged yet. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a source is waited for. ``attempt_s``: one attempt; ``pause_s``: the first pause between two, at most.

    ``breaker_failures``: attempts in a row that open the breaker, for ``breaker_s`` seconds.
    """

    attempts: int = 3
    attempt_s: float = TIME_LIMIT_S
    pause_s: float = 1.0
    pause_s_max: float = 10.0
    breaker_failures: int = 6
    breaker_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Source:
    """What one source is. ``stale_after_s``: its newest word may be this old."""

    name: str
    fetcher: Fetcher
    parse: Parse
    interval_s: float
    stale_after_s: int
    patience: Patience = field(default_factory=Patience)

    @property
    def stale_after_us(self) -> int:
        """Return the limit in microseconds."""
        return self.stale_after_s * SECOND


class Poller:
    """Asks one source. ``failed``: called with the kind of every attempt that failed."""

    def __init__(self, source: Source, *, now: Callable[[], int], failed: Callable[[Failure], None]) -> None:
        self.source = source
        self._now = now
        self._failed = failed
        patience = source.patience
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=patience.breaker_failures, reset_timeout=patience.breaker_s, throw_new_error_on_trip=False
        )
        self._retrying = AsyncRetrying(
            stop=stop_after_attempt(patience.attempts),
            wait=wait_random_exponential(multiplier=patience.pause_s, max=patience.pause_s_max),
            retry=retry_if_exception(self._may_help),
            reraise=True,
        )

    @property
    def is_open(self) -> bool:
        """Return whether the breaker keeps the source from being asked."""
        return str(self._breaker.current_state) == pybreaker.STATE_OPEN

    async def ask(self) -> tuple[Event, ...]:
        """Return what the source says. Raises SourceError, once the attempts there are have failed."""
        return await self._retrying(self._attempt)

    def _may_help(self, error: BaseException) -> bool:
        return isinstance(error, SourceError) and error.again and not self.is_open

    async def _attempt(self) -> tuple[Event, ...]:
        try:
            with self._breaker.calling():
                return await self._once()
        except pybreaker.CircuitBreakerError as error:
            self._failed(Failure.BREAKER_OPEN)
            wait = f"not asked for up to {self.source.patience.breaker_s:g} s after its failures"
            raise SourceError(Failure.BREAKER_OPEN, wait) from error
        except SourceError as error:
            self._failed(error.kind)
            raise

    async def _once(self) -> tuple[Event, ...]:
        source = self.source
        body = await source.fetcher.fetch()
        try:
            return await asyncio.to_thread(source.parse, source.name, body, self._now())
        except SourceError:
            raise
        except Exception as error:  # whatever a hostile answer makes of a parser, only its source is down
            raise garbage(f"cannot be read: {type(error).__name__}") from error
