"""What the paper venue answers to an order, an amendment or a cancel once it has it."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import OrderPurpose, OrderType, Side
from schemas.events.market import InstrumentState
from schemas.events.orders import OrderOperation, VenueAccepted, VenueAmended, VenueRejected
from schemas.ids import derive_id
from schemas.values import Price, Quantity
from streams.core.venue import chance
from streams.core.venue.draft import Draft
from streams.core.venue.pricing import reducible
from streams.core.venue.state import Book, Request, VenueOrder

_MARKETABLE = (OrderType.MARKET, OrderType.STOP)


def arrive(draft: Draft, order: VenueOrder) -> None:
    """Accept or reject an order that has reached the venue; one that could only reduce nothing is taken off again."""
    refused = _refusal(draft.book, order) or chance.refusal(draft.state.terms, order.client_order_id)
    if refused is not None:
        draft.reject(order, *refused)
        return
    venue_order_id = derive_id(order.client_order_id, "order")
    instrument_id = draft.book.instrument.instrument_id
    draft.emit(VenueAccepted(order.client_order_id, order.account_id, instrument_id, venue_order_id))
    if order.reduce_only and reducible(draft.book, order) <= 0:
        draft.cancel(order, "REDUCE_ONLY")


def _refusal(book: Book, order: VenueOrder) -> tuple[str, str] | None:
    """Return code and detail of what is wrong with an order, None if nothing."""
    return _shape_refusal(order) or _size_refusal(book, order) or _entry_refusal(book, order)


def _shape_refusal(order: VenueOrder) -> tuple[str, str] | None:
    if order.type is OrderType.LIMIT and order.limit_price is None:
        return "LIMIT_PRICE_MISSING", order.client_order_id
    if order.type is OrderType.STOP and order.trigger_price is None:
        return "TRIGGER_PRICE_MISSING", order.client_order_id
    return None


def _size_refusal(book: Book, order: VenueOrder) -> tuple[str, str] | None:
    instrument = book.instrument
    if order.leaves < instrument.min_quantity:
        return "QUANTITY_BELOW_MINIMUM", f"quantity={order.leaves}, min_quantity={instrument.min_quantity}"
    if order.leaves % instrument.lot_size != 0:
        return "QUANTITY_NOT_A_LOT", f"quantity={order.leaves}, lot_size={instrument.lot_size}"
    return None


def _entry_refusal(book: Book, order: VenueOrder) -> tuple[str, str] | None:
    """Only entries are held to state and size: nothing may keep a position from being protected or closed."""
    if order.purpose is not OrderPurpose.ENTRY:
        return None
    instrument = book.instrument
    if instrument.state is not InstrumentState.LIVE:
        return "INSTRUMENT_NOT_LIVE", instrument.state.value
    if book.is_spot and order.side is Side.SELL:
        return "SHORT_NOT_AVAILABLE", instrument.instrument_id
    maximum = _largest(book, order)
    if order.leaves > maximum:
        return "QUANTITY_EXCEEDS_MAXIMUM", f"quantity={order.leaves}, maximum={maximum}"
    return None


def _largest(book: Book, order: VenueOrder) -> Decimal:
    """Return the most an entry may ask for; the value of a market order counts at its trigger or the last price."""
    instrument = book.instrument
    if order.type not in _MARKETABLE:
        return instrument.limit_quantity_max
    price = order.trigger_price or book.last_price
    return instrument.market_quantity_max if price is None else instrument.market_maximum(price)


def answer(draft: Draft, request: Request) -> None:
    """Do what is asked of an order, or refuse it: the order is gone, or has traded as much as it shall be."""
    order = draft.book.orders.get(request.client_order_id)
    if order is None:
        draft.emit(not_found(request, draft.book.instrument.instrument_id))
    elif request.operation is OrderOperation.CANCEL:
        draft.cancel(order, "CANCELED")
    else:
        _amend(draft, order, request)


def _amend(draft: Draft, order: VenueOrder, request: Request) -> None:
    total = order.leaves + order.filled if request.quantity is None else request.quantity
    instrument_id = draft.book.instrument.instrument_id
    if total <= order.filled:
        detail = f"quantity={total}, filled={order.filled}"
        names = (order.client_order_id, order.account_id, instrument_id)
        draft.emit(VenueRejected(*names, "QUANTITY_ALREADY_FILLED", detail, OrderOperation.AMEND))
        return
    trigger = order.trigger_price if request.trigger_price is None else request.trigger_price
    draft.emit(
        VenueAmended(
            order.client_order_id,
            order.account_id,
            instrument_id,
            Quantity(total),
            None if trigger is None else Price(trigger),
        )
    )


def not_found(request: Request, instrument_id: str) -> VenueRejected:
    """Return the refusal of a change to an order that the venue does not have."""
    return VenueRejected(
        request.client_order_id, request.account_id, instrument_id, "ORDER_NOT_FOUND", "", request.operation
    )
