"""Show the market gateway's own counts: read off it when Prometheus asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from schemas.values import SECOND
from services.gateways.okx.market.counters import MarketCounters
from services.metrics.catalog import CATALOG, Kind, Service


class MarketCollector(Collector):
    """The market gateway's metrics."""

    def __init__(self, counts: MarketCounters) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        values = self._values()
        for metric in CATALOG:
            if metric.service is not Service.MARKET:
                continue
            words = f"{metric.meaning} Unit: {metric.unit}."
            family = (CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily)(
                metric.name, words, labels=metric.labels
            )
            value = values[metric.name]
            for labels, number in value.items() if isinstance(value, Mapping) else (((), value),):
                family.add_metric(labels, number)
            yield family

    def _values(self) -> dict[str, float | dict[tuple[str, ...], float]]:
        counts = self._counts
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


def market_registry(counts: MarketCounters) -> CollectorRegistry:
    """Return a registry that shows these counts."""
    registry = CollectorRegistry()
    registry.register(MarketCollector(counts))
    return registry
