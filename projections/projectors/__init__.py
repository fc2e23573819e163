"""A projection is a pure function ``(position, envelope, event) -> rows``, in COPY form (``projections.columns``).

Every event gives one row of its family's table; decisions give a row of the audit trail beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from projections.columns import Unprojectable
from projections.projectors import audit, facts
from projections.source import Accepted, LogPosition
from schemas.envelope import Envelope, Event

Rows = dict[str, list[tuple[Any, ...]]]
"""Rows by table."""


def project(position: LogPosition, envelope: Envelope, event: Event) -> Rows:
    """Return the rows one event gives, by table."""
    rows: Rows = {}
    add(rows, position, envelope, event)
    return rows


def project_all(accepted: Iterable[Accepted]) -> Rows:
    """Return the rows of a batch, by table, in log order."""
    rows: Rows = {}
    for entry in accepted:
        record = entry.record
        add(rows, LogPosition(record.topic, record.partition, record.offset), entry.envelope, entry.event)
    return rows


def add(rows: Rows, position: LogPosition, envelope: Envelope, event: Event) -> None:
    """Add the rows of one event to ``rows``. Raises Unprojectable naming the record."""
    try:
        table, row = facts.row(position, envelope, event)
    except Unprojectable as error:
        place = f"{position.topic}/{position.partition} offset {position.offset}"
        raise Unprojectable(f"{place}, {type(event).__name__}: {error}") from error
    rows.setdefault(table, []).append(row)
    if type(event) in audit.AUDITED:
        rows.setdefault("audit", []).append(audit.row(position, envelope, event))
