"""Show what a service counts about itself: read off it when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.metrics.catalog import CATALOG, Kind, Service

Values = Mapping[str, float | Mapping[tuple[str, ...], float]]
"""By metric: a number, or numbers by label values."""


class CountsCollector(Collector):
    """The metrics of one service, all of them. ``values``: called at every scrape."""

    def __init__(self, service: Service, values: Callable[[], Values]) -> None:
        self._service = service
        self._values = values

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        values = self._values()
        for metric in CATALOG:
            if metric.service is not self._service:
                continue
            words = f"{metric.meaning} Unit: {metric.unit}."
            family = (CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily)(
                metric.name, words, labels=metric.labels
            )
            value = values[metric.name]
            for labels, number in value.items() if isinstance(value, Mapping) else (((), value),):
                family.add_metric(labels, number)
            yield family


def counts_registry(service: Service, values: Callable[[], Values]) -> CollectorRegistry:
    """Return a registry that shows a service's counts."""
    registry = CollectorRegistry()
    registry.register(CountsCollector(service, values))
    return registry
