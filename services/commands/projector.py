"""``tapeline projector``: keep the database up to the log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.commands.common import DbOption, JsonOption, LogOption, emit, load, open_log


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("projector")(projector)


def projector(
    context: typer.Context,
    log: LogOption = None,
    db: DbOption = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when the log has nothing new.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Project every topic into PostgreSQL, rows and log position in one transaction, until stopped."""
    settings = load(context, log=log, db=db, service=True)
    from projections.migrate import migrate
    from projections.writer import Projector
    from services.projection import LogSource
    from services.signals import stop_alarm
    from services.stores import open_database

    with open_log(settings.service.log) as opened, open_database(settings.service.db.get_secret_value()) as dsn:
        migrate(dsn)
        with Projector(LogSource(opened), dsn) as running:
            done = running.run(until_caught_up=once, stop=stop_alarm().is_set)
    content: dict[str, Any] = {"records": done.records, "rows": done.rows, "unreadable": done.unreadable}
    records, rows = sum(done.records.values()), sum(done.rows.values())
    emit(content, as_json=as_json, human=lambda: f"{records} records into {rows} rows, {done.unreadable} unreadable")
