"""What the market gateway asks over REST, through ccxt: time, instruments and tiers, closed bars, settled funding.

Raw replies are used, not ccxt's unified ones, which are floats and lose fields. ccxt brings the host and the
error classes. Every request is tried a few times while the network is at fault, and no further.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ccxt.base.errors import BaseError, NetworkError

from schemas.events.common import MarginMode
from schemas.events.market import InstrumentDefined, InstrumentKind, InstrumentState, MarginTier
from services.feeds.instruments.okx import is_inverse, parse_instrument, parse_state, parse_tiers
from services.feeds.model import BadLine
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueRefused, VenueUnreachable
from services.gateways.okx.pace import NoTurn, Pace

ATTEMPTS = 5
LIVE_ATTEMPTS = 2
"""Once frames come in they wait while something is asked: the next connection, or the next hour, asks again."""
PAGE = "300"
"""Bars asked for at once; a venue that gives fewer is asked more often. Source: OKX v5, candles: at most 300."""
SETTLED_PAGE = "100"
SOURCE = "OKX public/instruments"
_MODES = {"isolated": MarginMode.ISOLATED, "cross": MarginMode.CROSS}

Row = Mapping[str, Any]
T = TypeVar("T")


class PublicApi:
    """OKX's public REST endpoints. ``exchange``: ccxt's, with hosts set. Times in microseconds."""

    def __init__(
        self,
        exchange: Any,
        counters: MarketCounters,
        *,
        pace: Pace | None = None,
        first_pause_s: float = 0.25,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._exchange = exchange
        self._counters = counters
        self._pace = pace or Pace()
        self._pause, self._first_pause_s = pause, first_pause_s
        self._chance = chance
        self.attempts = ATTEMPTS

    async def time(self) -> int:
        """Return the venue's clock."""
        rows = await self._rows("public_get_public_time", {})
        return int(_field(rows, "ts")) * 1000

    async def instruments(self, instrument_ids: Collection[str]) -> dict[str, InstrumentDefined]:
        """Return these instruments with their tiers, as they stand now. Raises VenueRefused for an unknown one."""
        return {name: await self.instrument(name) for name in instrument_ids}

    async def instrument(self, instrument_id: str) -> InstrumentDefined:
        """Return one instrument with its tiers. Raises VenueRefused where the venue does not have it."""
        kind = InstrumentKind.SWAP if instrument_id.endswith("-SWAP") else InstrumentKind.SPOT
        rows = await self._rows("public_get_public_instruments", {"instType": kind.value, "instId": instrument_id})
        found = [row for row in rows if row.get("instId") == instrument_id]
        if not found:
            raise VenueRefused(f"{instrument_id}: OKX has no such {kind.value}; see TAPELINE_INSTRUMENTS_ALLOWED")
        return await self.with_tiers(defined(found[0]))

    async def with_tiers(self, instrument: InstrumentDefined) -> InstrumentDefined:
        """Return an instrument with its position tiers; a spot pair or an inverse swap has none that count."""
        if instrument.kind is InstrumentKind.SPOT or is_inverse(instrument):
            return instrument
        family = f"{instrument.base_currency}-{instrument.quote_currency}"
        tiers: list[MarginTier] = []
        for mode in _MODES:
            wanted = {"instType": "SWAP", "tdMode": mode, "instFamily": family}
            for row in await self._rows("public_get_public_position_tiers", wanted):
                tiers += _read(partial(parse_tiers, {**row, "tdMode": mode}), "position tiers")
        tiers.sort(key=lambda tier: (tier.margin_mode.value, tier.tier))
        return replace(instrument, tiers=tuple(tiers))

    async def candles(self, instrument_id: str, *, before: int, recent: bool) -> Sequence[Sequence[str]]:
        """Return a page of 1m candle rows that open before a moment, newest first; empty: there are none.

        ``recent``: from the endpoint of the last day, which is up to date; the other one reaches back for years.
        """
        method = "public_get_market_candles" if recent else "public_get_market_history_candles"
        wanted = {"instId": instrument_id, "bar": "1m", "after": str(before // 1000), "limit": PAGE}
        rows: Sequence[Sequence[str]] = await self._rows(method, wanted)
        return rows

    async def settled(self, instrument_id: str) -> Sequence[Row]:
        """Return the newest settlements, newest first."""
        wanted = {"instId": instrument_id, "limit": SETTLED_PAGE}
        rows: Sequence[Row] = await self._rows("public_get_public_funding_rate_history", wanted)
        return rows

    async def _rows(self, method: str, parameters: dict[str, str]) -> list[Any]:
        """Return the rows of one reply, asked again after a growing, partly random pause while the network fails."""
        call = getattr(self._exchange, method)
        attempts = self.attempts
        for attempt in range(1, attempts + 1):
            try:
                await self._pace.turn(_endpoint(method))
                reply = await call(parameters)
            except (NetworkError, NoTurn) as error:
                self._counters.rest_failures += 1
                if attempt == attempts:
                    raise VenueUnreachable(f"OKX: {method} failed {attempts} times: {short(error)}") from error
                await self._pause(self._first_pause_s * 2.0**attempt * (0.5 + 0.5 * self._chance()))
            except BaseError as error:
                self._counters.rest_failures += 1
                raise VenueRefused(f"OKX refuses {method} {parameters}: {short(error)}") from error
            else:
                if not isinstance(reply, dict) or not isinstance(reply.get("data"), list):
                    raise VenueUnreachable(f"OKX: {method} answered in an unknown form: {str(reply)[:200]}")
                return list(reply["data"])
        raise AssertionError("the last attempt returns or raises")


def defined(row: Row) -> InstrumentDefined:
    """Return the instrument of a row, without tiers. Raises VenueUnreachable for a row of an unknown form."""
    return _read(lambda: parse_instrument(dict(row), SOURCE), "instruments")


def told(row: Row, known: InstrumentDefined) -> InstrumentDefined:
    """Return what a pushed row makes of an instrument; one that is not trading may leave its terms empty.

    Then what is known stays, but for the state. Raises VenueUnreachable for a row of an unknown form.
    """
    state = _read(lambda: parse_state(dict(row)), "instruments")
    if state is not InstrumentState.LIVE and not all(row.get(name) for name in ("tickSz", "lotSz", "minSz")):
        return replace(known, state=state)
    return defined(row)


def _endpoint(method: str) -> str:
    """Return the endpoint behind ccxt's name of it: ``GET market/history-candles``."""
    group, _, name = method.removeprefix("public_get_").partition("_")
    return f"GET {group}/{name.replace('_', '-')}"


def short(error: Exception) -> str:
    """Return an error in one bounded line."""
    return f"{type(error).__name__}: {str(error)[:200]}"


def _read(parse: Callable[[], T], what: str) -> T:
    try:
        return parse()
    except (BadLine, LookupError, TypeError, ValueError) as error:
        raise VenueUnreachable(f"OKX: {what} in an unknown form: {short(error)}") from error


def _field(rows: Sequence[Row], name: str) -> str:
    return _read(lambda: str(int(rows[0][name])), name)
