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


def steady_us() -> int:
    """Return a clock that only goes forward, whatever is done to the machine's."""
    return time.monotonic_ns() // 1000


class VenueClock:
    """The venue's time, measured now and then and carried on by a clock that nobody sets.

    Deadlines and signatures go by it: a host clock that is set must neither make an order in doubt look late nor the
    venue refuse us.
    """

    def __init__(self, wall: Callable[[], int] = wall_us, steady: Callable[[], int] = steady_us) -> None:
        self._wall, self.steady = wall, steady
        self._measured: tuple[int, int] | None = None
        self.offset_us: int | None = None
        """Venue minus this machine's clock when last measured; None: never measured."""

    def now(self) -> Micros:
        """Return the venue's time now; ours until it was measured."""
        if self._measured is None:
            return Micros(self._wall())
        at, venue = self._measured
        return Micros(venue + self.steady() - at)

    def learn(self, samples: list[tuple[int, int, int]]) -> None:
        """Take the best of some samples (``steady`` before, the venue's time, ``steady`` after): the quickest."""
        before, venue, after = min(samples, key=lambda sample: sample[2] - sample[0])
        self._measured = ((before + after) // 2, venue)
        self.offset_us = self.now() - self._wall()
