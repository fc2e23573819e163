"""Orders, amendments and cancels as they reach the paper venue, and what it answers at once."""

from __future__ import annotations

from schemas.envelope import Event, Message
from schemas.events.common import NotSentReason, OrderPurpose, OrderType, Side
from schemas.events.market import InstrumentState
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    NotSent,
    OrderIntended,
    OrderOperation,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueRejected,
)
from schemas.ids import derive_id
from schemas.values import Price, Quantity
from streams.core.venue import fold
from streams.core.venue.bars import meet_step_bar
from streams.core.venue.draft import Draft
from streams.core.venue.pricing import reducible
from streams.core.venue.state import Book, VenueState

_MARKETABLE = (OrderType.MARKET, OrderType.STOP)


def decide_order(state: VenueState, message: Message, event: OrderIntended) -> list[Event]:
    """Return the venue's answer to an order: not sent, rejected, or accepted (and, in its entry's bar, filled)."""
    attempted = SubmitAttempted(event.client_order_id, event.account_id, event.instrument_id)
    if event.valid_until is not None and message.now >= event.valid_until:
        return [NotSent(event.client_order_id, event.account_id, event.instrument_id, NotSentReason.EXPIRED)]
    book = state.books.get(event.instrument_id)
    refusal = _refusal(book, event)
    if book is None or refusal is not None:
        return [attempted, _rejected(event, *(refusal or ("INSTRUMENT_UNKNOWN", event.instrument_id)))]
    draft = Draft(state, event.instrument_id, message)
    fold.order_intended(draft.state, event, message.now)
    draft.emit(attempted)
    venue_order_id = derive_id(event.client_order_id, "order")
    draft.emit(VenueAccepted(event.client_order_id, event.account_id, event.instrument_id, venue_order_id))
    order = draft.book.orders[event.client_order_id]
    if order.reduce_only and reducible(draft.book, order) <= 0:
        draft.cancel(order, "REDUCE_ONLY")
    else:
        meet_step_bar(draft, order)
    return draft.outputs


def _refusal(book: Book | None, event: OrderIntended) -> tuple[str, str] | None:
    """Return code and detail of what is wrong with an order, None if nothing."""
    if book is None:
        return "INSTRUMENT_UNKNOWN", event.instrument_id
    if event.client_order_id in book.orders:
        return "DUPLICATE_ID", event.client_order_id
    return _shape_refusal(event) or _size_refusal(book, event) or _entry_refusal(book, event)


def _shape_refusal(event: OrderIntended) -> tuple[str, str] | None:
    if event.type is OrderType.LIMIT and event.limit_price is None:
        return "LIMIT_PRICE_MISSING", event.client_order_id
    if event.type is OrderType.STOP and event.trigger_price is None:
        return "TRIGGER_PRICE_MISSING", event.client_order_id
    return None


def _size_refusal(book: Book, event: OrderIntended) -> tuple[str, str] | None:
    instrument = book.instrument
    if event.quantity < instrument.min_quantity:
        return "QUANTITY_BELOW_MINIMUM", f"quantity={event.quantity}, min_quantity={instrument.min_quantity}"
    if event.quantity % instrument.lot_size != 0:
        return "QUANTITY_NOT_A_LOT", f"quantity={event.quantity}, lot_size={instrument.lot_size}"
    return None


def _entry_refusal(book: Book, event: OrderIntended) -> tuple[str, str] | None:
    """Only entries are held to state and size: nothing may keep a position from being protected or closed."""
    if event.purpose is not OrderPurpose.ENTRY:
        return None
    instrument = book.instrument
    if instrument.state is not InstrumentState.LIVE:
        return "INSTRUMENT_NOT_LIVE", instrument.state.value
    if book.is_spot and event.side is Side.SELL:
        return "SHORT_NOT_AVAILABLE", event.instrument_id
    maximum = instrument.market_quantity_max if event.type in _MARKETABLE else instrument.limit_quantity_max
    if event.quantity > maximum:
        return "QUANTITY_EXCEEDS_MAXIMUM", f"quantity={event.quantity}, maximum={maximum}"
    return None


def _rejected(event: OrderIntended, code: str, detail: str) -> VenueRejected:
    return VenueRejected(
        event.client_order_id, event.account_id, event.instrument_id, code, detail, OrderOperation.SUBMIT
    )


def decide_amend(state: VenueState, message: Message, event: AmendIntended) -> list[Event]:
    """Return the amended values, or a refusal when the order is gone or already traded more than is asked."""
    order = fold.amend_known(state, event)
    if order is None:
        return [_unknown(event, OrderOperation.AMEND)]
    total = order.leaves + order.filled if event.quantity is None else event.quantity
    if total <= order.filled:
        detail = f"quantity={total}, filled={order.filled}"
        return [
            VenueRejected(
                event.client_order_id,
                event.account_id,
                event.instrument_id,
                "QUANTITY_ALREADY_FILLED",
                detail,
                OrderOperation.AMEND,
            )
        ]
    trigger = order.trigger_price if event.trigger_price is None else event.trigger_price
    return [
        VenueAmended(
            event.client_order_id,
            event.account_id,
            event.instrument_id,
            Quantity(total),
            None if trigger is None else Price(trigger),
        )
    ]


def decide_cancel(state: VenueState, message: Message, event: CancelIntended) -> list[Event]:
    """Return the cancellation, or a refusal when the order is gone."""
    book = state.books.get(event.instrument_id)
    order = None if book is None else book.orders.get(event.client_order_id)
    if order is None:
        return [_unknown(event, OrderOperation.CANCEL)]
    draft = Draft(state, event.instrument_id, message)
    draft.cancel(order, "CANCELED")
    return draft.outputs


def _unknown(event: AmendIntended | CancelIntended, operation: OrderOperation) -> VenueRejected:
    return VenueRejected(event.client_order_id, event.account_id, event.instrument_id, "ORDER_NOT_FOUND", "", operation)
