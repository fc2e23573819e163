"""How often a caller may ask for something: a token bucket per client address, and what is never held up.

It protects the log and the trader from a script that runs away, not the account: what risk allows is the trader's word.
Wrong tokens have buckets of their own, and only wrong tokens are held up by them: the operator behind the same address
as a flood, a proxy's for one, gets through with the right one. Guessing is made hopeless by the token's length.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from fastapi import Request

from services.errors import ApiError

ALWAYS = frozenset({"/risk/pause", "/risk/kill", "/positions/close"})
"""What lowers exposure goes through at any rate."""
CLIENTS_MAX = 1_000
"""Addresses remembered; the one longest unseen is forgotten first, and starts with a full bucket again."""


class RateLimit:
    """``per_minute`` calls at once and that many a minute, per client. May be shared between threads."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, request: Request) -> None:
        """Take one call from the caller's bucket. Raises ApiError 429 naming the seconds to wait."""
        if request.url.path not in ALWAYS:
            self.charge(request, "calls")

    def charge(self, request: Request, what: str) -> None:
        """Take one from the caller's bucket, whatever it is for. Raises ApiError 429 that names it."""
        wait = self.take(request.client.host if request.client else "")
        if wait > 0:
            seconds = math.ceil(wait)
            raise ApiError(
                429, f"more than {self._per_minute} {what} a minute; try again in {seconds} s", retry_after_s=seconds
            )

    def take(self, client: str) -> float:
        """Take one call; return 0, or how many seconds from now there is one again."""
        now, rate = self._clock(), self._per_minute / 60.0
        with self._lock:
            left, seen = self._buckets.pop(client, (float(self._per_minute), now))
            left = min(float(self._per_minute), left + (now - seen) * rate)
            allowed = left >= 1.0
            self._buckets[client] = (left - 1.0 if allowed else left, now)
            if len(self._buckets) > CLIENTS_MAX:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / rate
