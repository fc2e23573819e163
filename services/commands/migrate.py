"""``tapeline migrate``: make the projections' tables ready before any other service starts."""

from __future__ import annotations

import typer

from services.commands.common import DbOption, JsonOption, emit, load


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate")(migrate)


def migrate(context: typer.Context, db: DbOption = None, as_json: JsonOption = False) -> None:
    """Create or upgrade the tables, let the read role in, and give it its password if one is set. Repeatable."""
    settings = load(context, db=db)
    from projections.access import set_read_password
    from projections.connect import connect
    from projections.migrate import current
    from projections.migrate import migrate as upgrade
    from projections.tables import SCHEMA
    from services.stores import open_database

    password = settings.service.db_read_password
    with open_database(settings.service.db.get_secret_value()) as dsn:
        upgrade(dsn)
        if password is not None:
            with connect(dsn, SCHEMA) as connection:
                set_read_password(connection, password.get_secret_value())
        revision = current(dsn)
    emit(
        {"schema": SCHEMA, "revision": revision, "read_password_set": password is not None},
        as_json=as_json,
        human=lambda: f"schema {SCHEMA} is at revision {revision}",
    )
