"""The venue's terms of each instrument, lot and tick above all, as last asked; they change while a gateway runs.

The trader learns of a change from the market gateway within a second; here an order that does not fit what is known is
the sign to ask again, before anything was sent.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from schemas.events.market import InstrumentDefined
from services.gateways.okx.hosts import Hosts
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueRefused, VenueUnreachable
from services.gateways.okx.market.rest import PublicApi
from services.gateways.okx.market.wire import public_exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RENEWALS = 2
"""Attempts at asking for one instrument while an order waits."""
_log = structlog.get_logger("tapeline.gateway.okx.trading")


class Terms:
    """What is known of the instruments of an account."""

    def __init__(self, api: PublicApi, known: dict[str, InstrumentDefined]) -> None:
        self._api, self._known = api, known

    def get(self, instrument_id: str) -> InstrumentDefined | None:
        """Return an instrument as last asked; None: the venue was never asked, or has none."""
        return self._known.get(instrument_id)

    async def renew(self, instrument_id: str) -> None:
        """Ask the venue for an instrument again; without an answer what is known stays."""
        try:
            found = await self._api.instrument(instrument_id)
        except (VenueRefused, VenueUnreachable) as error:
            _log.warning("terms not renewed", instrument_id=instrument_id, detail=str(error))
            return
        if found != self._known.get(instrument_id):
            lot, tick = str(found.lot_size), str(found.tick_size)
            _log.warning("terms changed", instrument_id=instrument_id, lot_size=lot, tick_size=tick)
        self._known[instrument_id] = found


@asynccontextmanager
async def terms_of(hosts: Hosts, instrument_ids: Collection[str]) -> AsyncIterator[Terms]:
    """Ask for some instruments and keep the way to ask again. Raises VenueRefused, VenueUnreachable."""
    exchange = public_exchange(rest_url=hosts.rest, ws_url=hosts.ws, simulated=hosts.demo)
    try:
        api = PublicApi(exchange, MarketCounters())
        known = await api.instruments(instrument_ids)
        api.attempts = RENEWALS
        yield Terms(api, known)
    finally:
        await exchange.close()
