"""Books fills into positions: cost, not average; every posting rounded once; flips split into a close and an open.

Pure arithmetic. What a position is worth is ``equity.py``; what a trade was worth is ``review.py``.
Source: domain definitions, section 7 (ledger) and section 5 (margin).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from schemas.events.common import MarginMode, PositionSide, Side
from schemas.events.orders import FillBooked
from schemas.ids import derive_id
from schemas.values import money
from streams.core.account.state import ZERO, LedgerError, Position


@dataclass(frozen=True, slots=True)
class Leg:
    """One fill, or the closing or opening part of one. ``sign``: +1 buys. Quantities are positive.

    ``base``: what enters or leaves the position; a spot buy's fee taken in base is not in it.
    """

    sign: int
    quantity: Decimal
    base: Decimal
    price: Decimal
    fee: Decimal
    penalty: Decimal


@dataclass(frozen=True, slots=True)
class Booking:
    """What a fill did: the cash it moved, the trade it closed (flat but for dust) and the position it left open."""

    cash: Decimal
    closed: Position | None
    open: Position | None
    closing: Leg | None
    opening: Leg | None


def leg_of(fill: FillBooked) -> Leg:
    """Return the whole fill as one leg; a fee taken in base never reaches the position."""
    sign = 1 if fill.side is Side.BUY else -1
    held_back = fill.fee_base if sign > 0 else ZERO
    return Leg(
        sign, fill.last_quantity - held_back, fill.base_quantity - held_back, fill.last_price, fill.fee, fill.penalty
    )


def split(leg: Leg, position: Position | None) -> tuple[Leg | None, Leg | None]:
    """Return the closing and the opening part of a leg; the fee pro rata, closing share rounded, opening the rest."""
    if position is None or position.sign == leg.sign:
        return None, leg
    held = abs(position.quantity)
    if leg.quantity <= held:
        return leg, None
    fee = money(leg.fee * held / leg.quantity)
    base = abs(position.base_quantity)
    closing = replace(leg, quantity=held, base=base, fee=fee)
    opening = replace(leg, quantity=leg.quantity - held, base=leg.base - base, fee=leg.fee - fee, penalty=ZERO)
    return closing, opening


def increase(position: Position, leg: Leg, *, margin_leverage: int) -> Position:
    """Return the position after more of it was entered: ``cost += quantity * price``.

    Isolated margin grows by the notional at entry over ``margin_leverage``.
    """
    value = money(leg.base * leg.price)
    isolated = position.margin_mode is MarginMode.ISOLATED
    return replace(
        position,
        quantity=position.quantity + leg.sign * leg.quantity,
        base_quantity=position.base_quantity + leg.sign * leg.base,
        cost=position.cost + value,
        margin=position.margin + (money(value / margin_leverage) if isolated else ZERO),
        entered_quantity=position.entered_quantity + leg.quantity,
        entered_base=position.entered_base + leg.base,
        entry_value=position.entry_value + value,
        fees=position.fees + leg.fee,
    )


def released(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the share of ``amount`` that ``part`` of ``whole`` takes with it, rounded; all of it for the whole."""
    return amount if part == whole else money(amount * part / whole)


def reduce(position: Position, leg: Leg) -> Position:
    """Return the position after a part of it, or all, was closed: ``realized += s * (c * price - released cost)``."""
    held = abs(position.base_quantity)
    if leg.base > held:
        raise LedgerError(f"trade {position.trade_id}: {leg.base} base leave a position of {held}")
    cost = released(position.cost, leg.base, held)
    value = money(leg.base * leg.price)
    return replace(
        position,
        quantity=position.quantity + leg.sign * leg.quantity,
        base_quantity=position.base_quantity + leg.sign * leg.base,
        cost=position.cost - cost,
        margin=position.margin - released(position.margin, leg.base, held),
        exited_base=position.exited_base + leg.base,
        exit_value=position.exit_value + value,
        realized=position.realized + position.sign * (value - cost),
        fees=position.fees + leg.fee,
        penalty=position.penalty + leg.penalty,
    )


def cash_of(position: Position) -> Decimal:
    """Return the cash a position and its trade have moved so far: its net, less what a spot holding has cost."""
    return position.net - (position.cost if position.spot else ZERO)


def book(position: Position | None, fill: FillBooked, *, now: int, min_quantity: Decimal) -> Booking:
    """Book one fill on what is held of its instrument. Cash moves by exactly what the position moves by.

    A spot remainder below ``min_quantity`` is dust: the trade closes with it still in ``quantity`` and ``cost``.
    Raises LedgerError for a spot sale of more than is held: there is nothing to sell short.
    """
    if fill.last_quantity <= 0 or fill.base_quantity <= 0:
        raise LedgerError(f"fill {fill.fill_id}: quantity {fill.last_quantity} is not positive")
    closing, opening = split(leg_of(fill), position)
    cash = ZERO if position is None else -cash_of(position)
    closed, held = None, position
    if closing is not None and held is not None:
        held = reduce(held, closing)
        cash += cash_of(held)
        if is_flat(held, min_quantity):
            closed, held = held, None
    if opening is not None:
        if fill.margin_mode is MarginMode.CASH and opening.sign < 0:
            raise LedgerError(f"fill {fill.fill_id}: spot sale of {opening.base} more than is held")
        before = held if held is not None else _opened(fill, opening, now)
        held = increase(before, opening, margin_leverage=fill.margin_leverage)
        cash += cash_of(held)
    return Booking(cash, closed, held, closing, opening)


def is_flat(position: Position, min_quantity: Decimal) -> bool:
    """Say whether nothing tradable is left."""
    return position.quantity == 0 or (position.spot and abs(position.quantity) < min_quantity)


def pay_funding(position: Position, payment: Decimal) -> Position:
    """Return the position after funding (positive = received): isolated margin carries it."""
    margin = position.margin + payment if position.margin_mode is MarginMode.ISOLATED else position.margin
    return replace(position, funding=position.funding + payment, margin=margin)


def funding_payment(
    *, sign: int, contracts: Decimal, contract_value: Decimal, mark_price: Decimal, funding_rate: Decimal
) -> Decimal:
    """Return the funding of a position, positive = received: ``-s * |contracts| * contract value * mark * rate``."""
    return money(-sign * abs(contracts) * contract_value * mark_price * funding_rate)


def _opened(fill: FillBooked, leg: Leg, now: int) -> Position:
    return Position(
        trade_id=derive_id(fill.fill_id, "trade"),
        plan_id=fill.plan_id,
        side=PositionSide.LONG if leg.sign > 0 else PositionSide.SHORT,
        margin_mode=fill.margin_mode,
        ts_opened=now,
    )
