"""The tables: one per event family, derived from the event classes; the audit trail; the projector's own books.

Every primary key contains the time column, as TimescaleDB demands, and the log position, which makes it unique. The
metadata names no schema: the same tables live in ``tapeline`` and, during a rebuild, in a schema beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table, make_url
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlalchemy.schema import CreateIndex, CreateTable

from projections.columns import BIGINT, INTEGER, JSON, MOMENT, NAME, TEXT, Kind, Leaf, leaves
from projections.families import FAMILIES, Family
from schemas.envelope import Event

SCHEMA = "tapeline"
"""Default schema of the projections in service."""
PROJECTION = "tapeline"
"""Name of the one projection of this version: all tables, one position per topic partition."""
PROJECTOR_VERSION = 1
"""Raised when the same columns are filled differently; a changed column changes the version by itself."""

METADATA = MetaData()
_DIALECT = make_url("postgresql+psycopg://").get_dialect()()

ENVELOPE: tuple[tuple[str, Kind], ...] = (
    ("event_type", NAME),
    ("event_id", NAME),
    ("correlation_id", NAME),
    ("causation_id", NAME),
    ("stage", NAME),
    ("step", BIGINT),
    ("ordinal", BIGINT),
    ("seq", BIGINT),
    ("ts_event", MOMENT),
    ("ts_ingest", MOMENT),
    ("settings_digest", NAME),
)
"""Columns every event table begins with; the row functions of ``projectors`` fill them in this order."""
PLACE: tuple[tuple[str, Kind], ...] = (("log_partition", INTEGER), ("log_offset", BIGINT))
_TAKEN = frozenset(name for name, _ in ENVELOPE + PLACE) | RESERVED_WORDS


@dataclass(frozen=True, slots=True)
class Layout:
    """A table and how its rows are copied: column names and COPY types, in order."""

    table: Table
    columns: tuple[str, ...]
    wire: tuple[str, ...]


def column_name(leaf: Leaf) -> str:
    """Return the column of a leaf; one that would need quoting or hide the envelope gets the prefix ``event_``."""
    return f"event_{leaf.column}" if leaf.column in _TAKEN else leaf.column


def payload_columns(family: Family) -> dict[str, Leaf]:
    """Return the union of the members' columns by name. Raises TypeError where two members disagree on a type."""
    union: dict[str, Leaf] = {}
    members = [{column_name(leaf): leaf for leaf in leaves(event)} for event in family.events]
    for columns in members:
        for name, leaf in columns.items():
            known = union.setdefault(name, leaf)
            if str(known.kind.sql) != str(leaf.kind.sql):
                raise TypeError(f"{family.table}.{name}: members disagree: {known.kind.sql} and {leaf.kind.sql}")
            union[name] = replace(known, nullable=known.nullable or leaf.nullable)
    everywhere = set.intersection(*(set(columns) for columns in members))
    return {name: replace(leaf, nullable=leaf.nullable or name not in everywhere) for name, leaf in union.items()}


def _layout(name: str, columns: Sequence[tuple[str, Kind, bool]], key: Sequence[str]) -> Layout:
    table = Table(
        name,
        METADATA,
        *(Column(column, kind.sql, nullable=nullable) for column, kind, nullable in columns),
        PrimaryKeyConstraint(*key, name=f"{name}_pkey"),
    )
    return Layout(table, tuple(column for column, _, _ in columns), tuple(kind.wire for _, kind, _ in columns))


def _index(table: Table, columns: Sequence[str]) -> None:
    Index(f"{table.name}_{'_'.join(columns)}_idx", *(table.c[column] for column in columns))


def _family_layout(family: Family) -> Layout:
    common = [(name, kind, False) for name, kind in ENVELOPE + PLACE]
    own = [(name, leaf.kind, leaf.nullable) for name, leaf in payload_columns(family).items()]
    layout = _layout(family.table, common + own, ("ts_event", "log_partition", "log_offset"))
    for columns in family.indexes:
        _index(layout.table, columns)
    if family.find_by_id:
        _index(layout.table, ("event_id",))
    return layout


AUDIT_OWN: tuple[tuple[str, Kind, bool], ...] = (
    ("account_id", NAME, True),
    ("instrument_id", NAME, True),
    ("plan_id", NAME, True),
    ("client_order_id", NAME, True),
    ("payload", JSON, False),
)


def _audit_layout() -> Layout:
    place = (("log_topic", NAME), *PLACE)
    common = [(name, kind, False) for name, kind in (*ENVELOPE, *place)]
    layout = _layout("audit", [*common, *AUDIT_OWN], ("ts_event", "log_topic", "log_partition", "log_offset"))
    for columns in (("event_id",), ("causation_id",), ("correlation_id",), ("plan_id",)):
        _index(layout.table, columns)
    return layout


LAYOUTS: dict[str, Layout] = {family.table: _family_layout(family) for family in FAMILIES} | {"audit": _audit_layout()}
"""Every table rows are copied into, by name."""

POSITIONS = Table(
    "projection_position",
    METADATA,
    Column("projection", TEXT.sql, nullable=False),
    Column("version", TEXT.sql, nullable=False),
    Column("topic", TEXT.sql, nullable=False),
    Column("partition", INTEGER.sql, nullable=False),
    Column("next_offset", BIGINT.sql, nullable=False),
    Column("next_seq", BIGINT.sql, nullable=False),
    PrimaryKeyConstraint("projection", "topic", "partition", name="projection_position_pkey"),
)
"""How far the tables reach, moved in the transaction that brings the rows."""

Table(
    "quarantined_records",
    METADATA,
    Column("topic", TEXT.sql, nullable=False),
    Column("partition", INTEGER.sql, nullable=False),
    Column("log_offset", BIGINT.sql, nullable=False),
    Column("reason", TEXT.sql, nullable=False),
    Column("size", BIGINT.sql, nullable=False),
    Column("head", BYTEA(), nullable=False),
    PrimaryKeyConstraint("topic", "partition", "log_offset", name="quarantined_records_pkey"),
)
"""Records no event could be made of; ``head``: their first bytes. The whole record stays on the log."""


def table_of(event: type[Event]) -> Table:
    """Return the table an event type is projected into."""
    return LAYOUTS[next(family.table for family in FAMILIES if event in family.events)].table


def ddl() -> str:
    """Return the statements that create every table and index, in a fixed order, without a schema name."""
    lines: list[str] = []
    for table in sorted(METADATA.tables.values(), key=lambda table: table.name):
        lines.append(str(CreateTable(table).compile(dialect=_DIALECT)).strip() + ";")
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            lines.append(str(CreateIndex(index).compile(dialect=_DIALECT)).strip() + ";")
    return "\n".join(line.replace("\t", "  ").replace(" \n", "\n") for line in lines) + "\n"


@cache
def version() -> str:
    """Return the version of what the tables hold: rows of two versions never mix; a new one needs a rebuild."""
    return sha256(f"{PROJECTOR_VERSION}\n{ddl()}".encode()).hexdigest()[:12]
