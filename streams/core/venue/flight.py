"""What arrives at the venue or expires there as time goes on: orders and changes under way, and ends of validity.

A cancel under way does not keep its order from filling: what is due is done before the ticks of its own moment, and
after those of every moment before. Source: domain definitions, section 6 (latency); ADR 19.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.envelope import Event, Message
from streams.core.venue.answers import answer, arrive
from streams.core.venue.draft import Draft
from streams.core.venue.state import Book, Request, VenueOrder, VenueState


class Moment(NamedTuple):
    """Something due at the venue. ``rank``: of two at one moment an expiry comes first, then arrivals, then changes."""

    ts: int
    rank: int
    client_order_id: str
    request: Request | None


_EXPIRY, _ARRIVAL, _REQUEST = range(3)


def decide_due(state: VenueState, message: Message) -> tuple[VenueState, list[Event]]:
    """Return what arrived or expired by now, and the state as that leaves it."""
    outputs: list[Event] = []
    for instrument_id in list(state.books):
        due = [moment for moment in _moments(state.books[instrument_id]) if message.now >= moment.ts]
        if due:
            draft = Draft(state, instrument_id, message)
            for moment in due:
                _happens(draft, moment)
            outputs += draft.outputs
            state = draft.state
    return state, outputs


def _moments(book: Book) -> list[Moment]:
    """Return everything that is still due, soonest first."""
    found = [moment for order in book.orders.values() for moment in _of_order(order)]
    found += [Moment(request.ts, _REQUEST, request.client_order_id, request) for request in book.requests]
    return sorted(found, key=lambda moment: moment[:2])


def _of_order(order: VenueOrder) -> list[Moment]:
    found = []
    if order.expires is not None:
        found.append(Moment(order.expires, _EXPIRY, order.client_order_id, None))
    if not order.arrived:
        found.append(Moment(order.ts_live, _ARRIVAL, order.client_order_id, None))
    return found


def _happens(draft: Draft, moment: Moment) -> None:
    order = draft.book.orders.get(moment.client_order_id)
    if moment.request is not None:
        answer(draft, moment.request)
    elif order is not None and moment.rank == _EXPIRY:
        draft.cancel(order, "EXPIRED")
    elif order is not None:
        arrive(draft, order)
