"""A venue that misbehaves on purpose: the other side of the order protocol, worse than OKX.

It does not refuse a client order id it has seen. What it keeps is what the protocol stands on: a request that arrives
past its deadline is refused (algo orders: the client refuses to send it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum

from schemas.events.common import (
    Liquidity,
    MarginMode,
    OrderPurpose,
    OrderType,
    PositionSide,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.events.market import InstrumentDefined
from schemas.events.orders import (
    AmendIntended,
    OrderIntended,
)
from schemas.ids import client_order_id, derive_id
from schemas.values import SECOND, Micros, Price, Quantity
from services.gateways.okx.facts import (
    AccountConfig,
    Category,
    OrderStatus,
    VenueBalance,
    VenueBill,
    VenueExecution,
    VenueHolding,
    VenueOrder,
)
from services.gateways.okx.venue import (
    SEND_DEADLINE_US,
    Accepted,
    InDoubt,
    LeverageSet,
    Outcome,
    Refused,
    Update,
    VenueUnavailable,
    is_algo,
)

BTC = "BTC-USDT-SWAP"
ZERO = Decimal(0)
UNDER_WAY_MAX_US = SEND_DEADLINE_US
"""How long an algo order may be under way: the client gives a request up after less, and the venue has no deadline."""


class Send(Enum):
    """What becomes of one send."""

    DONE = "done"
    LOST = "lost"
    ACK_LOST = "executed, but nobody says so"
    LATE = "arrives later"
    BUSY = "refused for load"
    REFUSED = "refused"


class Turn:
    """An await at which the process may be paused or killed."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Order:
    """An order at the venue."""

    intent: OrderIntended
    number: int
    quantity: Decimal
    trigger: Decimal | None
    status: OrderStatus = OrderStatus.RESTING
    filled: Decimal = ZERO

    @property
    def live(self) -> bool:
        return self.status in (OrderStatus.RESTING, OrderStatus.PARTIALLY_FILLED)


@dataclass
class Venue:
    """The venue's own truth. ``created``: how often an order came to be, by client order id."""

    now: Callable[[], int]
    orders: dict[str, Order] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    executions: list[VenueExecution] = field(default_factory=list)
    flights: list[tuple[int, OrderIntended]] = field(default_factory=list)
    plan: list[Send] = field(default_factory=list)
    deaf: int = 0

    def arrive(self, intent: OrderIntended) -> None:
        """Take an order that has arrived, unless it is past the deadline it carries; algo orders carry none here."""
        if not is_algo(intent) and intent.valid_until is not None and self.now() > intent.valid_until:
            return
        self.created[intent.client_order_id] += 1
        number = len(self.created) * 100 + self.created[intent.client_order_id]
        self.orders[intent.client_order_id] = Order(intent, number, intent.quantity, intent.trigger_price)

    def land(self, *, overdue_only: bool) -> None:
        """Let requests under way arrive."""
        landing = [f for f in self.flights if not overdue_only or (is_algo(f[1]) and self.now() >= f[0])]
        self.flights = [flight for flight in self.flights if flight not in landing]
        for _, intent in landing:
            self.arrive(intent)

    def fill(self, order: Order, quantity: Decimal) -> None:
        """Trade part of a resting order."""
        quantity = min(quantity, order.quantity - order.filled)
        if not order.live or quantity <= 0:
            return
        order.filled += quantity
        order.status = OrderStatus.FILLED if order.filled >= order.quantity else OrderStatus.PARTIALLY_FILLED
        intent = order.intent
        self.executions.append(
            VenueExecution(
                intent.client_order_id, str(order.number), BTC, str(len(self.executions) + 1), intent.side, None,
                Quantity(quantity), Price(Decimal(80000)), Liquidity.TAKER, Quantity(ZERO), "USDT", Category.NORMAL,
                Micros(self.now()),
            )
        )  # fmt: skip

    def view(self, order: Order) -> VenueOrder:
        """Return an order as the venue shows it."""
        intent = order.intent
        return VenueOrder(
            intent.client_order_id, str(order.number), BTC, is_algo(intent), intent.side, None, intent.type,
            order.status, Quantity(order.quantity), intent.quantity_unit, Quantity(order.filled), None,
            intent.limit_price, None if order.trigger is None else Price(order.trigger), intent.trigger_price_type,
            intent.post_only, intent.reduce_only, Category.NORMAL, "", Micros(self.now()), Micros(self.now()),
        )  # fmt: skip


class Client:
    """``VenueClient`` over the model: every await is a turn."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    async def submit(self, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        await Turn()
        if is_algo(order) and order.valid_until is not None and self.venue.now() > order.valid_until:
            return Refused("PAST_VALID_UNTIL", "")
        fault = self.venue.plan.pop(0) if self.venue.plan else Send.DONE
        if fault is Send.BUSY:
            return Refused("50011", "", retryable=True)
        if fault is Send.REFUSED:
            return Refused("51008", "")
        if fault is Send.LATE:
            self.venue.flights.append((self.venue.now() + UNDER_WAY_MAX_US, order))
        elif fault is not Send.LOST:
            before = self.venue.created[order.client_order_id]
            self.venue.arrive(order)
            if fault is Send.DONE and self.venue.created[order.client_order_id] == before:
                return Refused("51155", "past its time")
        await Turn()
        if fault is Send.DONE:
            return Accepted(str(self.venue.orders[order.client_order_id].number))
        return InDoubt("no answer")

    async def amend(self, change: AmendIntended, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        await Turn()
        held = self.venue.orders.get(order.client_order_id)
        if held is None or not held.live:
            return Refused("51503", "not there")
        held.quantity = held.quantity if change.quantity is None else change.quantity
        held.trigger = held.trigger if change.trigger_price is None else change.trigger_price
        await Turn()
        return Accepted("")

    async def cancel(self, order: OrderIntended) -> Outcome:
        await Turn()
        held = self.venue.orders.get(order.client_order_id)
        if held is None or not held.live:
            return Refused("51400", "not there")
        held.status = OrderStatus.CANCELED
        await Turn()
        return Accepted("")

    async def find_order(self, client_order_id: str, instrument_id: str, *, is_algo: bool) -> VenueOrder | None:
        await Turn()
        self._unless_deaf()
        held = self.venue.orders.get(client_order_id)
        answer = None if held is None else self.venue.view(held)
        await Turn()
        return answer

    async def fills(self, since: Micros) -> Sequence[VenueExecution]:
        await Turn()
        self._unless_deaf()
        return [each for each in self.venue.executions if each.ts_event >= since]

    def _unless_deaf(self) -> None:
        if self.venue.deaf:
            self.venue.deaf -= 1
            raise VenueUnavailable("no answer")

    async def set_leverage(
        self, instrument_id: str, margin_mode: MarginMode, margin_leverage: int, *, position_side: object = None
    ) -> LeverageSet | Refused | InDoubt:
        await Turn()
        return LeverageSet(Quantity(Decimal(margin_leverage)))

    async def open_orders(self) -> Sequence[VenueOrder]:
        return [self.venue.view(order) for order in self.venue.orders.values() if order.live]

    async def positions(self) -> Sequence[VenueHolding]:
        return []

    async def balances(self) -> Sequence[VenueBalance]:
        return []

    async def bills(self, since: Micros) -> Sequence[VenueBill]:
        return []

    async def account_config(self) -> AccountConfig:
        raise VenueUnavailable("not in the model")

    async def cancel_all_after(self, timeout_s: int) -> Micros | None:
        return None

    async def server_time(self) -> Micros:
        return Micros(self.venue.now())

    async def updates(self) -> AsyncIterator[Update]:
        return
        yield

    async def close(self) -> None:
        """Nothing is open."""


class NoDeadline(Client):
    """A client that does not tell the venue until when an order is good."""

    async def submit(self, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        return await super().submit(replace(order, valid_until=None), instrument)


def intent(purpose: OrderPurpose, number: int, ts: int | None, valid_s: int) -> OrderIntended:
    """Return an order of one of three kinds: a limit entry, a stop, a market exit."""
    entry, stop = purpose is OrderPurpose.ENTRY, purpose is OrderPurpose.STOP
    return OrderIntended(
        client_order_id=client_order_id(derive_id("order", number)),
        plan_id=f"plan{number}",
        account_id="okx",
        instrument_id=BTC,
        purpose=purpose,
        target_index=None,
        side=Side.BUY if entry else Side.SELL,
        position_side=PositionSide.LONG,
        type=OrderType.LIMIT if entry else OrderType.STOP if stop else OrderType.MARKET,
        quantity=Quantity(Decimal(10)),
        quantity_unit=QuantityUnit.CONTRACT,
        limit_price=Price(Decimal(80000)) if entry else None,
        trigger_price=Price(Decimal(79000)) if stop else None,
        trigger_price_type=TriggerPriceType.MARK if stop else None,
        post_only=False,
        reduce_only=not entry,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=10,
        valid_until=None if ts is None else Micros(ts + valid_s * SECOND),
        exit_reason=None,
    )
