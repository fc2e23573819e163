"""What the adapters count about themselves: plain numbers, for health and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.events.context import SourceState
from services.adapters.errors import Failure


@dataclass(slots=True)
class AdapterCounters:
    """Totals since the process started, by source, unless said otherwise.

    items: events written, on every shard. aside: values and headlines an answer held that may not be used. failures:
    attempts that failed, by kind too. state: as of the last answer. last_ok_us: when it last gave something usable.
    is_open: whether its breaker is open. held: whether the market is not live, so that nothing is written.
    """

    items: dict[str, int] = field(default_factory=dict)
    aside: dict[str, int] = field(default_factory=dict)
    failures: dict[tuple[str, str], int] = field(default_factory=dict)
    state: dict[str, SourceState] = field(default_factory=dict)
    last_ok_us: dict[str, int] = field(default_factory=dict)
    is_open: dict[str, bool] = field(default_factory=dict)
    held: bool = False

    def know(self, source: str) -> None:
        """Begin to count a source: it is shown with zeros before anything happened."""
        for counts in (self.items, self.aside):
            counts.setdefault(source, 0)
        for kind in Failure:
            self.failures.setdefault((source, kind.value), 0)
        self.is_open.setdefault(source, False)

    def fail(self, source: str, kind: Failure) -> None:
        """Count an attempt that failed."""
        key = source, kind.value
        self.failures[key] = self.failures.get(key, 0) + 1
