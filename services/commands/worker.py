"""``tapeline worker``: the Faust worker alone."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer

from services.commands.common import LogOption, MetricsOption, ShardsOption, load


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker(
    context: typer.Context,
    log: LogOption = None,
    worker_id: Annotated[
        str | None,
        typer.Option("--worker-id", help="Unique among workers, the same after a restart; default the host."),
    ] = None,
    shards: ShardsOption = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Stop once every input has been taken.")] = False,
    metrics_port: MetricsOption = None,
) -> None:
    """Run the trader's Faust worker until stopped. Exit 75: start it again, recovery decides what holds."""
    settings = load(context, log=log, metrics_port=metrics_port, shards=shards, service=True)
    from services.metrics.serve import serve_metrics
    from services.metrics.worker import worker_registry
    from streams.app import run_worker
    from streams.pipeline import stages

    name = worker_id or os.environ.get("HOSTNAME") or socket.gethostname()
    service = settings.service
    registry, watch = worker_registry()
    with serve_metrics(registry, host=service.metrics_host, port=service.metrics_port):
        code = run_worker(
            log_url=service.log, stages=stages(), worker_id=name, shards=service.shards, until_idle=until_idle,
            watch=watch,
        )  # fmt: skip
    raise typer.Exit(code)
