"""Start the market gateway from settings: exchange, clock, instruments, log; the only place that builds its parts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from schemas.settings import TradingSettings
from services.bootstrap import prepare_log
from services.feeds.feed import PRODUCER, WARMUP
from services.feeds.model import Run
from services.gateways.okx.hosts import hosts, unlisted_swaps
from services.gateways.okx.market.clock import local_now, measured_clock
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueRefused
from services.gateways.okx.market.gateway import MarketGateway
from services.gateways.okx.market.ledger import BAR_US
from services.gateways.okx.market.link import Dial, Inbox, Link, Patience
from services.gateways.okx.market.rest import PublicApi
from services.gateways.okx.market.subscriptions import LinkName, Subscription, parse_channels, plan_subscriptions
from services.gateways.okx.market.tail import read_tail
from services.gateways.okx.market.wire import KEEP_ALIVE_MS, CcxtDialer, public_exchange
from services.gateways.okx.market.writer import TickWriter
from services.settings import ServiceSettings
from streams.log import create_log
from streams.log.base import EventLog

INBOX = 10_000
"""Frames held at most: five seconds at 2,000 a second."""
_log = structlog.get_logger("tapeline.gateway.okx.market")


@dataclass(frozen=True, slots=True)
class MarketOptions:
    """What the market gateway needs besides the trading settings. ``warmup_us``: history before the first live bar.

    ``simulated``: OKX's demo trading, whose prices are its own.
    """

    rest_url: str
    ws_url: str
    channels: tuple[str, ...]
    shard: int = 0
    shards: int = 1
    warmup_us: int = WARMUP // timedelta(microseconds=1)
    region: str = "global"
    refresh_s: float = 3_600.0
    inbox: int = INBOX
    simulated: bool = False
    keep_alive_ms: int = KEEP_ALIVE_MS
    patience: Patience = field(default_factory=Patience)


def market_options(service: ServiceSettings, shards: int) -> MarketOptions:
    """Return the options that follow from the service settings; demo trading has market data of its own."""
    demo, region = service.mode == "demo", service.okx_region
    where = hosts(region, demo=demo, rest_url=service.okx_rest_url, ws_url=service.okx_ws_url)
    return MarketOptions(
        rest_url=where.rest,
        ws_url=where.ws,
        region=region,
        channels=parse_channels(service.okx_channels),
        shard=service.shard,
        shards=shards,
        simulated=demo,
    )


async def run_market_gateway(
    log: EventLog,
    settings: TradingSettings,
    options: MarketOptions,
    *,
    stopped: Callable[[], bool],
    counters: MarketCounters | None = None,
    instruments: Collection[str] | None = None,
) -> MarketCounters:
    """Put OKX's market data of these instruments (default: those allowed) on the log until stopped; return the counts.

    Raises MarketGatewayError, WriterStopped, SettingsError, LogError: what must end the process.
    """
    counts = counters or MarketCounters()
    wanted = settings.instruments_allowed if instruments is None else tuple(instruments)
    if (unlisted := unlisted_swaps(options.region, wanted)) is not None:
        raise VenueRefused(unlisted)
    exchange = public_exchange(
        rest_url=options.rest_url,
        ws_url=options.ws_url,
        simulated=options.simulated,
        keep_alive_ms=options.keep_alive_ms,
    )
    try:
        api = PublicApi(exchange, counts, first_pause_s=options.patience.question)
        clock = await measured_clock(api)
        _log.info("clock", offset_ms=clock.offset_us // 1000)
        run = Run(await api.instruments(wanted), PRODUCER)
        subscriptions = plan_subscriptions(run.instruments.values(), options.channels)
        create_log(log, shards=options.shards)
        tail = read_tail(log, options.shard, wanted)
        if tail.empty:  # settings come first; a new log begins with history, and so with the time of its first bar
            began = clock.now() - clock.now() % BAR_US - options.warmup_us
            prepare_log(log, settings, shards=options.shards, ts_event=began)
        writer = TickWriter(log, options.shard, PRODUCER, session=local_now())
        inbox = Inbox(options.inbox, counts)
        gateway = MarketGateway(
            run, subscriptions, api=api, writer=writer, clock=clock, inbox=inbox,
            counters=counts, warmup_us=options.warmup_us, patience=options.patience,
            refresh_s=options.refresh_s,
        )  # fmt: skip
        await gateway.begin(tail)
        prepare_log(
            log, settings, shards=options.shards
        )  # after the bars: what is stamped now moves the clock past them
        _log.info("history loaded", instruments=list(wanted), bars=counts.backfilled_bars)
        await gateway.run(_links(subscriptions, options, CcxtDialer(exchange), inbox, counts), stopped)
    finally:
        await exchange.close()
    return counts


def _links(
    subscriptions: Sequence[Subscription], options: MarketOptions, dial: Dial, inbox: Inbox, counts: MarketCounters
) -> list[Link]:
    """Return a link for each connection on which anything is subscribed."""
    return [
        Link(name, mine, dial=dial, inbox=inbox, counters=counts, patience=options.patience, chance=random.random)
        for name in LinkName
        if (mine := [each for each in subscriptions if each.link is name])
    ]


def run_blocking(
    log: EventLog,
    settings: TradingSettings,
    options: MarketOptions,
    *,
    stopped: Callable[[], bool],
    counters: MarketCounters | None = None,
) -> MarketCounters:
    """Run the gateway in an event loop of its own."""
    return asyncio.run(run_market_gateway(log, settings, options, stopped=stopped, counters=counters))
