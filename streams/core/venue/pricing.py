"""Prices, fees and quantities of a simulated fill. Everything rounds against us."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import Liquidity, OrderPurpose, Side
from schemas.values import ceil_to, floor_to, money, quantity, truncate_to
from streams.core.venue.state import ZERO, Book, Terms, VenueOrder


def worsen(price: Decimal, side: Side, terms: Terms, tick: Decimal) -> Decimal:
    """Return the price a taker gets: slipped against us and rounded to the tick against us.

    Source: domain definitions, sections 1 (simulated fills round against us) and 6 (``slippage_bps``).
    """
    if side is Side.BUY:
        return ceil_to(price * (1 + terms.slippage), tick)
    return floor_to(price * (1 - terms.slippage), tick)


def not_past(price: Decimal, limit: Decimal, side: Side) -> Decimal:
    """Return the price, held at the order's limit."""
    return min(price, limit) if side is Side.BUY else max(price, limit)


def fee_rate(book: Book, terms: Terms, liquidity: Liquidity) -> Decimal:
    """Return the fee as a fraction of the notional."""
    if book.is_spot:
        return terms.fee_maker_spot if liquidity is Liquidity.MAKER else terms.fee_taker_spot
    return terms.fee_maker_swap if liquidity is Liquidity.MAKER else terms.fee_taker_swap


def fee_of(
    book: Book, terms: Terms, side: Side, filled: Decimal, price: Decimal, liquidity: Liquidity
) -> tuple[Decimal, str]:
    """Return fee (positive = paid) and its currency. Spot buys pay in base. Source: OKX facts, point 11."""
    rate = fee_rate(book, terms, liquidity)
    if book.is_spot and side is Side.BUY:
        return quantity(filled * rate), book.instrument.base_currency
    return money(filled * book.multiplier * price * rate), book.instrument.quote_currency


def reducible(book: Book, order: VenueOrder) -> Decimal:
    """Return how much of the order may trade without raising or flipping exposure, in whole lots; no dust."""
    held = -order.sign * book.position.quantity
    if held < book.instrument.min_quantity:
        return ZERO
    return truncate_to(min(order.leaves, held), book.instrument.lot_size)


def share_of_volume(book: Book, terms: Terms, order: VenueOrder, base_volume: Decimal) -> Decimal:
    """Return what an order gets of a bar: entries at most their share of the volume, protection and exits all.

    A share below the minimum is nothing: it could not be protected. Source: domain definitions, section 6 (volume).
    """
    if order.purpose is not OrderPurpose.ENTRY:
        return order.leaves
    instrument = book.instrument
    share = truncate_to(base_volume * terms.participation / book.multiplier, instrument.lot_size)
    if share >= order.leaves:
        return order.leaves
    return share if share >= instrument.min_quantity else ZERO
