"""What every benchmark is called with."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.places import Places

REPETITIONS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """``full``: as large as the goals say, instead of large enough to see the rate."""

    places: Places
    full: bool = False
    repetitions: int = REPETITIONS
