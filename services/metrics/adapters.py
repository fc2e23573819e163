"""The context adapters' own counts as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from schemas.events.context import SourceState
from schemas.values import SECOND
from services.adapters.counters import AdapterCounters
from services.metrics.catalog import Service
from services.metrics.counted import Values, counts_registry

_LEVEL = {SourceState.UP: 0, SourceState.STALE: 1, SourceState.DOWN: 2}


def adapters_registry(counts: AdapterCounters) -> CollectorRegistry:
    """Return a registry that shows these counts. A source that has not answered yet has no state."""
    return counts_registry(Service.ADAPTERS, lambda: _values(counts))


def _values(counts: AdapterCounters) -> Values:
    return {
        "tapeline_source_state_level": {(name,): _LEVEL[state] for name, state in sorted(counts.state.items())},
        "tapeline_source_last_ok_timestamp_seconds": {
            (name,): ts / SECOND for name, ts in sorted(counts.last_ok_us.items())
        },
        "tapeline_source_items_total": _by_source(counts.items),
        "tapeline_source_set_aside_total": _by_source(counts.aside),
        "tapeline_source_failures_total": dict(sorted(counts.failures.items())),
        "tapeline_source_breaker_open": _by_source(counts.is_open),
        "tapeline_context_held_back": counts.held,
    }


def _by_source(found: dict[str, int] | dict[str, bool]) -> dict[tuple[str, ...], float]:
    return {(name,): float(number) for name, number in sorted(found.items())}
