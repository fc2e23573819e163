"""The venue's time, told from our clock and a few questions."""

from __future__ import annotations

import time
from dataclasses import dataclass

from services.gateways.okx.market.rest import PublicApi

CLOCK_SAMPLES = 3
"""The first request of a connection pays for opening it; the next ones tell the time better."""


@dataclass(frozen=True, slots=True)
class VenueClock:
    """The venue's time from ours; both in microseconds."""

    offset_us: int

    def at(self, ts: int) -> int:
        """Return the venue's time at a moment of our clock."""
        return ts + self.offset_us

    def now(self) -> int:
        """Return the venue's time."""
        return self.at(local_now())


def local_now() -> int:
    """Return our clock in microseconds."""
    return time.time_ns() // 1000


async def measured_clock(api: PublicApi) -> VenueClock:
    """Ask the venue for the time, a few times; the quickest answer counts, as of the middle of its round trip."""
    found: list[tuple[int, int]] = []
    for _ in range(CLOCK_SAMPLES):
        before = local_now()
        theirs = await api.time()
        after = local_now()
        found.append((after - before, theirs - (before + after) // 2))
    return VenueClock(min(found)[1])
