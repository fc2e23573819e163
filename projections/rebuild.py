"""Rebuild: fill a new schema beside the one in service from the log alone, prove it equal, switch in one transaction.

The schema in service is read, never written. A projector that runs on it meanwhile finds its position moved after the
switch, stops, and goes on in the new schema when it starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import Connection, sql

from projections import timescale
from projections.connect import connect
from projections.digest import TableDigest, differences, digests_in, table_digests
from projections.migrate import migrate
from projections.positions import Place, Reached, VersionDiffers, load, lock
from projections.source import Source
from projections.tables import SCHEMA
from projections.writer import BATCH, Progress, Projected, Projector

OnProgress = Callable[[Progress], None] | None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found. ``differences``: one line per table that was not equal to the one in service.

    ``compared`` is False where there was nothing to compare with: no schema in service, or one of another version.
    """

    projected: Projected
    digests: dict[str, TableDigest]
    compared: bool
    differences: tuple[str, ...]
    switched: bool


@dataclass(frozen=True, slots=True)
class _InService:
    positions: dict[Place, Reached]
    digests: dict[str, TableDigest]


def rebuild(
    source: Source,
    dsn: str,
    *,
    schema: str = SCHEMA,
    switch: bool = True,
    batch: int = BATCH,
    on_progress: OnProgress = None,
) -> Rebuilt:
    """Rebuild ``schema`` from the log, compare it with the one in service at that one's own positions, and switch.

    Raises ProjectorRunning while another rebuild is at work. ``switch`` False: compare only, leave everything as it is.
    """
    with connect(dsn, schema) as guard:
        lock(guard, schema, purpose="rebuild")
        _drop_leftovers(guard, schema)
        fresh = f"{schema}_rebuild_1"
        migrate(dsn, fresh)
        with Projector(source, dsn, schema=fresh, batch=batch, on_progress=on_progress) as projector:
            compared, found = _compare(dsn, schema, fresh, projector)
            projected = projector.run(until_caught_up=True)
        timescale.refresh(guard, fresh)
        digests = table_digests(dsn, fresh)
        _finish(guard, schema, fresh, switch=switch)
    return Rebuilt(projected, digests, compared, tuple(found), switch)


def _compare(dsn: str, schema: str, fresh: str, projector: Projector) -> tuple[bool, list[str]]:
    """Fill up to exactly where the schema in service stands, and compare there."""
    in_service = _read_in_service(dsn, schema)
    if in_service is None:
        return False, []
    while projector.step(in_service.positions):
        pass
    return True, differences(in_service.digests, table_digests(dsn, fresh))


def _read_in_service(dsn: str, schema: str) -> _InService | None:
    """Return positions and digests as of one moment; None if there is no such schema or it is of another version."""
    with connect(dsn, schema) as connection:
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        name = f'"{schema}".projection_position'
        row = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
        if row is None or row[0] is None:
            return None
        try:
            positions = load(connection, schema)
        except VersionDiffers:
            return None
        return _InService(positions, digests_in(connection, schema)) if positions else None


def _schemas_like(connection: Connection, schema: str) -> list[str]:
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s) OR starts_with(nspname, %s)",
        (f"{schema}_rebuild_", f"{schema}_old_"),
    )
    return [row[0] for row in rows.fetchall()]


def _drop_leftovers(connection: Connection, schema: str) -> None:
    """Remove what a killed rebuild left; the lock says that no other one is at work."""
    for name in _schemas_like(connection, schema):
        timescale.drop_policies(connection, name)
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def _finish(connection: Connection, schema: str, fresh: str, *, switch: bool) -> None:
    if switch:
        old = sql.Identifier(f"{schema}_old_1")
        exists = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        with connection.transaction():
            if exists:
                connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(schema), old))
            connection.execute(
                sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(fresh), sql.Identifier(schema))
            )
    _drop_leftovers(connection, schema)
