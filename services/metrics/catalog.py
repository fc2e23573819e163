"""The closed list of metrics: name, kind, labels, unit and meaning. ``docs/metrics.md`` is written from it.

A service builds the metrics that are its own; a name that is not in the list cannot be exported.
"""

from __future__ import annotations

from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.metrics.metric import Kind, Metric, Service
from services.metrics.outside import ADAPTERS, GATEWAY, LLM, MARKET
from streams.timings import BOUNDS_S, SAMPLE

__all__ = ["CATALOG", "Kind", "Metric", "Metrics", "Service"]


_HTTP_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

_PROJECTOR = (
    Metric(
        "tapeline_events_total", Kind.COUNTER, Service.PROJECTOR, "events",
        "Events projected since the projector started.", ("topic", "event"),
    ),
    Metric(
        "tapeline_log_end_offset", Kind.GAUGE, Service.PROJECTOR, "offset",
        "Offset the next record of a topic partition will get.", ("topic", "shard"),
    ),
    Metric(
        "tapeline_projector_offset", Kind.GAUGE, Service.PROJECTOR, "offset",
        "Offset the projector reads next; behind the log's end by its lag.", ("topic", "shard"),
    ),
    Metric(
        "tapeline_feed_last_ingest_timestamp_seconds", Kind.GAUGE, Service.PROJECTOR, "seconds since 1970",
        "When the newest tick of an instrument reached us.", ("instrument_id",),
    ),
    Metric(
        "tapeline_feed_up", Kind.GAUGE, Service.PROJECTOR, "0 or 1",
        "Whether the feed of a channel says it is connected.", ("instrument_id", "channel"),
    ),
    Metric(
        "tapeline_quality_level", Kind.GAUGE, Service.PROJECTOR, "0 GOOD, 1 DEGRADED, 2 BAD",
        "Data quality of an instrument.", ("instrument_id",),
    ),
    Metric(
        "tapeline_gaps_open", Kind.GAUGE, Service.PROJECTOR, "gaps",
        "Gaps in an instrument's data that have not ended.", ("instrument_id",),
    ),
    Metric(
        "tapeline_ticks_quarantined_total", Kind.COUNTER, Service.PROJECTOR, "ticks",
        "Ticks set aside by data quality.", ("reason",),
    ),
    Metric(
        "tapeline_unreadable_total", Kind.COUNTER, Service.PROJECTOR, "records",
        "Input records and lines that could not be read.",
    ),
    Metric(
        "tapeline_plans_proposed_total", Kind.COUNTER, Service.PROJECTOR, "plans",
        "Plans proposed, by who wrote them.", ("origin",),
    ),
    Metric(
        "tapeline_plans_declined_total", Kind.COUNTER, Service.PROJECTOR, "answers",
        "Times the planner proposed nothing, by reason.", ("reason",),
    ),
    Metric(
        "tapeline_plans_approved_total", Kind.COUNTER, Service.PROJECTOR, "plans",
        "Plans that risk approved.",
    ),
    Metric(
        "tapeline_plans_denied_total", Kind.COUNTER, Service.PROJECTOR, "plans",
        "Plans that risk denied, by denial code.", ("code",),
    ),
    Metric(
        "tapeline_trading_state_level", Kind.GAUGE, Service.PROJECTOR, "0 ACTIVE, 1 REDUCING, 2 HALTED",
        "Trading state of the account.", ("account_id",),
    ),
    Metric(
        "tapeline_trading_cause_active", Kind.GAUGE, Service.PROJECTOR, "0 or 1",
        "Whether a cause holds trading back now.", ("account_id", "cause"),
    ),
    Metric(
        "tapeline_equity_quote", Kind.GAUGE, Service.PROJECTOR, "USDT",
        "Equity, marked to market.", ("account_id",),
    ),
    Metric(
        "tapeline_cash_quote", Kind.GAUGE, Service.PROJECTOR, "USDT",
        "Cash of the account.", ("account_id",),
    ),
    Metric(
        "tapeline_drawdown_percent", Kind.GAUGE, Service.PROJECTOR, "percent",
        "Drawdown from the equity peak; 40 halts.", ("account_id",),
    ),
    Metric(
        "tapeline_drawdown_warning", Kind.GAUGE, Service.PROJECTOR, "0 or 1",
        "Whether drawdown is at its warning level, so that the risk budget is scaled down.", ("account_id",),
    ),
    Metric(
        "tapeline_daily_loss_percent", Kind.GAUGE, Service.PROJECTOR, "percent",
        "Loss since 00:00 UTC.", ("account_id",),
    ),
    Metric(
        "tapeline_leverage_ratio", Kind.GAUGE, Service.PROJECTOR, "ratio",
        "Gross notional of the open positions over equity.", ("account_id",),
    ),
    Metric(
        "tapeline_positions_open", Kind.GAUGE, Service.PROJECTOR, "positions",
        "Positions that are not flat.", ("account_id",),
    ),
    Metric(
        "tapeline_orders_open", Kind.GAUGE, Service.PROJECTOR, "orders",
        "Orders that are not over, by state.", ("state",),
    ),
    Metric(
        "tapeline_orders_ended_total", Kind.COUNTER, Service.PROJECTOR, "orders",
        "Orders that ended, by how.", ("state",),
    ),
    Metric(
        "tapeline_order_unknown_oldest_seconds", Kind.GAUGE, Service.PROJECTOR, "seconds",
        "Age of the oldest order whose fate at the venue nobody knows; 0: none.",
    ),
    Metric(
        "tapeline_protection_missing_oldest_seconds", Kind.GAUGE, Service.PROJECTOR, "seconds",
        "Age of the oldest filled quantity without a live stop; 0: none.",
    ),
    Metric(
        "tapeline_reconciliation_open", Kind.GAUGE, Service.PROJECTOR, "differences",
        "Differences between log and venue that have not gone, by who repairs them.", ("account_id", "repair"),
    ),
    Metric(
        "tapeline_seq_missing_seconds", Kind.GAUGE, Service.PROJECTOR, "seconds",
        "For how long a number has been missing on a topic although a higher one is there; absent: none is.",
        ("topic", "shard"),
    ),
    Metric(
        "tapeline_log_disk_free_ratio", Kind.GAUGE, Service.PROJECTOR, "ratio",
        "Share of the log's disk that is free: SQLite's own folder, else TAPELINE_LOG_DISK.", ("folder",),
    ),
    Metric(
        "tapeline_trades_closed_total", Kind.COUNTER, Service.PROJECTOR, "trades",
        "Closed trades, by exit reason.", ("exit_reason",),
    ),
    Metric(
        "tapeline_trade_net_pnl_quote_sum", Kind.GAUGE, Service.PROJECTOR, "USDT",
        "Net profit and loss of the trades closed since the projector started.", ("account_id",),
    ),
)  # fmt: skip

_API = (
    Metric(
        "tapeline_http_requests_total", Kind.COUNTER, Service.API, "requests",
        "HTTP requests answered.", ("method", "route", "status"),
    ),
    Metric(
        "tapeline_http_request_seconds", Kind.HISTOGRAM, Service.API, "seconds",
        "Time to answer an HTTP request.", ("method", "route"), _HTTP_BUCKETS,
    ),
)  # fmt: skip

_WORKER = (
    Metric(
        "tapeline_trader_offset", Kind.GAUGE, Service.WORKER, "offset",
        "Offset of the next input a trader takes; it has stepped through everything before.", ("topic", "shard"),
    ),
    Metric(
        "tapeline_trader_lag_records", Kind.GAUGE, Service.WORKER, "records",
        "Inputs on the log that the trader has not taken.", ("topic", "shard"),
    ),
    Metric(
        "tapeline_trader_outputs", Kind.GAUGE, Service.WORKER, "events",
        "Outputs committed and published since the worker took the shard.", ("shard",),
    ),
    Metric(
        "tapeline_trader_inputs_total", Kind.COUNTER, Service.WORKER, "inputs",
        "Inputs taken since the worker took the shard, by topic; of ticks these are the ticks.", ("topic", "shard"),
    ),
    Metric(
        "tapeline_stage_seconds", Kind.HISTOGRAM, Service.WORKER, "seconds",
        f"Time a stage takes in one step; one step in {SAMPLE} is measured.", ("stage", "shard"), BOUNDS_S,
    ),
    Metric(
        "tapeline_step_seconds", Kind.HISTOGRAM, Service.WORKER, "seconds",
        f"Time one input takes through all stages; one step in {SAMPLE} is measured.", ("shard",), BOUNDS_S,
    ),
    Metric(
        "tapeline_commit_seconds", Kind.HISTOGRAM, Service.WORKER, "seconds",
        "Time from a batch's outputs to their being durable and published; every commit is measured.",
        ("shard",), BOUNDS_S,
    ),
    Metric(
        "tapeline_trader_seconds_since_progress", Kind.GAUGE, Service.WORKER, "seconds",
        "For how long inputs have been waiting without one being taken; 0: none waits.", ("shard",),
    ),
    Metric(
        "tapeline_shards_live", Kind.GAUGE, Service.WORKER, "shards",
        "Shards this worker owns and has recovered.",
    ),
)  # fmt: skip

M = TypeVar("M", Counter, Gauge, Histogram)

_VERIFIER = (
    Metric(
        "tapeline_verify_different", Kind.GAUGE, Service.VERIFIER, "0 or 1",
        "Whether a re-run of the log gave another output than the one on it; stays 1 until the service is restarted.",
    ),
    Metric(
        "tapeline_verify_last_proof_timestamp_seconds", Kind.GAUGE, Service.VERIFIER, "seconds since 1970",
        "When everything on the log was last proven.",
    ),
    Metric(
        "tapeline_verify_steps_total", Kind.COUNTER, Service.VERIFIER, "steps",
        "Steps run again.",
    ),
    Metric(
        "tapeline_verify_seconds", Kind.GAUGE, Service.VERIFIER, "seconds",
        "Time the last verification took.",
    ),
)  # fmt: skip

_REVIEWER = (
    Metric(
        "tapeline_review_told_timestamp_seconds", Kind.GAUGE, Service.REVIEWER, "seconds since 1970",
        "When the review of a day was last handed to Alertmanager; 0: not since the start.",
    ),
    Metric(
        "tapeline_review_failures_total", Kind.COUNTER, Service.REVIEWER, "attempts",
        "Times database or Alertmanager did not answer; tried again each minute.",
    ),
)  # fmt: skip

CATALOG: tuple[Metric, ...] = _WORKER + _PROJECTOR + _API + MARKET + GATEWAY + _VERIFIER + _REVIEWER + ADAPTERS + LLM


class Metrics:
    """The metrics of one service, by name, in a registry of their own."""

    def __init__(self, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._made = {metric.name: _make(metric, self.registry) for metric in CATALOG if metric.service is service}

    def counter(self, name: str) -> Counter:
        """Return a counter of this service. Raises KeyError for a name that is not its own."""
        return _typed(self._made[name], Counter)

    def gauge(self, name: str) -> Gauge:
        """Return a gauge of this service. Raises KeyError for a name that is not its own."""
        return _typed(self._made[name], Gauge)

    def histogram(self, name: str) -> Histogram:
        """Return a histogram of this service. Raises KeyError for a name that is not its own."""
        return _typed(self._made[name], Histogram)


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    words = f"{metric.meaning} Unit: {metric.unit}."
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, words, metric.labels, registry=registry)
    if metric.kind is Kind.GAUGE:
        return Gauge(metric.name, words, metric.labels, registry=registry)
    return Histogram(metric.name, words, metric.labels, registry=registry, buckets=metric.buckets)


def _typed(found: object, kind: type[M]) -> M:
    if not isinstance(found, kind):
        raise TypeError(f"{found} is no {kind.__name__}")
    return found
