"""What the paper venue leaves to chance: latency, refusals and partial fills, drawn so that any replay draws the same.

Each draw is a function of SHA-256(client order id, counter, seed): four numbers in [0, 1), each a 64-bit integer over
2^64, used in integer arithmetic. The counter is the order's own: 0 for its submission, then one for each change asked
of it that travels and one for each fill. Source: domain definitions, section 6; ADR 19.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from schemas.events.common import OrderPurpose, OrderType
from streams.core.venue.state import Book, Terms, VenueOrder

_WHOLE = 1 << 64
_HUNDRED = 100
REFUSED = "PAPER_FAULT"
"""Code of a refusal that was drawn, not earned."""


class Draw(NamedTuple):
    """One draw: four independent numbers, each in [0, 2^64)."""

    latency: int
    refusal: int
    partial: int
    share: int


def draw(client_order_id: str, counter: int, seed: int) -> Draw:
    """Return the draw of an order, its ``counter``-th."""
    digest = sha256(f"{client_order_id}|{counter}|{seed}".encode()).digest()
    return Draw(*(int.from_bytes(digest[start : start + 8], "big") for start in (0, 8, 16, 24)))


def latency_us(terms: Terms, client_order_id: str, counter: int) -> int:
    """Return how long a message about an order travels, in microseconds: the base plus 0 up to the jitter, even."""
    if not terms.latency_jitter_us:
        return terms.latency_us
    drawn = draw(client_order_id, counter, terms.seed).latency
    return terms.latency_us + (drawn * (terms.latency_jitter_us + 1) >> 64)


def refusal(terms: Terms, client_order_id: str) -> tuple[str, str] | None:
    """Return code and detail where an order is refused by chance, None where it is not."""
    if not terms.fault_reject_pct or not _strikes(draw(client_order_id, 0, terms.seed).refusal, terms.fault_reject_pct):
        return None
    return REFUSED, f"drawn: fault_reject_pct={terms.fault_reject_pct}"


def cut(terms: Terms, book: Book, order: VenueOrder, quantity: Decimal) -> Decimal:
    """Return what trades of ``quantity``: all of it, or by chance a part in whole lots, at least the minimum.

    Entries and targets only: stops and market exits fill whole. Source: domain definitions, section 6 (volume).
    """
    whole = order.purpose in (OrderPurpose.STOP, OrderPurpose.EXIT) or order.type is OrderType.STOP
    if whole or not terms.fault_partial_pct:
        return quantity
    drawn = draw(order.client_order_id, order.drawn, terms.seed)
    instrument = book.instrument
    lots = int(quantity / instrument.lot_size)
    if lots < 2 or not _strikes(drawn.partial, terms.fault_partial_pct):
        return quantity
    part = (1 + (drawn.share * (lots - 1) >> 64)) * instrument.lot_size
    return min(quantity, max(part, instrument.min_quantity))


def _strikes(drawn: int, percent: Decimal) -> bool:
    """Whether an even draw falls inside ``percent`` of all."""
    return Decimal(drawn * _HUNDRED) < percent * _WHOLE
