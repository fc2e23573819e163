"""The real ccxt client against the fake venue: only the host name is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro

from tests.fakes.okx import LIVE_KEY, ApiKey, FakeOkx, Rules
from tests.waiting import SCENARIO_S

SWAP, SPOT = "BTC/USDT:USDT", "BTC/USDT"
BTC = "BTC-USDT-SWAP"
Scenario = Callable[[FakeOkx, Any], Awaitable[None]]


def client_of(okx: FakeOkx, key: ApiKey | None = LIVE_KEY, **options: object) -> Any:
    """Return a ccxt.pro client that talks to the fake, one order a request, without its own throttle."""
    # The wait at exit is for TLS connections; there are none on loopback.
    client = ccxt.pro.okx(okx.ccxt_config(key) | {"enableRateLimit": False, "timeout": 2000, "timeout_on_exit": 0})
    client.options["createOrder"] = "privatePostTradeOrder"
    client.options.update(options)
    return client


def drive(scenario: Scenario, *, rules: Rules | None = None, key: ApiKey | None = LIVE_KEY) -> None:
    """Run a scenario with a running fake and a connected client, within a bound."""

    async def run() -> None:
        async with FakeOkx(rules=rules) as okx:
            client = client_of(okx, key)
            try:
                async with asyncio.timeout(SCENARIO_S):
                    await client.load_markets()
                    await scenario(okx, client)
            finally:
                await client.close()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; bounded by the scenario."""
    while not condition():
        await asyncio.sleep(0.005)


async def subscribed(okx: FakeOkx, channel: str, watching: Awaitable[Any]) -> asyncio.Future[Any]:
    """Start watching and return once the venue has the subscription."""
    future = asyncio.ensure_future(watching)
    await until(lambda: okx.hub.subscribed(channel) > 0)
    return future
