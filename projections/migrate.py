"""Bring a database schema up to the newest migration and let readers in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg import Connection, sql
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from projections.access import grant_read
from projections.connect import connect
from projections.positions import lock
from projections.tables import SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(dsn: str, schema: str = SCHEMA, *, revision: str = "head") -> None:
    """Create ``schema`` if needed, run the migrations it lacks, and grant the read role its SELECT. Repeatable.

    Raises ProjectorRunning while another migration of the same schema is at work.
    """
    with connect(dsn, schema) as connection:
        lock(connection, schema, purpose="migration", wait_s=60)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        run(dsn, schema, lambda config: command.upgrade(config, revision))
        grant_read(connection, schema)


def current(dsn: str, schema: str = SCHEMA) -> str | None:
    """Return the revision ``schema`` is at; None before the first migration."""
    with connect(dsn, schema) as connection:
        table = sql.Identifier(schema, "alembic_version")
        found = connection.execute("SELECT to_regclass(%s)", (table.as_string(connection),)).fetchone()
        if found is None or found[0] is None:
            return None
        row = connection.execute(sql.SQL("SELECT version_num FROM {}").format(table)).fetchone()
    return None if row is None else str(row[0])


def run(dsn: str, schema: str, act: Callable[[Config], None]) -> None:
    """Run an Alembic command on ``schema`` in one transaction."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: _transactional(dsn, schema), poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            config.attributes["schema"] = schema
            act(config)
    finally:
        engine.dispose()


def _transactional(dsn: str, schema: str) -> Connection:
    connection = connect(dsn, schema)
    connection.autocommit = False
    return connection
