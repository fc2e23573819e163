"""What the log says of every order: the gateway's whole memory that survives it, folded from intents and reports.

Reports are facts whoever wrote them; ``NotSent`` alone counts only from the owner of the reports, after its claim and
before the next (kernel, section 7). What only this process knows (an answer not yet on the log) is in ``Pace``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from schemas.envelope import Envelope, Event
from schemas.events.common import Repair, Side
from schemas.events.gateway import DifferenceFound, GatewayClaimed, VenueCharged, VenueTransferred
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    NotSent,
    OrderIntended,
    OrderOperation,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueFunding,
    VenueLiquidated,
    VenueRejected,
)

ZERO = Decimal(0)
OVER_MAX = 5_000
"""Finished orders remembered, so that their late fills are still known as ours."""
TRADES_MAX = 20_000
"""Venue trade ids remembered against repeats; the trader keeps its own."""

LINES_MAX = 10_000
"""Lines of the venue's ledger remembered, as many as one answer may have: it is read again with an hour's overlap."""
PENALTIES_MAX = 100
"""Forced closes of an instrument remembered, for the parts of one position."""


class Phase(StrEnum):
    """How far an order is, by the log alone."""

    FRESH = "FRESH"  # intended; certainly not sent
    ATTEMPTED = "ATTEMPTED"  # perhaps sent: in doubt, unless this process is sending it at this moment
    AT_VENUE = "AT_VENUE"  # the venue has it
    OVER = "OVER"  # nothing more will come of it but a late fill


@dataclass(slots=True)
class Pace:
    """What one process remembers about asking: lost with it, and safely so.

    busy: an action is under way. not_before: when the next may begin. tries: refusals for load in a row. refused: the
    last attempt was refused for certain, so it may be sent again. look: ask the venue before anything else.
    absent_since: when a query first did not know an order the venue had. back_since: since when the venue has shown one
    again that the log holds to be over.
    """

    busy: bool = False
    not_before: int = 0
    tries: int = 0
    refused: bool = False
    look: bool = False
    absent_since: int | None = None
    back_since: int | None = None


@dataclass(slots=True)
class Tracked:
    """One order. quantity, trigger_price: in force at the venue; wanted_*: last asked for; filled: as reported.

    intent_id, amend_id: event ids of what asked. refused_id: of the change the venue refused. deadline: of the last
    attempt. not_sent: the owner reported that it never reached the venue. back: the venue had it after it was over.
    cancel_reason: None: nobody asked.
    """

    intent: OrderIntended
    intent_id: str
    quantity: Decimal
    wanted_quantity: Decimal
    trigger_price: Decimal | None
    wanted_trigger: Decimal | None
    phase: Phase = Phase.FRESH
    deadline: int | None = None
    filled: Decimal = ZERO
    cancel_reason: str | None = None
    amend_id: str = ""
    refused_id: str = ""
    not_sent: bool = False
    back: bool = False
    pace: Pace = field(default_factory=Pace)

    @property
    def names(self) -> tuple[str, str, str]:
        """Client order id, account, instrument: how every report on it begins."""
        return self.intent.client_order_id, self.intent.account_id, self.intent.instrument_id

    @property
    def amend_due(self) -> bool:
        """Whether the venue still has to be asked for a change."""
        asked = (self.wanted_quantity, self.wanted_trigger)
        return asked != (self.quantity, self.trigger_price) and self.amend_id != self.refused_id

    @property
    def cancel_due(self) -> bool:
        """Whether the venue still has to take it away: asked for, or there although it was reported not to be."""
        return self.cancel_reason is not None or self.not_sent or self.back


@dataclass(slots=True)
class Orders:
    """Every order of an account, the claim in force on its reports, and the executions reported.

    net: signed sum of the executions, by instrument. funded_until: the last funding settlement reported of each.
    trades: those reported, with their fees and the fees' currencies. bills: transfers and charges reported. told:
    subjects of the differences that no report repairs. penalties: of forced closes, with their moments, by instrument;
    0 for each of their fills.
    """

    claim_id: str = ""
    orders: dict[str, Tracked] = field(default_factory=dict)
    trades: dict[str, tuple[Decimal, str]] = field(default_factory=dict)
    over: dict[str, None] = field(default_factory=dict)
    net: dict[str, Decimal] = field(default_factory=dict)
    funded_until: dict[str, int] = field(default_factory=dict)
    bills: dict[str, None] = field(default_factory=dict)
    told: dict[str, None] = field(default_factory=dict)
    penalties: dict[str, list[tuple[int, Decimal]]] = field(default_factory=dict)

    def live(self) -> Iterator[Tracked]:
        """Yield the orders of which more than a late fill may come, oldest first."""
        return (order for name, order in self.orders.items() if name not in self.over)

    def intended(self, envelope: Envelope, event: Event) -> None:
        """Take an accepted record of ``orders``; what is no intent means nothing here."""
        if isinstance(event, OrderIntended):
            self.orders.setdefault(event.client_order_id, _tracked(envelope, event))
            return
        if not isinstance(event, AmendIntended | CancelIntended):
            return
        order = self.orders.get(event.client_order_id)
        if order is None:
            return  # of an order so old that it is forgotten
        if isinstance(event, CancelIntended):
            order.cancel_reason = event.reason
            return
        order.amend_id = envelope.event_id
        order.wanted_quantity = order.wanted_quantity if event.quantity is None else event.quantity
        order.wanted_trigger = order.wanted_trigger if event.trigger_price is None else event.trigger_price

    def reported(self, envelope: Envelope, event: Event) -> None:
        """Take a record of ``reports``, ours or anybody's."""
        if isinstance(event, GatewayClaimed):
            self.claim_id = event.claim_id
            return
        if isinstance(event, VenueFill):
            self._filled(event)
        if isinstance(event, VenueFunding):
            self.funded_until[event.instrument_id] = event.ts_funding
        if isinstance(event, VenueLiquidated):
            self._forced(event.instrument_id, envelope.ts_event, event.penalty)
        if isinstance(event, VenueFill) and event.liquidation:
            self._forced(event.instrument_id, envelope.ts_event, ZERO)
        if isinstance(event, VenueTransferred | VenueCharged):
            _remember(self.bills, event.bill_id)
        if isinstance(event, DifferenceFound) and event.repair is Repair.NONE:
            _remember(self.told, event.subject)
        order = self.orders.get(getattr(event, "client_order_id", ""))
        if order is None:
            return
        _move(order, envelope, event, owner=getattr(event, "claim_id", "") == self.claim_id)
        self._file(order)

    def knows(self, instrument_id: str, trade_id: str) -> bool:
        """Return whether an execution was reported."""
        return f"{instrument_id}|{trade_id}" in self.trades

    def fee_of(self, instrument_id: str, trade_id: str) -> tuple[Decimal, str] | None:
        """Return the fee an execution was reported with, and its currency; None: it was not reported."""
        return self.trades.get(f"{instrument_id}|{trade_id}")

    def _forced(self, instrument_id: str, moment: int, penalty: Decimal) -> None:
        told = self.penalties.get(instrument_id, [])[1 - PENALTIES_MAX :]
        self.penalties[instrument_id] = [*told, (moment, penalty)]

    def _filled(self, event: VenueFill) -> None:
        key = f"{event.instrument_id}|{event.venue_trade_id}"
        order = self.orders.get(event.client_order_id)
        if key not in self.trades:
            signed = event.last_quantity if event.side is Side.BUY else -event.last_quantity
            self.net[event.instrument_id] = self.net.get(event.instrument_id, ZERO) + signed
            if order is not None:
                order.filled += event.last_quantity
        self.trades[key] = event.fee, event.fee_currency
        if len(self.trades) > TRADES_MAX:
            del self.trades[next(iter(self.trades))]

    def _file(self, order: Tracked) -> None:
        name = order.intent.client_order_id
        if order.phase is not Phase.OVER:
            self.over.pop(name, None)
            return
        self.over[name] = None
        if len(self.over) > OVER_MAX:
            oldest = next(iter(self.over))
            del self.over[oldest], self.orders[oldest]


def _remember(lines: dict[str, None], name: str) -> None:
    lines[name] = None
    if len(lines) > LINES_MAX:
        del lines[next(iter(lines))]


def _tracked(envelope: Envelope, event: OrderIntended) -> Tracked:
    quantity, trigger = event.quantity, event.trigger_price
    return Tracked(event, envelope.event_id, quantity, quantity, trigger, trigger)


def _move(order: Tracked, envelope: Envelope, event: Event, *, owner: bool) -> None:
    """Fold one report on an order."""
    match event:
        case SubmitAttempted():
            order.deadline = event.deadline
            if order.phase is Phase.FRESH:
                order.phase = Phase.ATTEMPTED
        case NotSent() if owner and order.phase in (Phase.FRESH, Phase.ATTEMPTED):
            order.phase, order.not_sent = Phase.OVER, True
        case VenueRejected(operation=OrderOperation.SUBMIT) | VenueCanceled():
            order.phase = Phase.OVER
        case VenueRejected(operation=OrderOperation.AMEND):
            order.refused_id = envelope.causation_id
            _full(order)
        case VenueAmended():
            order.quantity, order.trigger_price = event.quantity, event.trigger_price
            _full(order)
        case VenueAccepted():
            order.back = order.back or order.phase is Phase.OVER
            order.phase = Phase.AT_VENUE
        case VenueFill():
            order.phase = order.phase if order.phase is Phase.OVER else Phase.AT_VENUE
            _full(order)
        case _:
            pass


def _full(order: Tracked) -> None:
    """End an order that is filled, unless a change that would make it larger is under way."""
    if order.filled >= order.quantity and not order.amend_due:
        order.phase = Phase.OVER
