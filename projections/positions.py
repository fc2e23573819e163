"""The projector's own books: how far the tables reach, who may write, and the proof that nobody else did."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from psycopg import Connection, errors, sql

from projections.connect import ProjectionError
from projections.tables import LAYOUTS, PROJECTION, version

LOCK_WAIT_S = 5
"""How long a starting projector waits for its predecessor's connection to be noticed as dead."""


class ProjectorRunning(ProjectionError):
    """Another projector writes this schema."""


class PositionMoved(ProjectionError):
    """The stored position is not where this projector left it: somebody else wrote, or the schema was switched."""


class VersionDiffers(ProjectionError):
    """The tables were filled by another version of the projection."""


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Reached(NamedTuple):
    """Where reading goes on."""

    offset: int
    seq: int


def lock(connection: Connection, schema: str, *, purpose: str = PROJECTION, wait_s: float = LOCK_WAIT_S) -> None:
    """Hold the one right to write ``schema`` for as long as the connection lives. Raises ProjectorRunning."""
    key = int.from_bytes(sha256(f"tapeline/{schema}/{purpose}".encode()).digest()[:8], "big", signed=True)
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{round(wait_s * 1000)}ms",))
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))
    except errors.LockNotAvailable as error:
        raise ProjectorRunning(
            f"schema {schema}: another {purpose} is at work (waited {wait_s:g} s); stop it first, one is enough"
        ) from error
    connection.execute("SELECT set_config('lock_timeout', '0', false)")


def load(connection: Connection, schema: str) -> dict[Place, Reached]:
    """Return the stored positions. Raises VersionDiffers when the tables are another version's."""
    rows = connection.execute(
        sql.SQL("SELECT topic, partition, next_offset, next_seq, version FROM {} WHERE projection = %s").format(
            sql.Identifier(schema, "projection_position")
        ),
        (PROJECTION,),
    ).fetchall()
    foreign = sorted({row[4] for row in rows if row[4] != version()})
    if foreign:
        raise VersionDiffers(
            f"schema {schema} was filled by projection version {', '.join(foreign)}, this is {version()}; "
            "run `tapeline replay rebuild`"
        )
    return {Place(row[0], row[1]): Reached(row[2], row[3]) for row in rows}


def check_tables(connection: Connection, schema: str) -> None:
    """Raise VersionDiffers unless the tables have the columns this version fills: says which do not."""
    rows = connection.execute(
        "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped",
        (schema,),
    ).fetchall()
    columns: dict[str, set[str]] = {}
    for table, column in rows:
        columns.setdefault(table, set()).add(column)
    wrong = [name for name, layout in LAYOUTS.items() if columns.get(name, set()) != set(layout.columns)]
    if wrong:
        raise VersionDiffers(
            f"schema {schema}: {', '.join(sorted(wrong)[:5])} ({len(wrong)} tables) are missing or another version's; "
            "run `tapeline replay rebuild`"
        )


def add_missing(connection: Connection, schema: str, places: Iterable[Place]) -> None:
    """Start every place without a position at the beginning of its partition."""
    statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, 0, 0) ON CONFLICT DO NOTHING").format(
        sql.Identifier(schema, "projection_position")
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, [(PROJECTION, version(), *place) for place in places])


def move(connection: Connection, schema: str, place: Place, old: Reached, new: Reached) -> None:
    """Move one position inside the caller's transaction. Raises PositionMoved unless it was where we left it."""
    statement = sql.SQL(
        "UPDATE {} SET next_offset = %s, next_seq = %s WHERE projection = %s AND version = %s"
        " AND topic = %s AND partition = %s AND next_offset = %s AND next_seq = %s"
    ).format(sql.Identifier(schema, "projection_position"))
    moved = connection.execute(statement, (*new, PROJECTION, version(), *place, *old)).rowcount
    if moved != 1:
        raise PositionMoved(
            f"schema {schema}, {place.topic}/{place.partition}: position is not {old.offset} any more; nothing of this "
            "batch was written. Another projector wrote or the schema was switched by a rebuild: start again"
        )
