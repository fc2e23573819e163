"""Which settlements should have been told by now. Pure.

The funding channel tells a settlement in the frame that follows it. That frame may be lost, come without the settled
rate, or come while no gateway lived: then the history is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.values import SECOND

GIVEN_UP_US = 3_600 * SECOND
"""How long after its moment a settlement is asked for: past that the venue has none."""


@dataclass(slots=True)
class _Due:
    """``awaited``: the settlement to come. ``passed``: the newest one whose moment is over."""

    awaited: int
    passed: int | None = None
    asked: int = 0


class SettlementWatch:
    """The settlements that forecasts announced, by instrument. Times in microseconds of the venue's clock."""

    def __init__(self) -> None:
        self._due: dict[str, _Due] = {}

    def announced(self, instrument_id: str, due: int, ts: int) -> None:
        """Take in when a forecast told at ``ts`` will be settled; an earlier moment that is over is remembered."""
        known = self._due.setdefault(instrument_id, _Due(due))
        if known.awaited < due and ts >= known.awaited:
            known.passed = known.awaited
        known.awaited = due

    def overdue(self, now: int, wait_us: int, told: Mapping[str, int]) -> list[tuple[str, int]]:
        """Return instrument and moment of what was not told ``wait_us`` after its moment, each again after that long.

        ``told``: the newest settlement told, by instrument.
        """
        found: list[tuple[str, int]] = []
        for name, due in self._due.items():
            moment = due.awaited if due.awaited + wait_us <= now else due.passed
            if moment is None or told.get(name, -1) >= moment or now - moment > GIVEN_UP_US:
                continue
            if now >= max(moment, due.asked) + wait_us:
                due.asked = now
                found.append((name, moment))
        return found
