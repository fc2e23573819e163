"""How long a message about an order is under way to the venue.

Latency is a matter of ticks. Where bars alone say what the market did, an order is there at once and meets the bars
that open after it; on a tick feed it is there ``ts + latency`` later, and so is what is asked of it afterwards. Nothing
about an order overtakes what was sent about it before. Source: domain definitions, section 6 (latency); ADR 19.
"""

from __future__ import annotations

from schemas.events.orders import AmendIntended, CancelIntended, OrderOperation
from streams.core.venue import chance
from streams.core.venue.state import Book, Request, Terms, is_tick_fed


def travels(book: Book, terms: Terms, now: int) -> bool:
    """Whether what is sent now takes time: there is a latency, and ticks to tell it by."""
    delayed = terms.latency_us > 0 or terms.latency_jitter_us > 0
    return delayed and (book.bar_us == 0 or is_tick_fed(book, now))


def request_of(book: Book, terms: Terms, event: AmendIntended | CancelIntended, now: int) -> Request | None:
    """Return what is asked of an order, with the moment it arrives; None: the venue does not have the order."""
    order = book.orders.get(event.client_order_id)
    if order is None:
        return None
    earliest = [now] if order.arrived else [now, order.ts_live]
    earliest += [request.ts for request in book.requests if request.client_order_id == order.client_order_id]
    if travels(book, terms, now):
        earliest.append(now + chance.latency_us(terms, order.client_order_id, order.drawn))
    ts, names = max(earliest), (order.client_order_id, event.account_id)
    if isinstance(event, CancelIntended):
        return Request(ts, *names, OrderOperation.CANCEL)
    return Request(ts, *names, OrderOperation.AMEND, event.quantity, event.trigger_price)
