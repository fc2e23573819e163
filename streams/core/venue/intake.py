"""Orders, amendments and cancels as they leave for the paper venue; what need not travel is answered at once."""

from __future__ import annotations

from schemas.envelope import Event, Message
from schemas.events.common import NotSentReason
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    NotSent,
    OrderIntended,
    OrderOperation,
    SubmitAttempted,
    VenueRejected,
)
from streams.core.venue import fold
from streams.core.venue.answers import answer, arrive, not_found
from streams.core.venue.bars import meet_step_bar
from streams.core.venue.draft import Draft
from streams.core.venue.state import Request, VenueState
from streams.core.venue.travel import request_of


def decide_order(state: VenueState, message: Message, event: OrderIntended) -> list[Event]:
    """Return the venue's word on an order: not sent, attempted, and, if it is there at once, its answer.

    An order that protects an entry of the bar of this step meets that bar.
    """
    names = (event.client_order_id, event.account_id, event.instrument_id)
    if event.valid_until is not None and message.now >= event.valid_until:
        return [NotSent(*names, NotSentReason.EXPIRED)]
    book, attempted = state.books.get(event.instrument_id), SubmitAttempted(*names)
    if book is None:
        return [attempted, VenueRejected(*names, "INSTRUMENT_UNKNOWN", event.instrument_id)]
    if event.client_order_id in book.orders:
        return [attempted, VenueRejected(*names, "DUPLICATE_ID", event.client_order_id)]
    draft = Draft(state, event.instrument_id, message)
    fold.order_intended(draft.state, event, message.now)
    draft.emit(attempted)
    order = draft.book.orders[event.client_order_id]
    if order.arrived:
        arrive(draft, order)
        if event.client_order_id in draft.book.orders:
            meet_step_bar(draft, order)
    return draft.outputs


def decide_change(state: VenueState, message: Message, event: AmendIntended | CancelIntended) -> list[Event]:
    """Return the venue's answer to an amendment or a cancel; nothing yet if it travels."""
    book = state.books.get(event.instrument_id)
    request = None if book is None else request_of(book, state.terms, event, message.now)
    if request is None:
        operation = OrderOperation.CANCEL if isinstance(event, CancelIntended) else OrderOperation.AMEND
        gone = Request(message.now, event.client_order_id, event.account_id, operation)
        return [not_found(gone, event.instrument_id)]
    if request.ts > message.now:
        return []
    draft = Draft(state, event.instrument_id, message)
    answer(draft, request)
    return draft.outputs
