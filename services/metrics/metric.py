"""What a metric is: its kind, the service that exports it, its unit and its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric does over time: only rises, goes both ways, or counts observations by size."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Service(StrEnum):
    """The process that exports a metric."""

    WORKER = "worker"
    PROJECTOR = "projector"
    API = "api"
    MARKET = "market"
    VERIFIER = "verifier"
    REVIEWER = "reviewer"
    ADAPTERS = "adapters"
    GATEWAY = "gateway"
    LLM = "llm"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``name``: as Prometheus shows it. ``buckets``: upper bounds of a histogram, in the metric's unit."""

    name: str
    kind: Kind
    service: Service
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
