"""What Grafana shows: four dashboards as data. ``generate.py`` makes the files Grafana reads of it.

SQL panels ask the projections as the read-only role; PromQL panels ask Prometheus. A test runs every query.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class View(StrEnum):
    """How a panel draws its rows, by Grafana's panel type."""

    LINES = "timeseries"
    STAT = "stat"
    TABLE = "table"
    BARS = "barchart"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: SQL with Grafana's macros or, with ``prometheus``, PromQL. ``unit``: Grafana's name of a unit."""

    title: str
    view: View
    query: str
    unit: str = "short"
    width: int = 12
    prometheus: bool = False
    legend: str = "__auto"

    @property
    def is_series(self) -> bool:
        """Return whether the first column is the time."""
        return self.view in (View.LINES, View.STATES)


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. ``name``: its file and uid."""

    name: str
    title: str
    panels: tuple[Panel, ...]


TRADING = Board(
    "trading",
    "Tapeline: trading",
    (
        Panel(
            "Equity",
            View.LINES,
            "SELECT $__timeGroup(ts_event, $__interval) AS time, account_id AS metric, "
            "(array_agg(equity ORDER BY ts_event DESC, log_offset DESC))[1]::float8 AS value "
            "FROM tapeline.equity_points WHERE $__timeFilter(ts_event) GROUP BY 1, 2 ORDER BY 1",
            "currencyUSD",
        ),
        Panel(
            "Net profit and loss of closed trades, running",
            View.LINES,
            "SELECT ts_event AS time, strategy AS metric, "
            "sum(net_pnl) OVER (PARTITION BY strategy ORDER BY ts_event, log_offset)::float8 AS value "
            "FROM tapeline.trades WHERE $__timeFilter(ts_event) ORDER BY 1",
            "currencyUSD",
        ),
        Panel(
            "Closed trades",
            View.STAT,
            "SELECT count(*) AS trades, avg((net_pnl > 0)::int)::float8 AS win_rate, "
            "avg(r_multiple)::float8 AS expectancy_r, sum(net_pnl)::float8 AS net "
            "FROM tapeline.trades WHERE $__timeFilter(ts_event)",
        ),
        Panel(
            "What trading cost",
            View.STAT,
            "SELECT sum(gross_pnl)::float8 AS gross, sum(fees)::float8 AS fees, sum(slippage)::float8 AS slippage, "
            "sum(funding)::float8 AS funding_received, sum(liquidation_penalty)::float8 AS penalties "
            "FROM tapeline.trades WHERE $__timeFilter(ts_event)",
            "currencyUSD",
        ),
        Panel(
            "R-multiples by exit reason",
            View.BARS,
            "SELECT exit_reason, count(*) AS trades, avg(r_multiple)::float8 AS mean_r FROM tapeline.trades "
            "WHERE $__timeFilter(ts_event) GROUP BY 1 ORDER BY 2 DESC",
        ),
        Panel(
            "Open positions",
            View.TABLE,
            "SELECT ts_event, account_id, instrument_id, quantity, avg_entry_price, cost, margin, realized_pnl, "
            "plan_id FROM tapeline.open_positions ORDER BY instrument_id LIMIT 100",
        ),
        Panel(
            "Trades, newest first",
            View.TABLE,
            "SELECT ts_closed, instrument_id, position_side, strategy, exit_reason, avg_entry_price, avg_exit_price, "
            "net_pnl, r_multiple, budget_multiple, breach, holding_s, plan_id FROM tapeline.trades "
            "WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
            width=24,
        ),
        Panel(
            "Fills, newest first",
            View.TABLE,
            "SELECT ts_event, instrument_id, purpose, exit_reason, side, last_quantity, last_price, liquidity, fee, "
            "slippage_bps, plan_id FROM tapeline.fills WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
            width=24,
        ),
    ),
)

RISK = Board(
    "risk",
    "Tapeline: risk",
    (
        Panel(
            "Drawdown and loss of the day, percent (40 halts)",
            View.LINES,
            "SELECT $__timeGroup(ts_event, $__interval) AS time, max(drawdown_pct)::float8 AS drawdown, "
            "max(daily_loss_pct)::float8 AS daily_loss FROM tapeline.equity_points "
            "WHERE $__timeFilter(ts_event) GROUP BY 1 ORDER BY 1",
            "percent",
        ),
        Panel(
            "Leverage: gross notional over equity (100 is the hard limit)",
            View.LINES,
            "SELECT $__timeGroup(ts_event, $__interval) AS time, account_id AS metric, "
            "max(gross_notional / nullif(greatest(equity, 0), 0))::float8 AS value FROM tapeline.equity_points "
            "WHERE $__timeFilter(ts_event) GROUP BY 1, 2 ORDER BY 1",
        ),
        Panel(
            "Trading state",
            View.STATES,
            "SELECT ts_event AS time, account_id AS metric, state AS value FROM tapeline.trading_states "
            "WHERE $__timeFilter(ts_event) ORDER BY 1 LIMIT 1000",
        ),
        Panel(
            "Plans denied, by code",
            View.BARS,
            "SELECT code, count(*) AS denied FROM tapeline.verdicts "
            "WHERE NOT approved AND $__timeFilter(ts_event) GROUP BY 1 ORDER BY 2 DESC",
        ),
        Panel(
            "Verdicts over time",
            View.LINES,
            "SELECT $__timeGroup(ts_event, $__interval) AS time, count(*) FILTER (WHERE approved) AS approved, "
            "count(*) FILTER (WHERE NOT approved) AS denied FROM tapeline.verdicts "
            "WHERE $__timeFilter(ts_event) GROUP BY 1 ORDER BY 1",
        ),
        Panel(
            "Plans the planner declined, by reason",
            View.BARS,
            "SELECT reason, count(*) AS declined FROM tapeline.plan_declines "
            "WHERE $__timeFilter(ts_event) GROUP BY 1 ORDER BY 2 DESC",
        ),
        Panel(
            "Differences between log and venue",
            View.TABLE,
            "SELECT ts_event, account_id, subject, venue, log, repair, event_type, age_us / 1000000.0 AS age_s "
            "FROM tapeline.reconciliations WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 100",
            width=24,
        ),
        Panel(
            "Orders at the venue's gateway, and in doubt",
            View.LINES,
            'sum by (phase) (tapeline_gateway_orders) or label_replace(tapeline_gateway_in_doubt_orders, "phase", '
            '"IN DOUBT", "", "")',
            prometheus=True,
            legend="{{phase}}",
        ),
        Panel(
            "Trades that lost more than was approved",
            View.TABLE,
            "SELECT ts_closed, instrument_id, strategy, net_pnl, budget_multiple, breach, exit_reason, plan_id "
            "FROM tapeline.trades WHERE budget_multiple < -1 AND $__timeFilter(ts_event) "
            "ORDER BY ts_event DESC LIMIT 100",
            width=24,
        ),
        Panel(
            "Causes that hold trading back, newest first",
            View.TABLE,
            "SELECT s.ts_event, s.account_id, s.state, s.previous, c ->> 'kind' AS cause, c ->> 'scope' AS scope, "
            "c ->> 'latched' AS latched, s.detail FROM tapeline.trading_states s "
            "LEFT JOIN LATERAL jsonb_array_elements(s.causes) c ON true "
            "WHERE $__timeFilter(s.ts_event) ORDER BY s.ts_event DESC LIMIT 200",
            width=24,
        ),
        Panel(
            "Filled quantity without a live stop",
            View.TABLE,
            "SELECT ts_event, event_type, instrument_id, unprotected_quantity, protected_quantity, plan_id "
            "FROM tapeline.protection_events WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 100",
            width=24,
        ),
    ),
)

DATA_QUALITY = Board(
    "data-quality",
    "Tapeline: data quality",
    (
        Panel(
            "Quality of each instrument",
            View.STATES,
            "SELECT ts_event AS time, instrument_id AS metric, quality AS value FROM tapeline.quality_changes "
            "WHERE $__timeFilter(ts_event) ORDER BY 1 LIMIT 1000",
            width=24,
        ),
        Panel(
            "Incidents by kind",
            View.BARS,
            "SELECT kind, count(*) AS incidents FROM tapeline.data_quality_incidents "
            "WHERE $__timeFilter(ts_event) GROUP BY 1 ORDER BY 2 DESC",
        ),
        Panel(
            "Gaps",
            View.TABLE,
            "SELECT ts_from, ts_to, instrument_id, kind, open, missing, detail FROM tapeline.data_quality_incidents "
            "WHERE kind = 'GAP' AND $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
        ),
        Panel(
            "Bars that are not complete, per hour",
            View.LINES,
            "SELECT $__timeGroup(ts_event, '1h') AS time, instrument_id AS metric, "
            "count(*) FILTER (WHERE NOT complete)::float8 AS value FROM tapeline.bars "
            "WHERE timeframe = '1m' AND $__timeFilter(ts_event) GROUP BY 1, 2 ORDER BY 1",
        ),
        Panel(
            "Feed channels",
            View.TABLE,
            "SELECT ts_event, instrument_id, channel, state, origin, source, cadence_us, detail "
            "FROM tapeline.feed_status WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
        ),
        Panel(
            "Context sources",
            View.STATES,
            "SELECT ts_event AS time, source AS metric, state AS value FROM tapeline.source_status "
            "WHERE $__timeFilter(ts_event) ORDER BY 1 LIMIT 1000",
        ),
        Panel(
            "Numbers from context sources that were set aside",
            View.TABLE,
            "SELECT ts_event, source, name, value, unit, anomaly FROM tapeline.onchain_metrics "
            "WHERE anomaly <> '' AND $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
        ),
        Panel(
            "Incidents, newest first",
            View.TABLE,
            "SELECT ts_event, kind, instrument_id, channel, open, missing, detail FROM tapeline.data_quality_incidents "
            "WHERE $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
            width=24,
        ),
    ),
)

PIPELINE = Board(
    "pipeline",
    "Tapeline: pipeline health",
    (
        Panel(
            "Records the projector has still to read",
            View.LINES,
            "sum by (topic) (tapeline_log_end_offset - tapeline_projector_offset)",
            prometheus=True,
            legend="{{topic}}",
        ),
        Panel(
            "Events projected per second",
            View.LINES,
            "sum by (topic) (rate(tapeline_events_total[1m]))",
            "ops",
            prometheus=True,
            legend="{{topic}}",
        ),
        Panel(
            "HTTP requests per second",
            View.LINES,
            "sum by (route, status) (rate(tapeline_http_requests_total[1m]))",
            "reqps",
            prometheus=True,
            legend="{{route}} {{status}}",
        ),
        Panel(
            "HTTP time to answer, 99th percentile",
            View.LINES,
            "histogram_quantile(0.99, sum by (le, route) (rate(tapeline_http_request_seconds_bucket[5m])))",
            "s",
            prometheus=True,
            legend="{{route}}",
        ),
        Panel(
            "Language model: a day's answers, tokens and USD",
            View.TABLE,
            "SELECT date_trunc('day', ts_ingest) AS day, model, count(*) AS answers, "
            "count(*) FILTER (WHERE event_type = 'CompletionFailed') AS failed, "
            "sum(prompt_tokens + completion_tokens + unreported_tokens) AS tokens, "
            "sum(cost + coalesce(unreported_cost, 0)) AS usd, bool_and(cost_known) AS cost_known "
            "FROM tapeline.completions WHERE $__timeFilter(ts_event) GROUP BY 1, 2 ORDER BY 1 DESC, 2 LIMIT 200",
        ),
        Panel(
            "Language model: requests without an answer",
            View.TABLE,
            "SELECT ts_event, model, reason, detail, attempts, latency_ms FROM tapeline.completions "
            "WHERE event_type = 'CompletionFailed' AND $__timeFilter(ts_event) ORDER BY ts_event DESC LIMIT 200",
        ),
        Panel(
            "Time a stage takes in a step, 99th percentile",
            View.LINES,
            "histogram_quantile(0.99, sum by (le, stage) (rate(tapeline_stage_seconds_bucket[5m])))",
            "s",
            prometheus=True,
            legend="{{stage}}",
        ),
        Panel(
            "Inputs the trader has still to take",
            View.LINES,
            "sum by (topic) (tapeline_trader_lag_records)",
            prometheus=True,
            legend="{{topic}}",
        ),
        Panel(
            "Commits a minute",
            View.LINES,
            "SELECT $__timeGroup(ts_ingest, '1m') AS time, count(*) AS commits FROM tapeline.commits_in_force "
            "WHERE $__timeFilter(ts_ingest) GROUP BY 1 ORDER BY 1",
        ),
        Panel(
            "Takeovers: claims on the journal",
            View.TABLE,
            "SELECT ts_ingest, log_partition AS shard, worker, code_version FROM tapeline.journal_claims "
            "WHERE $__timeFilter(ts_ingest) ORDER BY ts_ingest DESC LIMIT 100",
        ),
        Panel(
            "How far the tables reach",
            View.TABLE,
            "SELECT topic, partition, next_offset, next_seq FROM tapeline.projection_position "
            "ORDER BY topic, partition",
        ),
        Panel(
            "Context sources: what they last said of themselves",
            View.TABLE,
            "SELECT DISTINCT ON (source) source, state, detail, ts_event FROM tapeline.source_status "
            "WHERE $__timeFilter(ts_event) ORDER BY source, ts_event DESC, log_offset DESC",
        ),
        Panel(
            "Records that could not be read",
            View.TABLE,
            "SELECT topic, partition, log_offset, reason, size FROM tapeline.quarantined_records "
            "ORDER BY topic, partition, log_offset DESC LIMIT 100",
        ),
    ),
)

BOARDS: tuple[Board, ...] = (TRADING, RISK, DATA_QUALITY, PIPELINE)
