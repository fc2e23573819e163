"""Space requests within OKX's limits: so many in two seconds for each endpoint and whom it counts against.

Turns are given in the order they are asked for, on a clock that never jumps: ccxt's own throttle counts every endpoint
together and follows the wall clock, which may be set back by an hour and would then let nothing through for as long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

WINDOW_S = 2.5
"""OKX counts over two seconds; requests that close up on their way by half a second keep the limit all the same."""
BURST = 3
"""A third of a limit may go at once; the rest of it is spread over the window."""
WAIT_S_MAX = 8.0
"""A turn further away than this is not given; shorter than an order's deadline."""
ORDERS = "orders"
"""The account's own limit on new and amended orders, over all instruments."""
WS_REQUEST = "WS request"
"""On one connection. OKX has a limit by the hour only, which ``link.py`` keeps."""
LIMITS: Mapping[str, int] = {
    "POST trade/order": 60,
    "POST trade/amend-order": 60,
    "POST trade/cancel-order": 60,
    "POST trade/order-algo": 20,
    "POST trade/amend-algos": 20,
    "POST trade/cancel-algos": 20,
    "POST trade/cancel-all-after": 2,
    "POST account/set-leverage": 20,
    ORDERS: 1000,
    WS_REQUEST: 25,
    "GET trade/order": 60,
    "GET trade/order-algo": 20,
    "GET trade/orders-pending": 60,
    "GET trade/orders-algo-pending": 20,
    "GET trade/fills": 60,
    "GET trade/fills-history": 10,
    "GET account/balance": 10,
    "GET account/positions": 10,
    "GET account/positions-history": 10,
    "GET account/bills": 10,
    "GET account/bills-archive": 5,
    "GET account/config": 5,
    "GET account/leverage-info": 20,
    "GET account/trade-fee": 5,
    "GET public/time": 10,
    "GET public/instruments": 20,
    "GET public/position-tiers": 10,
    "GET public/funding-rate-history": 10,
    "GET market/candles": 40,
    "GET market/history-candles": 20,
}
"""Requests in two seconds. Source: OKX v5, the rate limit of each endpoint. Orders count by user and instrument; where
the documentation leaves open whether the instrument counts, it does not.
"""


class NoTurn(Exception):
    """So many requests wait already that this one would come too late: nothing was sent."""


class Pace:
    """Turns at one account or address. ``limits``: an endpoint that is not in them never waits."""

    def __init__(
        self,
        limits: Mapping[str, int] = LIMITS,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._limits, self._clock, self._sleep = limits, clock, sleep
        self._due: dict[tuple[str, str], float] = {}
        """When all turns given so far would be over had none been given ahead of its time."""

    async def turn(self, endpoint: str, whom: str = "") -> None:
        """Wait until a request may be sent. Raises NoTurn instead of waiting longer than WAIT_S_MAX.

        ``whom``: the instrument, where the endpoint counts by it. A turn waited for in vain is lost, not given on.
        """
        if endpoint not in self._limits:
            return
        burst, apart = spacing(self._limits[endpoint])
        now = self._clock()
        due = max(now, self._due.get((endpoint, whom), now))
        wait = due - (burst - 1) * apart - now
        if wait > WAIT_S_MAX:
            raise NoTurn(f"{endpoint} {whom}".strip() + f": requests for {wait:.0f} s wait already")
        self._due[endpoint, whom] = due + apart
        if wait > 0:
            await self._sleep(wait)


def spacing(limit: int) -> tuple[int, float]:
    """Return how many requests may go at once, and how many seconds lie between those after them."""
    burst = max(1, limit // BURST)
    return burst, WINDOW_S / max(1, limit - burst)
