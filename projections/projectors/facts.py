"""One row per event in the table of its family: the columns are derived from the class (``projections.columns``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.columns import leaves, moment, values_getter
from projections.families import FAMILIES, Family
from projections.source import LogPosition
from projections.tables import column_name, payload_columns
from schemas.envelope import Envelope, Event

Values = Callable[[Any], list[Any]]


def row(position: LogPosition, envelope: Envelope, event: Event) -> tuple[str, tuple[Any, ...]]:
    """Return table and row of an event."""
    table, values = _ROWS[type(event)]
    return table, (*head(envelope, event), position.partition, position.offset, *values(event))


def head(envelope: Envelope, event: Event) -> tuple[Any, ...]:
    """Return the envelope columns, in the order of ``tables.ENVELOPE``."""
    identity, correlation, causation, stage, step, ordinal, seq, ts_event, ts_ingest, _producer, settings = envelope
    return (
        type(event).__name__,
        identity,
        correlation,
        causation,
        stage,
        step,
        ordinal,
        seq,
        moment(ts_event),
        moment(ts_ingest),
        settings,
    )


def _values_of(family: Family, event: type[Event]) -> Values:
    own = list(leaves(event))
    get = values_getter(own)
    place = {column_name(leaf): index for index, leaf in enumerate(own)}
    order = [place.get(name) for name in payload_columns(family)]
    if order == list(range(len(own))):
        return get
    return lambda value: _arranged(get(value), order)


def _arranged(values: list[Any], order: list[int | None]) -> list[Any]:
    return [None if index is None else values[index] for index in order]


_ROWS: dict[type[Event], tuple[str, Values]] = {
    event: (family.table, _values_of(family, event)) for family in FAMILIES for event in family.events
}
