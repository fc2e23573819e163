"""The venue's clock, in milliseconds: it follows a wall clock, and the test moves it.

``advance`` lets time pass at the venue (timers, two-hour forgetting, expiries) without making anybody's clock wrong;
``skew_ms`` makes the venue's clock differ from the client's, so that signed requests expire.
"""

from __future__ import annotations

import time
from collections.abc import Callable

AUTH_WINDOW_MS = 30_000
"""Source: "REST API authentication" of the venue's documentation: requests expire 30 seconds after their timestamp."""


def wall_ms() -> int:
    """Return this machine's clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Clock:
    """Milliseconds since 1970 as the venue sees them."""

    def __init__(self, wall: Callable[[], int] = wall_ms) -> None:
        """Follow ``wall``; a unit test passes one that stands still."""
        self._wall = wall
        self._advanced_ms = 0
        self.skew_ms = 0

    @classmethod
    def frozen(cls, at_ms: int) -> Clock:
        """Return a clock that moves only by ``advance``."""
        return cls(lambda: at_ms)

    def now_ms(self) -> int:
        """Return the venue's time."""
        return self._wall() + self._advanced_ms + self.skew_ms

    def advance(self, *, seconds: int = 0, hours: int = 0) -> None:
        """Let time pass at the venue. Whoever owns the venue then runs its timers (``Venue.run_timers``)."""
        self._advanced_ms += (hours * 3600 + seconds) * 1000

    def accepts(self, signed_ms: int) -> bool:
        """Is a signature of that moment still good? Both the wall's time and the venue's own are taken as "now"."""
        real = self._wall() + self.skew_ms
        return any(abs(signed_ms - now) <= AUTH_WINDOW_MS for now in (real, real + self._advanced_ms))
