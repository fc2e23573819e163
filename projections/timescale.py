"""TimescaleDB over the same names: hypertables, compression, continuous aggregates; retention only where asked for.

Retention is off by default: it counts from the wall clock, so it would drop recorded history at once, and a database
that forgets cannot equal one rebuilt from the log.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from projections.families import FAMILIES, Family
from projections.tables import LAYOUTS

COMPRESS_AFTER_DAYS = 7
AGGREGATES: dict[str, str] = {
    "bars_1h": """
        SELECT time_bucket('1 hour', ts_event, "offset" => INTERVAL '1 microsecond') AS late_bucket, instrument_id,
               first(open_price, ts_event) AS open_price, max(high_price) AS high_price, min(low_price) AS low_price,
               last(close_price, ts_event) AS close_price, sum(base_volume) AS base_volume,
               sum(tick_count) AS tick_count, count(*) AS bars, bool_and(complete) AS complete
        FROM bars WHERE timeframe = '1m' GROUP BY 1, 2""",
    "trade_ticks_1m": """
        SELECT time_bucket('1 minute', ts_event) AS bucket, instrument_id,
               first(last_price, log_offset) AS open_price, max(last_price) AS high_price,
               min(last_price) AS low_price, last(last_price, log_offset) AS close_price,
               sum(base_quantity) AS base_volume, count(*) AS tick_count
        FROM trade_ticks GROUP BY 1, 2""",
    "equity_1h": """
        SELECT time_bucket('1 hour', ts_event) AS bucket, account_id,
               first(equity, log_offset) AS open_equity, max(equity) AS high_equity, min(equity) AS low_equity,
               last(equity, log_offset) AS close_equity, max(drawdown_pct) AS drawdown_pct_max
        FROM equity_points GROUP BY 1, 2""",
}
"""Continuous aggregate by the view it stands behind; the aggregate itself is ``<view>_cagg``."""
SOURCES = {"bars_1h": "bars", "trade_ticks_1m": "trade_ticks", "equity_1h": "equity_points"}
"""The table an aggregate is over."""
_FRONT = {
    "bars_1h": "late_bucket - INTERVAL '1 microsecond' AS bucket, instrument_id, open_price, high_price, low_price, "
    "close_price, base_volume, tick_count, bars, complete",
}
_SEGMENTS = ("instrument_id", "account_id")


def available(connection: Connection) -> bool:
    """Tell whether TimescaleDB is installed in this database, or can be."""
    row = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'),"
        " EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'),"
        " current_setting('shared_preload_libraries')"
    ).fetchone()
    assert row is not None
    installed, offered, preloaded = row
    return bool(installed or (offered and "timescaledb" in preloaded))


def upgrade(connection: Connection) -> None:
    """Turn the event tables into hypertables and put continuous aggregates behind the bucketed views."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
    for family in FAMILIES:
        _hypertable(connection, family)
    for view, query in AGGREGATES.items():
        _aggregate(connection, view, query)


def downgrade(connection: Connection) -> None:
    """Drop the continuous aggregates and the views before them; hypertables go with their tables."""
    for view in AGGREGATES:
        statement = sql.SQL("DROP MATERIALIZED VIEW IF EXISTS {} CASCADE")
        connection.execute(statement.format(sql.Identifier(f"{view}_cagg")))


def refresh(connection: Connection, schema: str) -> None:
    """Materialise every bucket that is over: needed after a rebuild, whose rows are all late. Autocommit only.

    The bucket in progress is left to real-time aggregation: materialised, it would hide the rows still to come.
    """
    if not installed(connection):
        return
    for view, source in SOURCES.items():
        statement = sql.SQL("SELECT max(ts_event) FROM {}").format(sql.Identifier(schema, source))
        row = connection.execute(statement).fetchone()
        if row is not None and row[0] is not None:
            connection.execute(
                "CALL refresh_continuous_aggregate(%s, NULL, %s::timestamptz)", (f"{schema}.{view}_cagg", row[0])
            )


def drop_policies(connection: Connection, schema: str) -> None:
    """Delete the background jobs of a schema, running ones included, so that it can be dropped in peace."""
    if installed(connection):
        connection.execute(
            "SELECT delete_job(job_id) FROM timescaledb_information.jobs WHERE hypertable_schema = %s"
            " OR job_id IN (SELECT j.job_id FROM timescaledb_information.jobs j"
            " JOIN timescaledb_information.continuous_aggregates a"
            " ON j.hypertable_name = a.materialization_hypertable_name WHERE a.view_schema = %s)",
            (schema, schema),
        )


def keep_for(connection: Connection, days: int, tables: tuple[str, ...]) -> None:
    """Drop chunks of these tables once they are older than ``days`` (wall clock). The log keeps everything."""
    for table in tables:
        connection.execute(
            "SELECT add_retention_policy(%s::regclass, make_interval(days => %s), if_not_exists => true)", (table, days)
        )


def installed(connection: Connection) -> bool:
    """Tell whether this database has the extension."""
    return connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None


def _hypertable(connection: Connection, family: Family) -> None:
    table = family.table
    connection.execute(
        "SELECT create_hypertable(%s::regclass, 'ts_event', chunk_time_interval => make_interval(hours => %s),"
        " create_default_indexes => false, if_not_exists => true)",
        (table, family.chunk_hours),
    )
    segment = [name for name in _SEGMENTS if name in LAYOUTS[table].columns][:1]
    options: list[Any] = [
        sql.SQL("timescaledb.compress"),
        sql.SQL("timescaledb.compress_orderby = 'ts_event, log_partition, log_offset'"),
        *(sql.SQL("timescaledb.compress_segmentby = {}").format(sql.Literal(name)) for name in segment),
    ]
    connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(sql.Identifier(table), sql.SQL(", ").join(options)))
    connection.execute(
        "SELECT add_compression_policy(%s::regclass, make_interval(days => %s), if_not_exists => true)",
        (table, COMPRESS_AFTER_DAYS),
    )


def _aggregate(connection: Connection, view: str, query: str) -> None:
    cagg = sql.Identifier(f"{view}_cagg")
    connection.execute(sql.SQL("DROP VIEW {}").format(sql.Identifier(view)))
    connection.execute(
        sql.SQL(
            "CREATE MATERIALIZED VIEW {} WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS {} "
            "WITH NO DATA"
        ).format(cagg, sql.SQL(query))
    )
    columns = sql.SQL(_FRONT.get(view, "*"))
    connection.execute(sql.SQL("CREATE VIEW {} AS SELECT {} FROM {}").format(sql.Identifier(view), columns, cagg))
    connection.execute(
        "SELECT add_continuous_aggregate_policy(%s::regclass, start_offset => INTERVAL '3 days',"
        " end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '15 minutes', if_not_exists => true)",
        (f"{view}_cagg",),
    )
