"""The market gateway's own counts as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from schemas.values import SECOND
from services.gateways.okx.market.counters import MarketCounters
from services.metrics.catalog import Service
from services.metrics.counted import Values, counts_registry


def market_registry(counts: MarketCounters) -> CollectorRegistry:
    """Return a registry that shows these counts."""
    return counts_registry(Service.MARKET, lambda: _values(counts))


def _values(counts: MarketCounters) -> Values:
    return {
        "tapeline_market_frames_total": counts.frames,
        "tapeline_market_ticks_total": {(kind,): number for kind, number in sorted(counts.ticks.items())},
        "tapeline_market_repeats_total": counts.repeats,
        "tapeline_market_quarantined_total": counts.quarantined,
        "tapeline_market_disconnects_total": counts.disconnects,
        "tapeline_market_dial_failures_total": counts.dial_failures,
        "tapeline_market_book_gaps_total": counts.gaps,
        "tapeline_market_book_resyncs_total": counts.resyncs,
        "tapeline_market_backfilled_bars_total": counts.backfilled_bars,
        "tapeline_market_rest_failures_total": counts.rest_failures,
        "tapeline_market_waited_seconds_total": counts.waited_s,
        "tapeline_market_inbox_frames_max": counts.inbox_max,
        "tapeline_market_lag_seconds": counts.lag_us / SECOND,
    }
