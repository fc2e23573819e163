"""A log that misbehaves on purpose, gateways on it that are killed and paused, and a checker of what is left.

``World`` runs any number of desks over a model venue, one step of one of their coroutines at a time, in an order a test
chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events.common import (
    OrderPurpose,
)
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    NotSent,
    OrderIntended,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueRejected,
)
from schemas.ids import derive_id
from schemas.topics import REPORTS
from schemas.values import SECOND, Price, Quantity
from services.gateways.okx.desk import OrderDesk
from services.gateways.okx.memory import recall, remember
from services.gateways.okx.owner import GatewayStopped, Owner
from streams.log import create_log
from streams.log.base import Append, LogError, NewRecord
from streams.log.memory import MemoryLog
from tests.builders import T0, btc_swap, message, settings_changed
from tests.model_venue import BTC, Client, Order, Venue, intent

ZERO = Decimal(0)


class Write(Enum):
    """What becomes of one append to the reports."""

    DONE = "done"
    ACK_LOST = "landed, but nobody says so"
    LOST = "lost"


class GatewayLog(MemoryLog):
    """A log with a broker's manners: an append always lands, wherever the end is. ``plan``: faults of the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.plan: list[Write] = []

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        fault = self.plan.pop(0) if self.plan else Write.DONE
        if fault is Write.LOST:
            return Append.UNSURE
        (offset,) = MemoryLog.append(self, [record])
        if fault is Write.ACK_LOST:
            return Append.UNSURE
        return Append.ACCEPTED if offset == expected_offset else Append.FENCED


@dataclass
class Life:
    """One gateway process. ``skew``: its clock against the venue's."""

    desk: OrderDesk
    running: list[Coroutine[Any, Any, None]] = field(default_factory=list)
    dead: bool = False


DeskFactory = Callable[..., OrderDesk]


class World:
    """A log, a venue, a clock, and the gateways that live on them."""

    def __init__(self, make: DeskFactory = OrderDesk, client: type[Client] = Client) -> None:
        self.log = GatewayLog()
        create_log(self.log)
        self.now = int(T0)
        self.venue = Venue(lambda: self.now)
        self.lives: list[Life] = []
        self.intents: list[OrderIntended] = []
        self._make = make
        self._client = client
        self._started = 0
        settings = message(settings_changed(venue="OKX"))
        self.log.append([NewRecord("settings", 0, b"", encode(settings.envelope, settings.event), T0)])
        self._seq = 0
        self.kept: bytes | None = None
        self.recalled = 0

    # -- what people and the trader do --------------------------------------------------------------------------------

    def put(self, event: Event, *, seq: int | None = None) -> None:
        """Append an event to ``orders`` as the trader does; with ``seq``: a record that readers must ignore."""
        incoming = message(event, ts=self.now, event_id=derive_id("orders", self._seq))
        envelope: Envelope = incoming.envelope._replace(seq=self._seq if seq is None else seq)
        self.log.append([NewRecord("orders", 0, b"", encode(envelope, event), self.now)])
        if seq is None:
            self._seq += 1

    def intend(self, purpose: OrderPurpose = OrderPurpose.ENTRY, *, valid_s: int = 30) -> OrderIntended:
        """Let the trader intend an order."""
        order = intent(purpose, len(self.intents), None if purpose is not OrderPurpose.ENTRY else self.now, valid_s)
        self.intents.append(order)
        self.put(order)
        return order

    def cancel(self, order: OrderIntended, reason: str = "OPERATOR") -> None:
        """Let the trader ask to take an order away."""
        self.put(CancelIntended(order.client_order_id, order.plan_id, "okx", BTC, reason))

    def amend(self, order: OrderIntended, quantity: str, trigger: str | None = None) -> None:
        """Let the trader ask for other terms."""
        price = None if trigger is None else Price(Decimal(trigger))
        self.put(
            AmendIntended(order.client_order_id, order.plan_id, "okx", BTC, Quantity(Decimal(quantity)), price, None)
        )

    # -- lives of gateways --------------------------------------------------------------------------------------------

    def start(self, skew_us: int = 0) -> Life:
        """Start a gateway; whatever gateways there were go on as they please."""
        self._started += 1
        owner = Owner("okx", f"g{self._started}", "1", "demo 1")
        place = (self.log, 0, self._client(self.venue), owner)
        desk = self._make(*place, clock=lambda: self.now + skew_us, instruments=lambda _: btc_swap())
        life = Life(desk)
        self.lives.append(life)
        if self.kept is not None:
            self.recalled += not recall(desk, self.kept)
        try:
            desk.open()
        except (GatewayStopped, LogError):
            life.dead = True
        return life

    def keep(self, life: Life) -> None:
        """Let a gateway, dead or fenced or not, save what it knows for whoever starts next."""
        if life.desk.reports.claimed:
            self.kept = remember(life.desk)

    def read(self, life: Life) -> None:
        """Let a gateway read its intents and begin what is due."""
        if not life.dead:
            life.desk.read()
            life.running += life.desk.due()

    def step(self, life: Life, number: int = 0) -> None:
        """Run one of a gateway's actions to its next turn. A gateway that has lost its hold ends at once."""
        if life.dead or not life.running:
            return
        action = life.running[number % len(life.running)]
        try:
            action.send(None)
        except StopIteration:
            life.running.remove(action)
        except GatewayStopped:
            self.kill(life)

    def kill(self, life: Life) -> None:
        """End a process where it stands: nothing of it runs any more."""
        life.dead = True
        for action in life.running:
            action.close()
        life.running = []

    def push(self, life: Life, number: int) -> None:
        """Bring a gateway news of one order from the venue: its state and its fills, in either order."""
        known = list(self.venue.orders.values())
        if life.dead or not known:
            return
        order = known[number % len(known)]
        mine = [each for each in self.venue.executions if each.client_order_id == order.intent.client_order_id]
        try:
            if number % 3:
                life.desk.fills(mine)
            life.desk.seen(self.venue.view(order))
        except GatewayStopped:
            self.kill(life)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * SECOND)
        self.venue.land(overdue_only=True)

    def run(self, life: Life) -> None:
        """Run a gateway until nothing is under way."""
        self.read(life)
        for _ in range(1_000):
            if life.dead or not life.running:
                return
            self.step(life)
        raise AssertionError("an action does not end")

    def finish(self) -> None:
        """Kill everybody, let everything arrive, and let one undisturbed gateway bring all of it to an end."""
        for life in self.lives:
            self.kill(life)
        self.venue.plan, self.venue.deaf, self.log.plan = [], 0, []
        self.venue.land(overdue_only=False)
        last = self.start()
        for _ in range(60):
            self.run(last)
            self.advance(2)
        if last.dead:
            raise AssertionError("the last gateway lost its hold although nobody else lives")


# -- the checker ------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What a reader of the reports, the trader for one, holds true of one order."""

    attempted: bool = False
    not_sent: bool = False
    rejected: bool = False
    accepted: bool = False
    canceled: bool = False
    filled: Decimal = ZERO
    quantity: Decimal = ZERO
    trigger: Decimal | None = None


def told(world: World, *, by_anybody: bool = False) -> dict[str, Told]:
    """Fold the reports as the trader does. ``by_anybody``: as one that believes every NotSent."""
    found = {o.client_order_id: Told(quantity=o.quantity, trigger=o.trigger_price) for o in world.intents}
    claim, trades = "", set[str]()
    for record in world.log.read(REPORTS, 0, 0, limit=100_000):
        event = decode(record.value)[1]
        if isinstance(event, GatewayClaimed):
            claim = event.claim_id
            continue
        one = found.setdefault(event.client_order_id, Told())  # type: ignore[attr-defined]
        match event:
            case SubmitAttempted():
                one.attempted = True
            case NotSent() if by_anybody or event.claim_id == claim:
                one.not_sent = one.not_sent or not (one.accepted or one.filled)
            case VenueAccepted():
                one.accepted = True
            case VenueRejected(operation="SUBMIT"):
                one.rejected = True
            case VenueCanceled():
                one.canceled = True
            case VenueAmended():
                one.quantity, one.trigger = event.quantity, event.trigger_price
            case VenueFill() if event.venue_trade_id not in trades:
                trades.add(event.venue_trade_id)
                one.filled += event.last_quantity
            case _:
                pass
    return found


def violations(world: World, *, by_anybody: bool = False) -> list[str]:
    """Judge a finished world; empty: the protocol held.

    I5 an order reaches the venue at most once, and never one that the log does not hold or says was not sent; and
    beyond it: nothing goes out without its attempt on the log, no fill is lost, and log and venue agree in the end.
    """
    problems = [f"I5: {name} came to be {n} times" for name, n in world.venue.created.items() if n > 1]
    intended = {order.client_order_id for order in world.intents}
    problems += [f"I5: {name} is not in the history" for name in world.venue.created if name not in intended]
    for name, one in told(world, by_anybody=by_anybody).items():
        problems += [f"{name}: {problem}" for problem in _judge(one, world.venue.orders.get(name))]
    return problems


def _judge(one: Told, order: Order | None) -> list[str]:
    if order is None:
        settled = one.not_sent or one.rejected
        return [] if settled and not one.accepted else [f"the venue never had it, the log says {one}"]
    problems = []
    if one.not_sent or one.rejected:
        problems.append("I5: the log says it never came to the venue, but it did")
    if not one.attempted:
        problems.append("it came to the venue without an attempt on the log")
    if one.filled != order.filled:
        problems.append(f"{order.filled} filled, {one.filled} reported")
    over = one.canceled or one.filled >= one.quantity
    if over is order.live:
        problems.append(f"{order.status} at the venue, the log says {one}")
    if order.live and (one.quantity, one.trigger) != (order.quantity, order.trigger):
        problems.append(f"{order.quantity} at {order.trigger} in force, {one.quantity} at {one.trigger} reported")
    return problems
