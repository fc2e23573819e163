"""Find the last events that decide a gauge: asked of the database once, read from the log.

Each query names, per thing watched, the place on the log of its newest event; the log has the event itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import Connection, sql

from projections.families import FAMILY_OF
from projections.tables import table_of
from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.account import EquityChanged, PositionChanged
from schemas.events.data import GapOpened, QualityChanged
from schemas.events.market import FeedStatus
from schemas.events.orders import OrderIntended, ProtectionMissing
from schemas.events.risk import DrawdownWarningChanged, ReconciliationDiffered, TradingStateChanged
from streams.log.base import EventLog

SEED_MAX = 10_000
"""Things of one kind that are looked up at most."""
QUERY_TIMEOUT_S = 60

_LAST = """
SELECT log_partition, log_offset FROM (
  SELECT DISTINCT ON ({keys}) * FROM {table} WHERE {where} ORDER BY {keys}, ts_event DESC, log_offset DESC
) newest WHERE {still} ORDER BY log_offset LIMIT {limit}
"""
_WATCHED: tuple[tuple[type[Event], tuple[str, ...], str, str], ...] = (
    (EquityChanged, ("account_id",), "true", "true"),
    (TradingStateChanged, ("account_id",), "true", "true"),
    (DrawdownWarningChanged, ("account_id",), "true", "true"),
    (PositionChanged, ("account_id", "instrument_id"), "true", "quantity <> 0"),
    (QualityChanged, ("instrument_id",), "true", "true"),
    (FeedStatus, ("instrument_id", "channel"), "true", "true"),
    (ReconciliationDiffered, ("account_id", "subject"), "true", "event_type = 'ReconciliationDiffered'"),
    (GapOpened, ("instrument_id", "channel", "ts_from"), "true", "event_type = 'GapOpened'"),
    (
        OrderIntended,
        ("client_order_id",),
        "event_type NOT IN ('AmendIntended', 'CancelIntended', 'OrderAmended')",
        "event_type NOT IN ('OrderFilled', 'OrderCanceled', 'OrderExpired', 'OrderRejected')",
    ),
    (
        ProtectionMissing,
        ("plan_id",),
        "true",
        "event_type = 'ProtectionMissing' AND NOT EXISTS"
        " (SELECT 1 FROM trades_closed t WHERE t.plan_id = newest.plan_id)",
    ),
)
"""Per kind of gauge: an event of its table, what is one thing, which rows say how it is, which things still count."""


def last_events(connection: Connection[Any], log: EventLog) -> Iterator[tuple[Envelope, Event]]:
    """Yield the last event of everything a gauge shows. Raises psycopg.Error, LogError, CodecError."""
    connection.execute(f"SET LOCAL statement_timeout TO '{QUERY_TIMEOUT_S}s'")
    for event, keys, where, still in _WATCHED:
        query = sql.SQL(_LAST).format(
            keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
            table=sql.Identifier(table_of(event).name),
            where=sql.SQL(where),
            still=sql.SQL(still),
            limit=sql.Literal(SEED_MAX),
        )
        for partition, offset in connection.execute(query).fetchall():
            for record in log.read(FAMILY_OF[event].topic, partition, offset, limit=1):
                yield decode(record.value)
