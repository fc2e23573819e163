"""An order's life as one flat table: (state, event) -> state. Anything not in it raises InvalidTransition."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import EntryEnd, ExitReason, NotSentReason, OrderPurpose, OrderType, Side
from schemas.events.orders import (
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)


class OrderState(StrEnum):
    """Where an order is."""

    INTENDED = "INTENDED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


class InvalidTransition(Exception):
    """An order was told something that cannot happen in its state: a bug, or a venue that contradicts itself."""


_S = OrderState
TRANSITIONS: dict[tuple[OrderState, type[Event]], OrderState] = {
    (_S.INTENDED, OrderSubmitted): _S.SUBMITTED,
    (_S.INTENDED, OrderExpired): _S.EXPIRED,  # never sent: its time was over before the gateway got to it
    (_S.INTENDED, OrderRejected): _S.REJECTED,  # never sent, for another reason
    (_S.SUBMITTED, OrderAccepted): _S.ACCEPTED,
    (_S.SUBMITTED, OrderRejected): _S.REJECTED,
    (_S.SUBMITTED, OrderUnknown): _S.UNKNOWN,
    (_S.SUBMITTED, OrderPartiallyFilled): _S.PARTIALLY_FILLED,  # the fill overtook the ack
    (_S.SUBMITTED, OrderFilled): _S.FILLED,  # the fill overtook the ack
    (_S.SUBMITTED, OrderCanceled): _S.CANCELED,  # the cancel overtook the ack
    (_S.SUBMITTED, OrderExpired): _S.EXPIRED,
    (_S.UNKNOWN, OrderAccepted): _S.ACCEPTED,
    (_S.UNKNOWN, OrderRejected): _S.REJECTED,
    (_S.UNKNOWN, OrderPartiallyFilled): _S.PARTIALLY_FILLED,
    (_S.UNKNOWN, OrderFilled): _S.FILLED,
    (_S.UNKNOWN, OrderCanceled): _S.CANCELED,
    (_S.UNKNOWN, OrderExpired): _S.EXPIRED,
    (_S.ACCEPTED, OrderAmended): _S.ACCEPTED,
    (_S.ACCEPTED, OrderPartiallyFilled): _S.PARTIALLY_FILLED,
    (_S.ACCEPTED, OrderFilled): _S.FILLED,
    (_S.ACCEPTED, OrderCanceled): _S.CANCELED,
    (_S.ACCEPTED, OrderExpired): _S.EXPIRED,
    (_S.ACCEPTED, OrderRejected): _S.REJECTED,  # post-only that would take: the matching engine refuses after the ack
    (_S.PARTIALLY_FILLED, OrderAccepted): _S.PARTIALLY_FILLED,  # the ack came after the first fill
    (_S.PARTIALLY_FILLED, OrderAmended): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, OrderPartiallyFilled): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, OrderFilled): _S.FILLED,
    (_S.PARTIALLY_FILLED, OrderCanceled): _S.CANCELED,
    (_S.PARTIALLY_FILLED, OrderExpired): _S.EXPIRED,
    (_S.FILLED, OrderAccepted): _S.FILLED,  # the ack came after the last fill
    (_S.FILLED, OrderFilled): _S.FILLED,  # it was made larger, and the word of that came after the fill
    (_S.CANCELED, OrderAccepted): _S.CANCELED,  # the cancel overtook the ack
    (_S.EXPIRED, OrderAccepted): _S.EXPIRED,  # the expiry overtook the ack
    (_S.CANCELED, OrderPartiallyFilled): _S.CANCELED,  # filled after cancel: it happens
    (_S.CANCELED, OrderFilled): _S.FILLED,  # filled after cancel: it happens
    (_S.EXPIRED, OrderPartiallyFilled): _S.EXPIRED,  # filled while it expired: it happens
    (_S.EXPIRED, OrderFilled): _S.FILLED,  # filled while it expired: it happens
}

LIVE = frozenset({_S.INTENDED, _S.SUBMITTED, _S.ACCEPTED, _S.PARTIALLY_FILLED, _S.UNKNOWN})
"""States in which an order may still trade."""
UNSETTLED = frozenset({_S.INTENDED, _S.SUBMITTED, _S.UNKNOWN})
"""States in which nobody knows of the venue having the order."""
NEVER_SENDABLE = frozenset({NotSentReason.LEVERAGE, NotSentReason.UNSENDABLE})
"""Reasons that end an order like a refusal. After any other its time was over, and it may yet turn up late."""
AT_VENUE = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED})
"""States in which the venue has the order and an amendment makes sense."""


def next_state(state: OrderState, event: Event) -> OrderState:
    """Return the state after an event. Raises InvalidTransition when the table has no such row."""
    try:
        return TRANSITIONS[state, type(event)]
    except KeyError:
        raise InvalidTransition(f"{type(event).__name__} in state {state}: {event}") from None


@dataclass(slots=True)
class OrderRecord:
    """One order of a trade. ``quantity``: in total, the filled part included, in the instrument's unit.

    pending_*: asked of the venue and not yet confirmed. end: why an entry ended. amend_refused: the venue would not
    change it, so it cannot be counted on to cover what is open. not_sent: it never reached the venue, which therefore
    did not refuse it.
    """

    client_order_id: str
    purpose: OrderPurpose
    type: OrderType
    target_index: int | None
    side: Side
    quantity: Decimal
    filled: Decimal
    trigger_price: Decimal | None
    exit_reason: ExitReason | None
    state: OrderState = OrderState.INTENDED
    pending_quantity: Decimal | None = None
    pending_trigger: Decimal | None = None
    pending_reason: ExitReason | None = None
    cancel_requested: bool = False
    amend_refused: bool = False
    not_sent: bool = False
    end: EntryEnd | None = None

    @property
    def live(self) -> bool:
        """Whether it may still trade."""
        return self.state in LIVE

    @property
    def leaves(self) -> Decimal:
        """What may still trade."""
        return self.quantity - self.filled

    @property
    def wanted_quantity(self) -> Decimal:
        """The total last asked for."""
        return self.quantity if self.pending_quantity is None else self.pending_quantity

    @property
    def wanted_trigger(self) -> Decimal | None:
        """The trigger last asked for."""
        return self.trigger_price if self.pending_trigger is None else self.pending_trigger


@dataclass(slots=True)
class Closing:
    """An order without a plan: the operator's close of a position that is not ours. ``plan_id`` stays empty."""

    account_id: str
    instrument_id: str
    order: OrderRecord
    plan_id: str = ""
