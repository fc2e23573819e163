"""Show the traders of a worker: read off them when Prometheus asks; the path of a tick carries nothing extra."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from services.metrics.catalog import CATALOG, Kind, Service
from streams.log.base import LogError
from streams.shards import Shards
from streams.timings import BOUNDS_S, Durations
from streams.trader import Trader

logger = logging.getLogger("tapeline.metrics")

_FAMILIES = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}
_UPPER = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]

Sample = tuple[str, tuple[str, ...], float | Durations]


class WorkerCollector(Collector):
    """The worker's metrics. The log is asked for its end at every scrape; without an answer the lag is left out."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        families = {
            metric.name: _FAMILIES[metric.kind](
                metric.name, f"{metric.meaning} Unit: {metric.unit}.", labels=metric.labels
            )
            for metric in CATALOG
            if metric.service is Service.WORKER
        }
        for name, labels, value in self._samples():
            if isinstance(value, Durations):
                counts = zip(_UPPER, accumulate(list(value.buckets)), strict=True)
                families[name].add_metric(labels, buckets=list(counts), sum_value=value.total_s)
            else:
                families[name].add_metric(labels, value)
        return list(families.values())

    def _samples(self) -> Iterator[Sample]:
        traders = self._shards.traders()
        waiting = self._shards.waiting()
        yield "tapeline_shards_live", (), len(traders)
        for trader in traders:
            since = waiting.get(trader.shard, 0.0)
            yield "tapeline_trader_seconds_since_progress", (str(trader.shard),), since
            yield from _of_trader(trader)
            yield from _timings(trader)


def _of_trader(trader: Trader) -> Iterator[Sample]:
    shard = str(trader.shard)
    yield "tapeline_trader_outputs", (shard,), trader.outputs_total
    for topic, offset in sorted(trader.positions.items()):
        yield "tapeline_trader_offset", (topic, shard), offset
        yield "tapeline_trader_inputs_total", (topic, shard), offset - trader.began[topic]
        try:
            behind = trader.log.end_offset(topic, trader.shard) - offset
        except LogError as error:
            logger.warning("the log does not answer: %s", error)
            continue
        yield "tapeline_trader_lag_records", (topic, shard), max(0, behind)


def _timings(trader: Trader) -> Iterator[Sample]:
    shard, timings = str(trader.shard), trader.timings
    yield "tapeline_step_seconds", (shard,), timings.steps
    yield "tapeline_commit_seconds", (shard,), timings.commits
    for stage, durations in timings.stages.items():
        yield "tapeline_stage_seconds", (stage, shard), durations


def worker_registry() -> tuple[CollectorRegistry, Callable[[Shards], None]]:
    """Return an empty registry, and what fills it once there are shards to watch."""
    registry = CollectorRegistry()
    return registry, lambda shards: registry.register(WorkerCollector(shards))
