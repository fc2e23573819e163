"""Connections to the projection database: one place for search path, time zone and durability."""

from __future__ import annotations

import psycopg
from psycopg import Connection, sql


class ProjectionError(Exception):
    """The projections cannot go on; says what is in the way and what to do."""


def connect(dsn: str, schema: str, *, lazy_commit: bool = False) -> Connection:
    """Open an autocommit connection that sees ``schema`` first, in UTC.

    ``lazy_commit``: do not wait for the disk at commit. Power loss may then take the last transactions, rows and log
    position together: they are projected again.
    """
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute(sql.SQL("SET search_path TO {}, public").format(sql.Identifier(schema)))
    connection.execute("SET TIME ZONE 'UTC'")
    if lazy_commit:
        connection.execute("SET synchronous_commit TO off")
    return connection
