"""The venue's clock as this machine knows it: an offset, measured, and how sure it is."""

from __future__ import annotations

import time
from collections.abc import Callable

from schemas.values import Micros

WARN_US = 1_000_000
"""A host clock further off than this should be looked at."""
REFUSE_US = 10_000_000
"""A host clock further off than this is broken: nothing starts with it.

Source: OKX v5 refuses signatures 30 s away (50102); ours follow the venue's clock, the rest of the machine does not.
"""


def wall_us() -> int:
    """Return this machine's clock, UTC microseconds."""
    return time.time_ns() // 1000


class VenueClock:
    """Offset of the venue's clock from ours, from the request with the shortest way there and back."""

    def __init__(self, wall: Callable[[], int] = wall_us) -> None:
        self._wall = wall
        self.offset_us: int | None = None
        """Venue minus ours; None: never measured."""

    def now(self) -> Micros:
        """Return the venue's time now; ours until it was measured."""
        return Micros(self._wall() + (self.offset_us or 0))

    def learn(self, samples: list[tuple[int, int, int]]) -> None:
        """Take the best of some samples (ours before, the venue's, ours after)."""
        before, venue, after = min(samples, key=lambda sample: sample[2] - sample[0])
        self.offset_us = venue - (before + after) // 2

    def wall(self) -> int:
        """Return this machine's clock, UTC microseconds."""
        return self._wall()
