"""Follow causes and effects: from any event up to the tick it came from, and down to all it led to.

Decisions are looked up in the audit trail, everything else in the tables of its family. The raw tape (ticks, venue
bars) is not indexed by event id: there a cause is looked for at the time of its effect first, as an event and what it
causes at once carry the same moment, then in the hour before, and at last in the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection, sql

from projections.families import FAMILIES, FAMILY_OF
from projections.projectors.audit import AUDITED
from projections.tables import ENVELOPE
from schemas.events import EVENT_TYPES

CHAIN_MAX = 100
"""Longest chain of causes that is followed; a step is bounded, so a longer one is a fault."""
WINDOW = timedelta(hours=1)
"""How much later than a tick its first effects may carry their time (a late tick does not set the clock back)."""
_COLUMNS = sql.SQL(", ").join(sql.Identifier(name) for name, _ in ENVELOPE)
_UNAUDITED = tuple(family for family in FAMILIES if not AUDITED.issuperset(family.events))
_INDEXED = tuple(family for family in _UNAUDITED if family.find_by_id)
_TAPE = tuple(family for family in _UNAUDITED if not family.find_by_id)


class TrailEvent(NamedTuple):
    """One event of a chain: envelope, table, place on the log. ``ts_event`` and ``ts_ingest`` are aware datetimes."""

    event_type: str
    event_id: str
    correlation_id: str
    causation_id: str
    stage: str
    step: int
    ordinal: int
    seq: int
    ts_event: datetime
    ts_ingest: datetime
    settings_digest: str
    log_topic: str
    log_partition: int
    log_offset: int


def find(connection: Connection[Any], event_id: str, *, near: datetime | None = None) -> TrailEvent | None:
    """Return the event with this id. ``near``: the time of an effect of it, where one is known."""
    found = _select(connection, [_audit_branch()], "event_id = %(id)s", id=event_id)
    found = found or _select(connection, _branches(_INDEXED), "event_id = %(id)s", id=event_id)
    if not found and near is not None:
        condition = "event_id = %(id)s AND ts_event = %(near)s"
        found = _select(connection, _branches(_TAPE), condition, id=event_id, near=near)
        condition = "event_id = %(id)s AND ts_event BETWEEN %(near)s - %(window)s AND %(near)s"
        found = found or _select(connection, _branches(_TAPE), condition, id=event_id, near=near, window=WINDOW)
    found = found or _select(connection, _branches(_TAPE), "event_id = %(id)s", id=event_id)
    return found[0] if found else None


def causes(connection: Connection[Any], event: TrailEvent, *, limit: int = CHAIN_MAX) -> list[TrailEvent]:
    """Return the chain of causes, nearest first, up to an event nobody caused (a tick, a command, a setting)."""
    chain: list[TrailEvent] = []
    while event.causation_id and len(chain) < limit:
        cause = find(connection, event.causation_id, near=event.ts_event)
        if cause is None:
            break
        chain.append(cause)
        event = cause
    return chain


def effects(connection: Connection[Any], event: TrailEvent, *, limit: int = 200) -> list[TrailEvent]:
    """Return what an event caused directly, in log order of time; at most ``limit``."""
    audited = _select(connection, [_audit_branch()], "causation_id = %(id)s", id=event.event_id)
    condition = "causation_id = %(id)s AND ts_event BETWEEN %(near)s AND %(near)s + %(window)s"
    families = [family for family in _UNAUDITED if family.topic != "ticks"]
    bulk = _select(connection, _branches(families), condition, id=event.event_id, near=event.ts_event, window=WINDOW)
    return sorted(audited + bulk, key=lambda effect: (effect.step, effect.ordinal, effect.log_offset))[:limit]


def payload(connection: Connection[Any], event: TrailEvent) -> dict[str, Any]:
    """Return the table row of an event, every column by name."""
    table = FAMILY_OF[EVENT_TYPES[event.event_type]].table
    statement = sql.SQL("SELECT * FROM {} WHERE ts_event = %s AND log_partition = %s AND log_offset = %s")
    cursor = connection.execute(
        statement.format(sql.Identifier(table)), (event.ts_event, event.log_partition, event.log_offset)
    )
    row = cursor.fetchone()
    names = [column.name for column in cursor.description or ()]
    return {} if row is None else dict(zip(names, row, strict=True))


Branch = tuple[str, sql.Composable]
"""A table and the expression of its topic."""


def _audit_branch() -> Branch:
    return "audit", sql.Identifier("log_topic")


def _branches(families: Iterable[Any]) -> list[Branch]:
    return [(family.table, sql.Literal(family.topic)) for family in families]


def _select(connection: Connection[Any], branches: Sequence[Branch], condition: str, **values: Any) -> list[TrailEvent]:
    statement = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, {}, log_partition, log_offset FROM {} WHERE " + condition).format(
            _COLUMNS, topic, sql.Identifier(table)
        )
        for table, topic in branches
    )
    return [TrailEvent._make(row) for row in connection.execute(statement, values).fetchall()]
