"""The words a filter of the read side may have, where its column is a closed list: taken from the event classes."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from types import UnionType

from projections.families import FAMILIES
from schemas.envelope import Event
from schemas.timeframes import TIMEFRAMES
from streams.core.execution.orders import OrderState

VIEWS = {
    "trades": "trades_closed",
    "equity": "equity_points",
    "verdicts": "verdict_events",
    "plans": "plan_proposals",
    "orders": "order_events",
}
"""The table whose columns a view passes on."""


class PlanStatus(StrEnum):
    """What became of a plan, as the view ``plans`` tells it."""

    PROPOSED = "PROPOSED"
    PENDING = "PENDING"
    DENIED = "DENIED"
    APPROVED = "APPROVED"
    UNFILLED = "UNFILLED"
    OPEN = "OPEN"
    CLOSED = "CLOSED"


COMPUTED: dict[tuple[str, str], type[StrEnum]] = {("plans", "status"): PlanStatus, ("orders", "state"): OrderState}
"""Columns that no event has: a view makes them. A test holds them to its text."""
_EVENTS = {family.table: family.events for family in FAMILIES}


@cache
def words_of(tables: tuple[str, ...], column: str) -> tuple[str, ...]:
    """Return every word a column of these tables or views may hold; empty: it is no closed list."""
    if column == "timeframe":
        return tuple(TIMEFRAMES)
    words = (word for table in tables for word in _words(table, column))
    return tuple(dict.fromkeys(words))


def _words(table: str, column: str) -> Iterable[str]:
    if (table, column) in COMPUTED:
        return COMPUTED[table, column]
    events = _EVENTS[VIEWS.get(table, table)]
    if column == "event_type":
        return [event.__name__ for event in events]
    return [word for event in events for word in _vocabulary(event, column)]


def _vocabulary(event: type[Event], name: str) -> Iterable[str]:
    hint = typing.get_type_hints(event).get(name)
    kinds = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return [word for kind in kinds if isinstance(kind, type) and issubclass(kind, StrEnum) for word in kind]
