"""``tapeline projector``: keep the database up to the log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.commands.common import DbOption, JsonOption, LogOption, MetricsOption, emit, load, open_log


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("projector")(projector)


def projector(
    context: typer.Context,
    log: LogOption = None,
    db: DbOption = None,
    once: Annotated[bool, typer.Option("--once", help="Stop when the log has nothing new.")] = False,
    metrics_port: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Project every topic into PostgreSQL, rows and log position in one transaction, until stopped."""
    settings = load(context, log=log, db=db, metrics_port=metrics_port, service=True)
    from projections.migrate import migrate
    from services.disk import log_folder
    from services.metrics.serve import serve_metrics
    from services.projection import MeteredProjector
    from services.signals import stop_alarm
    from services.stores import open_database

    service = settings.service
    with open_log(service.log) as opened, open_database(service.db.get_secret_value()) as dsn:
        migrate(dsn)
        with (
            MeteredProjector(opened, dsn, disk=log_folder(service)) as running,
            serve_metrics(running.registry, host=service.metrics_host, port=service.metrics_port),
        ):
            done = running.run(until_caught_up=once, stop=stop_alarm())
    content: dict[str, Any] = {"records": done.records, "rows": done.rows, "unreadable": done.unreadable}
    records, rows = sum(done.records.values()), sum(done.rows.values())
    emit(content, as_json=as_json, human=lambda: f"{records} records into {rows} rows, {done.unreadable} unreadable")
