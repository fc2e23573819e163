"""Start the trading gateway from settings: client, account, instruments, log; the only place that builds its parts."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from schemas.settings import SettingsError, Venue
from services.gateways.okx.counters import GatewayCounters
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.memory import MemoryFile
from services.gateways.okx.owner import Owner
from services.gateways.okx.start import StartReport, open_client, venue_hosts
from services.gateways.okx.terms import Terms, terms_of
from services.gateways.okx.trading import Cadence, TradingGateway
from services.settings import Settings
from streams.log.base import EventLog
from streams.log.sqlite import SqliteLog
from streams.pipeline import CODE_VERSION
from streams.venues import venue_of

if TYPE_CHECKING:
    from services.gateways.okx.client import OkxClient

SETTINGS_POLL_S = 0.5
_log = structlog.get_logger("tapeline.gateway.okx.trading")


@dataclass(frozen=True, slots=True)
class TradingCounts:
    """What a run of the gateway came to."""

    orders: int
    reports: int
    reconciliations: int


async def run_trading_gateway(
    log: EventLog,
    settings: Settings,
    *,
    stopped: Callable[[], bool],
    cadence: Cadence | None = None,
    counters: GatewayCounters | None = None,
) -> TradingCounts:
    """Trade one shard on OKX until stopped. Waits for the shard's first settings, which the market gateway writes.

    Raises StartRefused, VenueUnavailable, SettingsError, OtherAccount, LogError before anything is sent, GatewayStopped
    when its hold on the reports is gone: start it again.
    """
    shard = settings.service.shard
    if isinstance(log, SqliteLog):  # an attempt lost after its order was sent would be sent again (kernel, section 10)
        log.survive_power_loss()
    client, report = await open_client(settings)
    try:
        for warning in report.warnings:
            _log.warning("to be looked at", detail=warning)
        if not await _on_okx(log, shard, stopped):
            return TradingCounts(0, 0, 0)
        async with terms_of(venue_hosts(settings.service), settings.trading.instruments_allowed) as terms:
            desk = _desk(log, settings, client, report, terms, counters)
            _log.info("trading", mode=report.mode, account=report.account.uid, shard=shard)
            memory = MemoryFile.beside(settings.service.log, shard)
            await TradingGateway(desk, stopped=stopped, cadence=cadence or Cadence(), memory=memory).run()
            reports = sum(desk.reports.written.values())
            return TradingCounts(len(desk.orders.orders), reports, desk.counters.reconciliations)
    finally:
        await client.close()


def _desk(
    log: EventLog,
    settings: Settings,
    client: OkxClient,
    report: StartReport,
    terms: Terms,
    counters: GatewayCounters | None,
) -> OrderDesk:
    owner = Owner(
        account_id=settings.trading.account_id,
        gateway=f"{socket.gethostname()}-{os.getpid()}",
        code_version=CODE_VERSION,
        venue_account=f"{report.mode} {report.account.uid}",
    )
    return OrderDesk(
        log,
        settings.service.shard,
        client,
        owner,
        clock=client.clock.now,
        instruments=terms.get,
        renew=terms.renew,
        counters=counters,
    )


async def _on_okx(log: EventLog, shard: int, stopped: Callable[[], bool]) -> bool:
    """Wait for the shard's settings; return False when stopped first. Raises SettingsError for a paper shard."""
    while (venue := venue_of(log, shard)) is None:
        if stopped():
            return False
        await asyncio.sleep(SETTINGS_POLL_S)
    if venue is not Venue.OKX:
        raise SettingsError(
            f"venue=OKX: shard {shard} of this log is on {venue} for life; a log that is to trade on OKX begins with "
            "TAPELINE_VENUE=OKX"
        )
    return True


def run_blocking(
    log: EventLog, settings: Settings, *, stopped: Callable[[], bool], counters: GatewayCounters
) -> TradingCounts:
    """Run the gateway in an event loop of its own."""
    return asyncio.run(run_trading_gateway(log, settings, stopped=stopped, counters=counters))
