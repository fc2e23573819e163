"""Compare the log with the venue, over the union of both, and report what only the venue knows.

Fills first, then the ledger, then where each order is, and last the snapshot the trader compares its books with. It is
told only when nothing moved while it was taken: half of one moment and half of the next would differ from any log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import AccountMode, MarginMode
from schemas.events.common import PositionMode as Mode
from schemas.events.gateway import FOREIGN
from schemas.events.orders import AccountSnapshot, VenuePosition
from schemas.values import SECOND, Micros, Money, Price, Quantity, money
from services.gateways.okx.desk import FILLS_OVERLAP_US, OrderDesk
from services.gateways.okx.facts import (
    AccountConfig,
    PositionMode,
    VenueBalance,
    VenueHolding,
    VenueOrder,
)
from services.gateways.okx.forced import ForcedCloses
from services.gateways.okx.ledger import SETTLEMENT_CURRENCY, Ledger
from services.gateways.okx.tracked import Phase

TRIES_MAX = 3
"""Snapshots begun anew, because something moved meanwhile, before the next turn is waited for."""
BILLS_OVERLAP_US = 3600 * SECOND
"""How far before the last reconciliation the ledger is read again: its lines may come late."""
ZERO = Decimal(0)
MODES = {1: AccountMode.SPOT, 2: AccountMode.FUTURES, 3: AccountMode.MULTI_CURRENCY, 4: AccountMode.PORTFOLIO}

POSITION_MODES = {PositionMode.NET: Mode.NET, PositionMode.LONG_SHORT: Mode.LONG_SHORT}


@dataclass(frozen=True, slots=True)
class View:
    """The venue's account at one moment."""

    config: AccountConfig
    orders: Sequence[VenueOrder]
    holdings: Sequence[VenueHolding]
    balances: Sequence[VenueBalance]


class Reconciler:
    """Reconciles one desk's account, again and again. ``pause``: waits for what the venue shows late.

    Raises GatewayStopped, VenueUnavailable.
    """

    def __init__(self, desk: OrderDesk, pause: Callable[[], Awaitable[None]]) -> None:
        self._desk = desk
        self._pause = pause
        self._forced = ForcedCloses(desk)
        self._ledger = Ledger(desk)
        self._since: int | None = None

    async def run(self) -> bool:
        """Reconcile once; return whether a snapshot was told, so that the trader has something to compare.

        Positions that are not the sum of the executions are looked at again before they are told: a fill may show in a
        position sooner than among the fills.
        """
        desk = self._desk
        for left in reversed(range(TRIES_MAX)):
            asked_at = desk.clock()
            await self._facts()
            before = desk.reports.next_offset
            view = await self._view()
            settled = not await self._facts() and desk.reports.next_offset == before
            if settled and (not left or self._adds_up(view)):
                self._look(view.orders)
                desk.say(snapshot_of(view, desk), ts_event=desk.clock())
                self._since = asked_at
                return True
            await self._pause()
        return False

    def _adds_up(self, view: View) -> bool:
        net = {name: quantity for name, quantity in self._desk.orders.net.items() if quantity and _is_swap(name)}
        held: dict[str, Decimal] = {}
        for each in view.holdings:
            held[each.instrument_id] = held.get(each.instrument_id, ZERO) + each.quantity
        return net == {name: quantity for name, quantity in held.items() if quantity}

    async def _facts(self) -> bool:
        """Report fills and ledger lines that are not on the log; return whether something cannot be told yet."""
        desk = self._desk
        waits = await self._fills(self._begin() - FILLS_OVERLAP_US)
        bills = await self._ledger.read(Micros(max(self._begin() - BILLS_OVERLAP_US, desk.reports.ts_begun)))
        missing = self._ledger.missing_since(bills)
        if missing is not None and missing < self._begin():
            waits = await self._fills(missing - FILLS_OVERLAP_US) or waits
        await self._ledger.take(bills)
        return waits

    async def _fills(self, since: int) -> bool:
        executions = await self._desk.client.fills(Micros(since))
        self._desk.fills(executions)
        return await self._forced.take(executions)

    def _begin(self) -> int:
        """Return since when something may have happened that the log does not know; not before the log began."""
        desk = self._desk.reports
        return max(self._since if self._since is not None else desk.ts_compared, desk.ts_begun + FILLS_OVERLAP_US)

    def _look(self, orders: Sequence[VenueOrder]) -> None:
        """Take what the venue shows of each of our orders; ask for each it should have and does not show."""
        desk = self._desk
        shown = {order.client_order_id for order in orders}
        for found in orders:
            desk.seen(found)
            desk.back(found)
        for order in desk.orders.live():
            if order.phase is Phase.AT_VENUE and order.intent.client_order_id not in shown:
                order.pace.look = True

    async def _view(self) -> View:
        client = self._desk.client
        return View(
            await client.account_config(), await client.open_orders(), await client.positions(), await client.balances()
        )


def snapshot_of(view: View, desk: OrderDesk) -> AccountSnapshot:
    """Return the venue's account as the trader compares it."""
    return AccountSnapshot(
        account_id=desk.reports.owner.account_id,
        cash=cash_of(view),
        positions=(*_swaps(view), *_spots(view, desk)),
        open_orders=tuple(_name(order, desk) for order in view.orders),
        account_mode=MODES.get(view.config.account_level, AccountMode.PORTFOLIO),
        position_mode=POSITION_MODES[view.config.position_mode],
        position_mode_needed=POSITION_MODES[desk.client.position_mode],
    )


def _swaps(view: View) -> Iterator[VenuePosition]:
    for held in view.holdings:
        if held.quantity:
            yield VenuePosition(
                held.instrument_id, held.quantity, held.avg_entry_price or Price(ZERO), held.margin_mode
            )


def _spots(view: View, desk: OrderDesk) -> Iterator[VenuePosition]:
    """Yield what is held of the spot pairs this log has traded: the balance of their base currency."""
    balances = {balance.currency: balance.cash for balance in view.balances}
    for name in sorted(desk.orders.net):
        instrument = None if _is_swap(name) else desk.instruments(name)
        if instrument is not None:
            quantity = balances.get(instrument.base_currency, ZERO)
            yield VenuePosition(name, Quantity(quantity), Price(ZERO))


def _name(order: VenueOrder, desk: OrderDesk) -> str:
    known = order.client_order_id is not None and order.client_order_id in desk.orders.orders
    return order.client_order_id if known and order.client_order_id else f"{FOREIGN}{order.venue_order_id}"


def cash_of(view: View) -> Money:
    """Return cash as the ledger counts it: the settlement currency, with the isolated margins that left its balance."""
    cash = sum((balance.cash for balance in view.balances if balance.currency == SETTLEMENT_CURRENCY), ZERO)
    ours = (held for held in view.holdings if held.instrument_id.endswith(f"-{SETTLEMENT_CURRENCY}-SWAP"))
    isolated = (held.margin for held in ours if held.margin_mode is MarginMode.ISOLATED)
    return money(cash + sum((margin for margin in isolated if margin is not None), ZERO))


def _is_swap(instrument_id: str) -> bool:
    """Whether the venue keeps a position in it; what is held of a spot pair shows as a balance."""
    return instrument_id.endswith("-SWAP")
