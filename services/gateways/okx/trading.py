"""The trading gateway of one shard: reads ``orders``, keeps the venue to them, writes what it says to ``reports``.

An asyncio shell without rules of its own. It ends with the first error of any of its tasks: whoever started it starts a
new one, which claims the reports and asks the venue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from schemas.envelope import Envelope, Event
from schemas.events.orders import AccountSnapshot
from schemas.values import plain
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.facts import VenueBalance, VenueExecution, VenueHolding, VenueOrder
from services.gateways.okx.forced import is_forced
from services.gateways.okx.memory import MemoryFile, recall, remember
from services.gateways.okx.reconcile import Reconciler
from services.gateways.okx.venue import BillsDue, Link, LinkChanged, Update, UpdateUnreadable, VenueUnavailable
from streams.log.base import LogError

T = TypeVar("T")
SHOWN = (
    "client_order_id", "instrument_id", "venue_order_id", "operation", "side", "quantity", "trigger_price",
    "last_quantity", "last_price", "code", "reason", "detail", "payment", "penalty", "amount",
)  # fmt: skip
"""The fields of a report that its log line has."""
_log = structlog.get_logger("tapeline.gateway.okx.trading")


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often the gateway does what it does, in seconds. switch_s: after which silence the venue cancels entries.

    keep_s: how often it saves what it knows of its orders.
    """

    poll_s: float = 0.02
    reconcile_s: float = 30.0
    retry_s: float = 2.0
    settle_s: float = 1.0
    beat_s: float = 5.0
    switch_s: int = 30
    keep_s: float = 300.0


class TradingGateway:
    """One desk at work. ``stopped``: asked often; true ends ``run``, with entries left to the venue's switch.

    ``memory``: where what the desk knows is kept for the next start; None: nowhere, the log is read whole.
    """

    def __init__(
        self,
        desk: OrderDesk,
        *,
        stopped: Callable[[], bool],
        cadence: Cadence = Cadence(),
        memory: MemoryFile | None = None,
    ) -> None:
        self.desk = desk
        self._memory = memory
        self._keep_at = 0.0
        self._stopped = stopped
        self._cadence = cadence
        self._reconciler = Reconciler(desk, lambda: asyncio.sleep(cadence.settle_s))
        self._due = asyncio.Event()
        self._shown: object = None
        desk.reports.told = self._say

    @property
    def reconciled(self) -> int:
        """Snapshots told so far."""
        return self.desk.counters.reconciliations

    async def run(self) -> None:
        """Claim the reports and trade until stopped. Raises GatewayStopped, OtherAccount, LogError."""
        self._recall()
        self.desk.open()
        _log.info("claimed", claim_id=self.desk.reports.claim_id, orders=len(self.desk.orders.orders))
        self._keep()
        tasks = [
            asyncio.create_task(work) for work in (self._updates(), self._reconcile(), self._beat(), self._orders())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keep()

    def _say(self, envelope: Envelope, event: Event) -> None:
        """Write a line for every report; of snapshots for those that show other positions or orders."""
        if not isinstance(event, AccountSnapshot):
            said = {name: str(value) for name in SHOWN if (value := getattr(event, name, None)) is not None}
            _log.info("reported", correlation_id=envelope.correlation_id, report=type(event).__name__, **said)
        elif (shown := (event.positions, event.open_orders)) != self._shown:
            self._shown = shown
            positions = [f"{held.instrument_id} {plain(held.quantity)}" for held in event.positions]
            _log.info("account", cash=plain(event.cash), positions=positions, open_orders=len(event.open_orders))

    def _recall(self) -> None:
        kept = None if self._memory is None else self._memory.load()
        if kept is None:
            return
        refused = recall(self.desk, kept)
        if refused:
            _log.warning("memory not used: the log is read whole", reason=refused)
        else:
            _log.info("remembered", reports=self.desk.reports.next_offset, intents=self.desk.intents.offset)

    def _keep(self) -> None:
        """Save what the desk knows: it holds at any moment between two actions, whoever owns the reports by now."""
        if self._memory is None:
            return
        self._keep_at = time.monotonic() + self._cadence.keep_s
        try:
            self._memory.save(remember(self.desk))
        except LogError as error:
            _log.warning("memory not saved: the next start reads the log whole", detail=str(error))

    async def _orders(self) -> None:
        """Read intents and run what is due, every order on its own, until stopped."""
        running = set[asyncio.Task[None]]()
        try:
            while not self._stopped():
                self.desk.read()
                running |= {asyncio.create_task(action) for action in self.desk.due()}
                done, running = await asyncio.wait(running, timeout=0) if running else (set(), running)
                for task in done:
                    task.result()
                await asyncio.sleep(self._cadence.poll_s)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _updates(self) -> None:
        """Report what the venue says by itself; what it cannot say is asked for by a reconciliation."""
        async for update in self.desk.client.updates():
            self._take(update)

    def _take(self, update: Update) -> None:
        match update:
            case VenueOrder():
                self.desk.seen(update)
            case VenueExecution():
                self.desk.fills([update])
                self._due_if_forced(update)
            case LinkChanged(link=Link.CONNECTED) | BillsDue() | UpdateUnreadable():
                if isinstance(update, LinkChanged):
                    self.desk.counters.linked(up=True)
                self.desk.look_again()
                self._due.set()
            case LinkChanged():
                self.desk.counters.linked(up=False)
                _log.warning("private updates lost", detail=update.detail)
            case VenueHolding() | VenueBalance():
                pass  # a reconciliation reads them whole

    def _due_if_forced(self, update: VenueExecution) -> None:
        """Compare soon what was done by hand, by the venue, or to close what no plan opened."""
        order = self.desk.orders.orders.get(update.client_order_id or "")
        if order is None or not order.intent.plan_id or is_forced(update):
            self._due.set()

    async def _reconcile(self) -> None:
        """Reconcile at the start, every so often, and when something happened that only questions can settle."""
        while True:
            self._due.clear()
            told = await self._asked(self._reconciler.run())
            if told is None:  # a clock that was set is one reason to be refused
                await self._asked(self.desk.client.server_time())
            if time.monotonic() >= self._keep_at:
                self._keep()
            if told:
                self.desk.counters.reconciled()
            wait = self._cadence.reconcile_s if told else self._cadence.retry_s
            try:
                async with asyncio.timeout(wait):
                    await self._due.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._cadence.settle_s)  # one for all that happened at once

    async def _beat(self) -> None:
        """Keep the venue's switch from cancelling entries; stops and targets are out of its reach."""
        while True:
            if await self._asked(self._switch()):
                self.desk.counters.switched()
            await asyncio.sleep(self._cadence.beat_s)

    async def _switch(self) -> bool:
        await self.desk.client.cancel_all_after(self._cadence.switch_s)
        return True

    async def _asked(self, question: Coroutine[Any, Any, T]) -> T | None:
        """Return a question's answer; None where the venue gives none: it is asked again in its time."""
        try:
            return await question
        except VenueUnavailable as error:
            self.desk.counters.unanswered += 1
            _log.warning("no answer", detail=str(error))
            return None
