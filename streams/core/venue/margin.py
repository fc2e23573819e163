"""Liquidation and funding of positions at the paper venue (linear, quote-settled).

Isolated: ``margin_ratio = (M + s*(q*mark - cost)) / (q*mark*(mmr + f))``, liquidated when ``<= 1`` at a mark update;
cross puts the account's free balance in the place of M.
Sources: domain definitions, section 5; OKX tiers and ``liqPenalty``.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from schemas.events.common import Liquidity, MarginMode, Side, TriggerPriceType
from schemas.events.market import MarginTier
from schemas.events.orders import VenueFill, VenueFunding, VenueLiquidated
from schemas.ids import derive_id
from schemas.values import SCALES, Micros, Money, Price, Quantity, Rate, money
from streams.core.venue.draft import Draft
from streams.core.venue.pricing import worsen
from streams.core.venue.state import ZERO, Book, Terms, VenuePositionState, VenueState

_PRICE_STEP = Decimal(1).scaleb(-SCALES["Price"])


def tier_index(tiers: Sequence[MarginTier], contracts: Decimal) -> int:
    """Return the index of the tier that ``contracts`` fall in, upper bound inclusive; the last one beyond them all."""
    for index, tier in enumerate(tiers):
        if contracts <= tier.quantity_max:
            return index
    return len(tiers) - 1


def tiers_of(book: Book, mode: MarginMode) -> list[MarginTier]:
    """Return the instrument's tiers of one margin mode, smallest first."""
    return sorted((tier for tier in book.instrument.tiers if tier.margin_mode is mode), key=lambda tier: tier.tier)


def maintenance_rate(book: Book, terms: Terms) -> Decimal:
    """Return ``mmr + f`` of the position as it stands; working entries count for the tier."""
    tiers = tiers_of(book, book.position.margin_mode)
    mmr = tiers[tier_index(tiers, _tier_quantity(book))].mmr if tiers else ZERO
    return mmr + terms.fee_taker_swap


def _tier_quantity(book: Book) -> Decimal:
    working = sum((order.leaves for order in book.orders.values() if not order.reduce_only), ZERO)
    return abs(book.position.quantity) + working


def unrealized(book: Book, mark: Decimal) -> Decimal:
    """Return the position's profit at ``mark``."""
    position = book.position
    value = abs(position.quantity) * book.multiplier * mark
    return value - position.cost if position.quantity > 0 else position.cost - value


def collateral(state: VenueState, book: Book) -> Decimal:
    """Return what stands behind the position: its margin; for cross the account's free balance, other marks held."""
    if book.position.margin_mode is MarginMode.ISOLATED:
        return book.position.margin
    balance = state.cash
    for other in state.books.values():
        if other.is_spot:
            continue
        balance -= _working_fees(other, state.terms)
        if other is book or not other.position.quantity:
            continue
        if other.position.margin_mode is MarginMode.ISOLATED:
            balance -= other.position.margin
        else:
            mark = mark_of(other, state.terms)
            notional = abs(other.position.quantity) * other.multiplier * mark
            balance += unrealized(other, mark) - notional * maintenance_rate(other, state.terms)
    return balance


def _working_fees(book: Book, terms: Terms) -> Decimal:
    total = ZERO
    for order in book.orders.values():
        price = order.limit_price or order.trigger_price or book.last_price
        if not order.reduce_only and price is not None:
            total += order.leaves * book.multiplier * price * terms.fee_taker_swap
    return total


def mark_of(book: Book, terms: Terms) -> Decimal:
    """Return the mark in force, else the last price, else the average entry."""
    if book.mark.price is not None and not mark_is_missing(book, terms, max(book.ts_last, book.mark.ts)):
        return book.mark.price
    if book.last_price is not None:
        return book.last_price
    return book.position.cost / (abs(book.position.quantity) * book.multiplier)


def mark_is_missing(book: Book, terms: Terms, now: int) -> bool:
    """Whether last stands in for the mark: it may be substituted, and there is none or it is stale (ADR 10)."""
    return terms.mark_substitute and book.mark.is_missing(now)


def is_liquidated(state: VenueState, book: Book, mark: Decimal) -> bool:
    """Whether the position's margin ratio is at or below 1 at this mark."""
    position = book.position
    if not position.quantity or position.margin_mode is MarginMode.CASH:
        return False
    required = abs(position.quantity) * book.multiplier * mark * maintenance_rate(book, state.terms)
    return collateral(state, book) + unrealized(book, mark) <= required


def check(draft: Draft, mark: Decimal, source: TriggerPriceType) -> None:
    """Liquidate the position if ``mark`` says so: from tier 3 on step by step, else all of it.

    ``source``: LAST where the mark is a price of trades (a bar's open, or last standing in for a missing mark).
    """
    state, book = draft.state, draft.book
    while is_liquidated(state, book, mark):
        tiers = tiers_of(book, book.position.margin_mode)
        held = abs(book.position.quantity)
        index = tier_index(tiers, held) if tiers else 0
        if index < 2:
            _close_all(draft, mark, source)
            return
        # The position shrinks to what two tiers down may hold, then is tested again.
        _reduce(draft, held - tiers[index - 2].quantity_max, mark, source)


def _reduce(draft: Draft, quantity: Decimal, mark: Decimal, source: TriggerPriceType) -> None:
    book, terms = draft.book, draft.state.terms
    side = Side.SELL if book.position.quantity > 0 else Side.BUY
    price = worsen(mark, side, terms, book.instrument.tick_size)
    fee = money(quantity * book.multiplier * price * terms.fee_taker_swap)
    _report(draft, side, quantity, mark, price, fee, ZERO, source)


def _close_all(draft: Draft, mark: Decimal, source: TriggerPriceType) -> None:
    """Close the position at the mark, take what is left of its collateral and drop the instrument's orders.

    Past the bankruptcy price the venue takes the position over there, so that an isolated loss is exactly M.
    """
    book, state = draft.book, draft.state
    position = book.position
    side = Side.SELL if position.quantity > 0 else Side.BUY
    held = abs(position.quantity)
    behind = collateral(state, book)
    price = _takeover_price(position, held * book.multiplier, behind, mark, state.terms.fee_taker_swap)
    value = money(held * book.multiplier * price)
    profit = value - position.cost if position.quantity > 0 else position.cost - value
    fee = money(held * book.multiplier * price * state.terms.fee_taker_swap)
    penalty = max(ZERO, money(behind + profit - fee))
    _report(draft, side, held, mark, price, fee, penalty, source)
    for order in list(book.orders.values()):
        draft.cancel(order, "LIQUIDATION")


def _takeover_price(
    position: VenuePositionState, base: Decimal, behind: Decimal, mark: Decimal, fee_rate: Decimal
) -> Decimal:
    if position.quantity > 0:
        bankrupt = (position.cost - behind) / (base * (1 - fee_rate))
        return max(mark, bankrupt.quantize(_PRICE_STEP, rounding=ROUND_UP))
    bankrupt = (position.cost + behind) / (base * (1 + fee_rate))
    return min(mark, bankrupt.quantize(_PRICE_STEP, rounding=ROUND_DOWN))


def _report(
    draft: Draft,
    side: Side,
    quantity: Decimal,
    mark: Decimal,
    price: Decimal,
    fee: Decimal,
    penalty: Decimal,
    source: TriggerPriceType,
) -> None:
    book, account_id = draft.book, draft.state.terms.account_id
    instrument_id = book.instrument.instrument_id
    # The instrument in the id: two positions may be liquidated by one message.
    trade_id = derive_id(draft.message.envelope.event_id, "liquidation", instrument_id, book.liquidations)
    draft.emit(VenueLiquidated(account_id, instrument_id, trade_id, Price(mark), Quantity(quantity), Money(penalty)))
    draft.emit(
        VenueFill(
            client_order_id=f"liquidation{trade_id[:20]}",
            account_id=account_id,
            instrument_id=instrument_id,
            venue_trade_id=trade_id,
            side=side,
            last_quantity=Quantity(quantity),
            last_price=Price(price),
            liquidity=Liquidity.TAKER,
            fee=Quantity(fee),
            fee_currency=book.instrument.quote_currency,
            arrival_price=Price(mark),
            trigger_source=source,
            liquidation=True,
        )
    )


def funding_mark(book: Book, ts_funding: int) -> Decimal | None:
    """Return the last mark at or before the settlement, else the last price; None: no price at all."""
    if book.mark.price is not None and book.mark.ts <= ts_funding:
        return book.mark.price
    if book.boundary_mark is not None and book.ts_boundary_mark <= ts_funding:
        return book.boundary_mark
    return book.last_price


def funding_payment(*, contracts: Decimal, base_per_contract: Decimal, mark: Decimal, funding_rate: Decimal) -> Money:
    """Return what the position receives (negative: pays): ``-s * |contracts| * contract_value * mark * rate``.

    ``contracts`` signed. Source: domain definitions, section 5; golden case G4.
    """
    return money(-contracts * base_per_contract * mark * funding_rate)


def settle_funding(draft: Draft, ts_funding: int, funding_rate: Decimal) -> None:
    """Book the funding of the position, if there is one and a price to value it at."""
    book = draft.book
    mark = funding_mark(book, ts_funding)
    if mark is None:
        return
    payment = funding_payment(
        contracts=book.position.quantity,
        base_per_contract=book.multiplier,
        mark=mark,
        funding_rate=funding_rate,
    )
    draft.emit(
        VenueFunding(
            draft.state.terms.account_id,
            book.instrument.instrument_id,
            payment,
            Rate(funding_rate),
            Price(mark),
            Quantity(book.position.quantity),
            Micros(ts_funding),
        )
    )
