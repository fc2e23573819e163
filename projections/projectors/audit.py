"""The audit trail: one row per decision event, with its cause, its idea, its place on the log and its whole payload.

Left out: the market as it came (ticks), what is computed of every bar (bars, features, equity) and the trader's own
books. Those are in their own tables, and ``projections.trail`` follows a chain into them.
"""

from __future__ import annotations

from typing import Any

from projections.columns import json_bytes, without_nul
from projections.projectors.facts import head
from projections.source import LogPosition
from schemas.envelope import Envelope, Event
from schemas.events.account import EquityChanged
from schemas.json_form import event_to_json
from schemas.topics import TOPICS

_BULK_TOPICS = ("ticks", "bars", "features", "journal", "checkpoints")

AUDITED: frozenset[type[Event]] = frozenset(
    event for topic in TOPICS if topic.name not in _BULK_TOPICS for event in topic.events if event is not EquityChanged
)
"""Event types that give an audit row."""


def row(position: LogPosition, envelope: Envelope, event: Event) -> tuple[Any, ...]:
    """Return the audit row of a decision event."""
    payload = event_to_json(event)
    return (
        *head(envelope, event),
        *position,
        *(_name(payload.get(column)) for column in ("account_id", "instrument_id", "plan_id", "client_order_id")),
        json_bytes(payload),
    )


def _name(value: str | None) -> str | None:
    return None if value is None else without_nul(value)
