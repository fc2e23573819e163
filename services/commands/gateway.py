"""``tapeline gateway``: the programs that talk to a venue."""

from __future__ import annotations

from dataclasses import asdict

import typer

from services.commands.common import (
    JsonOption,
    LogOption,
    MetricsOption,
    ShardsOption,
    emit,
    load,
    open_log,
    refuse_shard_beyond,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="The programs that talk to a venue.", no_args_is_help=True, rich_markup_mode=None)
    group.command("okx-market")(okx_market)
    group.command("okx")(okx)
    group.callback()(_group)
    app.add_typer(group, name="gateway")


def _group() -> None:
    """The programs that talk to a venue."""


def okx_market(
    context: typer.Context,
    log: LogOption = None,
    shards: ShardsOption = None,
    metrics_port: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put OKX's live market data on the log until stopped: history, then what OKX_CHANNELS names. Needs no key.

    Exit code 75: an append is in doubt; start it again. 1: another market gateway or an import has taken over.
    """
    settings = load(context, log=log, metrics_port=metrics_port, shards=shards, service=True)
    service = settings.service
    refuse_shard_beyond(settings)
    from services.gateways.okx.market.counters import MarketCounters
    from services.gateways.okx.market.start import market_options, run_blocking
    from services.metrics.market import market_registry
    from services.metrics.serve import serve_metrics
    from services.signals import stop_alarm

    stopped, counts = stop_alarm(), MarketCounters()
    options = market_options(service, service.shards)
    with (
        open_log(service.log, read_only=False) as opened,
        serve_metrics(market_registry(counts), host=service.metrics_host, port=service.metrics_port),
    ):
        run_blocking(opened, settings.trading, options, stopped=stopped.is_set, counters=counts)
    content = asdict(counts)
    ticks = sum(counts.ticks.values())
    emit(
        content,
        as_json=as_json,
        human=lambda: (
            f"{ticks} ticks from {counts.frames} frames and {counts.backfilled_bars} bars of history; "
            f"{counts.disconnects} disconnects, {counts.gaps} book gaps, {counts.repeats} repeats dropped, "
            f"{counts.quarantined} frames quarantined"
        ),
    )


def okx(
    context: typer.Context, log: LogOption = None, metrics_port: MetricsOption = None, as_json: JsonOption = False
) -> None:
    """Trade one shard on OKX until stopped: its orders out, the venue's word in. Needs mode demo or live, and keys.

    In mode paper, the default, it sends nothing, needs no key, and says so until it is stopped. Exit code 75: another
    gateway owns the reports, or nobody can tell; start it again.
    """
    settings = load(context, log=log, metrics_port=metrics_port, service=True)
    from services.gateways.okx.counters import GatewayCounters
    from services.gateways.okx.idle import idle_on_paper
    from services.gateways.okx.trade import run_blocking
    from services.metrics.gateway import gateway_registry
    from services.metrics.serve import serve_metrics
    from services.signals import stop_alarm

    service, stopped, counters = settings.service, stop_alarm(), GatewayCounters()
    with serve_metrics(gateway_registry(counters), host=service.metrics_host, port=service.metrics_port):
        if service.mode == "paper":
            idle_on_paper(settings, stopped)
            return
        with open_log(service.log, read_only=False) as opened:
            counts = run_blocking(opened, settings, stopped=stopped.is_set, counters=counters)
    emit(
        asdict(counts),
        as_json=as_json,
        human=lambda: (
            f"{counts.orders} orders, {counts.reports} reports, {counts.reconciliations} reconciliations; "
            "resting entries are left to the venue's own switch, which cancels them"
        ),
    )
