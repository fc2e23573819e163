"""Show the traders of a worker: read off them when Prometheus asks; the path of a tick carries nothing extra."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.metrics.catalog import CATALOG, Service
from streams.log.base import LogError
from streams.shards import Shards

logger = logging.getLogger("tapeline.metrics")


class WorkerCollector(Collector):
    """The worker's metrics. The log is asked for its end at every scrape; without an answer the lag is left out."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        families = {
            metric.name: GaugeMetricFamily(metric.name, f"{metric.meaning} Unit: {metric.unit}.", labels=metric.labels)
            for metric in CATALOG
            if metric.service is Service.WORKER
        }
        traders = self._shards.traders()
        families["tapeline_shards_live"].add_metric((), len(traders))
        waiting = self._shards.waiting()
        for trader in traders:
            shard = str(trader.shard)
            families["tapeline_trader_outputs"].add_metric((shard,), trader.outputs_total)
            since = waiting.get(trader.shard, 0.0)
            families["tapeline_trader_seconds_since_progress"].add_metric((shard,), since)
            for topic, offset in sorted(trader.positions.items()):
                families["tapeline_trader_offset"].add_metric((topic, shard), offset)
                try:
                    behind = trader.log.end_offset(topic, trader.shard) - offset
                except LogError as error:
                    logger.warning("the log does not answer: %s", error)
                    continue
                families["tapeline_trader_lag_records"].add_metric((topic, shard), max(0, behind))
        return list(families.values())


def worker_registry() -> tuple[CollectorRegistry, Callable[[Shards], None]]:
    """Return an empty registry, and what fills it once there are shards to watch."""
    registry = CollectorRegistry()
    return registry, lambda shards: registry.register(WorkerCollector(shards))
