"""Floats become prices here and nowhere else, and prices meet the tick."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from schemas.events.common import PositionSide
from schemas.values import Price, ceil_to, floor_to
from schemas.values import price as to_wire

_STEP = Decimal("1e-8")


def to_decimal(value: float) -> Decimal:
    """Return a feature as an exact number: the float's own value, rounded once to 1e-8, half to even.

    The only crossing from float to Decimal of the planner (conventions, section 4). Raises on NaN and infinity.
    """
    return Decimal.from_float(value).quantize(_STEP, rounding=ROUND_HALF_EVEN)


def sign_of(side: PositionSide) -> int:
    """Return +1 for LONG, -1 for SHORT."""
    return 1 if side is PositionSide.LONG else -1


def passive(price: Decimal, tick: Decimal | None, *, buy: bool) -> Price:
    """Round an order price to the tick: a buy down, a sale up. Without a tick it stays as it is."""
    if tick is None:
        return to_wire(price)
    return Price(floor_to(price, tick) if buy else ceil_to(price, tick))


def tighter(price: Decimal, tick: Decimal | None, side: PositionSide) -> Price:
    """Round a stop trigger toward the entry: up for a LONG, down for a SHORT."""
    return passive(price, tick, buy=side is PositionSide.SHORT)
