"""``tapeline api``: the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from services.commands.common import API_PORT_BY, DbOption, LogOption, load
from services.ports import Address, refuse_taken

API_HOST_BY = "--host or TAPELINE_API_HOST"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("api")(api)


def api(
    context: typer.Context,
    log: LogOption = None,
    db: DbOption = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to bind to; default TAPELINE_API_HOST.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port; default TAPELINE_API_PORT.")] = None,
) -> None:
    """Serve the read side and the control side over HTTP until stopped; documentation at /docs."""
    more = {"TAPELINE_API_HOST": host, "TAPELINE_API_PORT": None if port is None else str(port)}
    settings = load(context, log=log, db=db, more=more, service=True)
    service = settings.service
    refuse_taken(Address(service.api_host, service.api_port, API_HOST_BY, API_PORT_BY))
    from services.api import serve

    serve(settings)
