"""The whole chain at the fake OKX: real trader stages, real gateway, real client and ccxt; only the host is another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from schemas.codec import encode
from schemas.envelope import Event
from schemas.events.common import Side
from schemas.events.control import ExecutePlan, TimerFired
from schemas.events.market import MarkPrice, Trade
from schemas.events.orders import OrderIntended
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from schemas.topics import REPORTS
from schemas.values import Price, Quantity
from services.gateways.okx.client import OkxClient, connect
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.exchange import Credentials
from services.gateways.okx.facts import PositionMode
from services.gateways.okx.hosts import Hosts
from services.gateways.okx.owner import GatewayStopped, Owner
from services.gateways.okx.trading import Cadence, TradingGateway
from services.gateways.okx.venue import VenueClient
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.reader import SeqReader
from streams.trader import Trader
from streams.verify import verify
from tests.builders import btc_swap, message, settings_changed
from tests.fakes.okx import LIVE_KEY, FakeOkx, Rules
from tests.waiting import SCENARIO_S

BTC = "BTC-USDT-SWAP"
QUICK = Cadence(poll_s=0.005, reconcile_s=0.25, retry_s=0.1, settle_s=0.05, beat_s=2.0)
E = TypeVar("E", bound=Event)


@dataclass
class Floor:
    """A venue, a log, a trader on it, and the gateway between them, which can be killed and started again."""

    okx: FakeOkx
    log: MemoryLog
    trader: Trader
    mode: PositionMode = PositionMode.NET
    clients: list[OkxClient] = field(default_factory=list)
    gateway: TradingGateway | None = None
    _running: asyncio.Task[None] | None = None
    _put: int = 0

    def put(self, topic: str, event: Event) -> None:
        """Append an input as of now."""
        now = self.okx.clock.now_ms() * 1000
        incoming = message(event, ts=now, event_id=derive_id("floor", topic, self._put))
        self._put += 1
        self.log.append([NewRecord(topic, 0, b"k", encode(incoming.envelope, event), now)])

    def price(self, last: str) -> None:
        """Let trader and venue see a price."""
        self.okx.venue.set_price(BTC, last)
        self.put("ticks", MarkPrice(BTC, Price(Decimal(last))))
        self.put("ticks", Trade(BTC, str(self._put), Side.BUY, Price(Decimal(last)), Quantity(Decimal(1))))

    def execute(self, *, entry: str = '{"type": "MARKET"}', targets: str = "[]", side: str = "LONG") -> None:
        """Ask the trader for an entry with a stop 1 % from 80000."""
        stop = "79200.0" if side == "LONG" else "80800.0"
        self.put(
            "commands",
            ExecutePlan(
                "okx",
                '{"schema_version": 1, "instrument_id": "BTC-USDT-SWAP", "position_side": "'
                f'{side}", "strategy": "trend",'
                f' "entry": {entry}, "stop": {{"trigger_price": "{stop}"}}, "targets": {targets},'
                ' "valid_for_s": 900, "max_holding_s": 86400, "rationale": {"summary": "a test"}}',
            ),
        )

    def tick(self) -> None:
        """Let time be seen."""
        self.put("commands", TimerFired("okx"))

    async def start_gateway(self, wrap: Callable[[OkxClient], VenueClient] = lambda client: client) -> TradingGateway:
        """Start a gateway with a client of its own and wait until it has told the trader where the account is."""
        rest, ws = self.okx.rest_url, self.okx.ws_url
        key = LIVE_KEY
        credentials = Credentials(key.key, key.secret, key.passphrase)
        client = connect(credentials, Hosts(rest, ws, demo=False), self.mode, order_timeout_ms=1500, paced=False)
        self.clients.append(client)
        await client.server_time()
        owner = Owner("okx", f"gateway-{len(self.clients)}", "test", "live 1")
        place = (self.log, 0, wrap(client), owner)
        desk = OrderDesk(*place, clock=client.clock.now, instruments=lambda name: btc_swap() if name == BTC else None)
        self.gateway = TradingGateway(desk, stopped=lambda: False, cadence=QUICK)
        self._running = asyncio.create_task(self.gateway.run())
        await self.until(lambda: self.gateway is not None and self.gateway.reconciled)
        return self.gateway

    def leave_gateway(self) -> asyncio.Task[None]:
        """Let the running gateway go on by itself, and return it."""
        assert self._running is not None
        left, self._running = self._running, None
        return left

    async def kill_gateway(self) -> None:
        """End the gateway where it stands: nothing it was doing is finished, nothing it knows is kept."""
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError, GatewayStopped):
            await self._running
        self._running = None
        await self.clients[-1].close()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something holds, with the trader at work; bounded by the scenario."""
        while True:
            self._trade()
            if condition():
                return
            if self._running is not None and self._running.done():
                self._running.result()
            await asyncio.sleep(0.005)

    def _trade(self) -> None:
        taken = True
        while taken:
            taken = False
            for topic in self.trader.inputs:
                records = self.log.read(topic, 0, self.trader.position(topic), limit=500)
                if records:
                    self.trader.process(topic, records)
                    taken = True

    def of(self, topic: str, kind: type[E]) -> list[E]:
        """Return the events of one type on a topic, as a reader accepts them."""
        return [a.event for a in SeqReader(self.log, topic, 0).poll(100_000) if isinstance(a.event, kind)]

    def names(self, topic: str) -> list[str]:
        """Return the event types on a topic."""
        return [type(accepted.event).__name__ for accepted in SeqReader(self.log, topic, 0).poll(100_000)]

    def intents(self) -> list[OrderIntended]:
        """Return every order intended so far."""
        return self.of("orders", OrderIntended)

    async def later(self, seconds: int) -> None:
        """Let time pass at the venue and everywhere else."""
        self.okx.clock.advance(seconds=seconds)
        await self.clients[-1].server_time()
        self.price("80000")

    async def settle(self) -> None:
        """Wait for two more snapshots: whatever is different has been seen and acted on."""
        assert self.gateway is not None
        wanted = self.gateway.reconciled + 2
        await self.until(lambda: self.gateway is not None and self.gateway.reconciled >= wanted)


Scenario = Callable[[Floor], Awaitable[None]]


def on_the_floor(
    scenario: Scenario,
    *,
    rules: Rules | None = None,
    mode: PositionMode = PositionMode.NET,
    margin_mode: str = "ISOLATED",
) -> None:
    """Run a scenario on a floor where trader and gateway are at work and the account is reconciled.

    The account is compared far more often than in service, so the venue's limits are off unless ``rules`` say else.
    """

    async def run() -> None:
        async with FakeOkx(rules=rules or Rules(rate_limits=False)) as okx, asyncio.timeout(SCENARIO_S):
            log = MemoryLog()
            create_log(log)
            floor = Floor(okx, log, Trader(log, 0, stages(), worker="w", code_version="1"), mode)
            if mode is PositionMode.LONG_SHORT:
                okx.venue.account.position_mode = "long_short_mode"
            settings = TradingSettings(account_id="okx", venue="OKX", rules_enabled=False, margin_mode=margin_mode)
            floor.put("settings", settings_changed(**settings.to_values()))
            floor.put("ticks", btc_swap())
            floor.trader.start()
            floor.price("80000")
            try:
                await floor.start_gateway()
                await scenario(floor)
            finally:
                if floor._running is not None:
                    await floor.kill_gateway()
                for client in floor.clients:
                    await client.close()
            assert verify(log, 0, stages()).difference is None

    asyncio.run(run())


__all__ = ["BTC", "REPORTS", "Floor", "on_the_floor"]
