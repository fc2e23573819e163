"""Our trading client at the fake OKX: the real ccxt underneath, only the host is another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from schemas.events.market import InstrumentDefined
from schemas.events.orders import OrderIntended
from schemas.values import Micros
from services.gateways.okx.client import OkxClient, connect
from services.gateways.okx.exchange import Credentials
from services.gateways.okx.facts import PositionMode, VenueExecution, VenueOrder
from services.gateways.okx.hosts import Hosts
from services.gateways.okx.venue import Accepted, Link, LinkChanged, Update
from tests.builders import btc_spot, btc_swap
from tests.fakes.okx import DEMO_KEY, LIVE_KEY, ApiKey, FakeOkx, Rules
from tests.waiting import SCENARIO_S

BTC, SPOT_BTC = "BTC-USDT-SWAP", "BTC-USDT"
T = TypeVar("T")


@dataclass
class Desk:
    """A client, the venue it talks to, and the updates that came."""

    okx: FakeOkx
    client: OkxClient
    seen: list[Update] = field(default_factory=list)
    _listener: asyncio.Task[None] | None = None

    def instrument(self, order: OrderIntended) -> InstrumentDefined:
        """Return the instrument of an order, as the market gateway would define it."""
        return btc_swap() if order.instrument_id == BTC else btc_spot()

    async def submit(self, order: OrderIntended) -> Accepted:
        """Send an order that must be accepted."""
        outcome = await self.client.submit(order, self.instrument(order))
        assert isinstance(outcome, Accepted), outcome
        return outcome

    async def listen(self) -> None:
        """Collect updates from now on; returns once connected."""

        async def collect() -> None:
            async for update in self.client.updates():
                self.seen.append(update)

        self._listener = asyncio.create_task(collect())
        await self.until(lambda: self.links() == [Link.CONNECTED])

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds; bounded by the scenario."""
        while not condition():
            if self._listener is not None and self._listener.done():
                self._listener.result()
            await asyncio.sleep(0.005)

    def links(self) -> list[Link]:
        """Return connects and losses so far."""
        return [update.link for update in self.seen if isinstance(update, LinkChanged)]

    def orders(self, client_order_id: str | None = None) -> list[VenueOrder]:
        """Return order updates so far, of one order or all."""
        found = [update for update in self.seen if isinstance(update, VenueOrder)]
        return [order for order in found if client_order_id in (None, order.client_order_id)]

    def fills(self) -> list[VenueExecution]:
        """Return fills pushed so far."""
        return [update for update in self.seen if isinstance(update, VenueExecution)]

    async def stop_listening(self) -> None:
        """Close the client and end the collection."""
        await self.client.close()
        if self._listener is not None:
            await self._listener

    def now(self) -> Micros:
        """Return the venue's time."""
        return Micros(self.okx.clock.now_ms() * 1000)


def at_desk(
    scenario: Callable[[Desk], Awaitable[T]],
    *,
    rules: Rules | None = None,
    key: ApiKey = LIVE_KEY,
    known: tuple[ApiKey, ...] = (LIVE_KEY, DEMO_KEY),
    mode: PositionMode = PositionMode.NET,
    order_timeout_ms: int = 5000,
    paced: bool = False,
) -> T:
    """Run a scenario at a fake OKX whose BTC trades at 80,000, within a bound; returns what it returns.

    ``key``: the client's; ``known``: the keys of the account; ``paced``: the client spaces its requests.
    """

    async def run() -> T:
        async with FakeOkx(rules=rules, keys=known) as okx:
            okx.venue.set_price(BTC, "80000")
            okx.venue.set_price(SPOT_BTC, "80000")
            if mode is PositionMode.LONG_SHORT:
                okx.venue.account.position_mode = "long_short_mode"
            hosts = Hosts(okx.rest_url, okx.ws_url, key.demo)
            client = connect(
                Credentials(key.key, key.secret, key.passphrase),
                hosts,
                mode,
                order_timeout_ms=order_timeout_ms,
                paced=paced,
            )
            desk = Desk(okx, client)
            try:
                async with asyncio.timeout(SCENARIO_S):
                    await client.server_time()
                    return await scenario(desk)
            finally:
                await desk.stop_listening()

    return asyncio.run(run())


def d(text: str) -> Decimal:
    """Return a decimal."""
    return Decimal(text)
