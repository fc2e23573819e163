"""``tapeline adapters``: what comes from outside beside the market: news, search trends, on-chain numbers."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from services.commands.common import NO, JsonOption, LogOption, MetricsOption, ShardsOption, emit, load, open_log, table

if TYPE_CHECKING:
    from services.adapters.check import Finding


def register(app: typer.Typer) -> None:
    """Add the group; without a subcommand it runs."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(adapters)
    group.command("check")(check)
    app.add_typer(group, name="adapters")


def adapters(
    context: typer.Context,
    log: LogOption = None,
    shards: ShardsOption = None,
    metrics_port: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put news, search trends and on-chain numbers on the log until stopped; which, TAPELINE_CONTEXT_SOURCES says.

    A source that fails is DOWN on the log and in the metrics, and everything else goes on. Nothing is written to a log
    without a live market. Exit code 75: an append is in doubt; start it again. 1: other adapters have taken over.
    """
    if context.invoked_subcommand is not None:
        return
    settings = load(context, log=log, metrics_port=metrics_port, shards=shards, service=True)
    service = settings.service
    from services.adapters.catalogue import build_sources
    from services.adapters.counters import AdapterCounters
    from services.adapters.service import run_blocking
    from services.metrics.adapters import adapters_registry
    from services.metrics.serve import serve_metrics
    from services.signals import stop_alarm

    stopped, counts, sources = stop_alarm(), AdapterCounters(), build_sources(service)
    with (
        open_log(service.log, read_only=False) as opened,
        serve_metrics(adapters_registry(counts), host=service.metrics_host, port=service.metrics_port),
    ):
        run_blocking(opened, sources, shards=service.shards, stopped=stopped.is_set, counters=counts)
    content: dict[str, Any] = {"items": counts.items, "state": counts.state}
    written, failures = sum(counts.items.values()), sum(counts.failures.values())
    emit(content, as_json=as_json, human=lambda: f"{written} events written, {failures} attempts failed")


def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Ask every source once and show what came; nothing is written. Exit code 1: at least one is down."""
    settings = load(context)
    from services.adapters.catalogue import build_sources
    from services.adapters.check import ask_all

    findings = asyncio.run(ask_all(build_sources(settings.service)))
    emit([asdict(found) for found in findings], as_json=as_json, human=lambda: _shown(findings))
    if any(found.state == "DOWN" for found in findings):
        raise typer.Exit(NO)


def _shown(findings: list[Finding]) -> str:
    if not findings:
        return "no source is on: TAPELINE_CONTEXT_SOURCES is empty"
    heading = ["source", "state", "items", "usable", "newest usable", "detail", "asked"]
    rows = [[f.source, f.state, str(f.items), str(f.usable), f.example, f.detail, f.where] for f in findings]
    return table([heading, *rows])
