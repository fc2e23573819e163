"""Units of measure for every decimal that crosses a boundary, and how each is rounded.

Each unit is a distinct type to mypy and a plain ``Decimal`` at run time (ADR 0003): a ``Price`` cannot be passed where
a ``Quantity`` is expected, and the tick path pays nothing for it. The Avro scale of each unit is fixed here.

Source: domain definitions, section 1 (units, rounding): money 1e-8, price and quantity 1e-12, rates 1e-18.
"""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Decimal,
    DefaultContext,
    FloatOperation,
    getcontext,
    setcontext,
)
from typing import NewType

Money = NewType("Money", Decimal)
"""An amount in the quote currency of the account (USDT), scale 8."""
Price = NewType("Price", Decimal)
"""Quote currency per unit of base currency, scale 12."""
Quantity = NewType("Quantity", Decimal)
"""An amount of an instrument (the field or its neighbour names the unit: BASE, CONTRACT or QUOTE), scale 12."""
Rate = NewType("Rate", Decimal)
"""A plain fraction (0.0005 = 5 bps), scale 18."""
Percent = NewType("Percent", Decimal)
"""Percent points (1 = 1 %), scale 12."""
Ratio = NewType("Ratio", Decimal)
"""A dimensionless number: R-multiples, leverage, a target's fraction; scale 8."""
Bps = NewType("Bps", Decimal)
"""Basis points (1 = 0.01 %), scale 8."""
Micros = NewType("Micros", int)
"""A moment: UTC microseconds since 1970-01-01."""

SCALES: dict[str, int] = {"Money": 8, "Price": 12, "Quantity": 12, "Rate": 18, "Percent": 12, "Ratio": 8, "Bps": 8}
"""Decimal places on the wire, by unit."""

PRECISION = 50
"""Significant digits of every decimal computation: a product of two wire decimals (12 + 12 places) stays exact."""

SECOND = 1_000_000
"""Microseconds in a second."""


def arm_decimal_context() -> None:
    """Make any float that meets a Decimal raise, in this thread and in every thread started later."""
    for context in (DefaultContext, getcontext()):
        context.traps[FloatOperation] = True
        context.prec = PRECISION
        context.rounding = ROUND_HALF_EVEN


arm_decimal_context()

_OURS = getcontext().copy()


def pin_decimal_context() -> None:
    """Put this thread's decimal context back to ours if anybody has changed it.

    ccxt does: formatting one number leaves the thread rounding half up. A step that computes in such a context gives
    other bytes than the same step elsewhere.
    """
    context = getcontext()
    if context.rounding != ROUND_HALF_EVEN or context.prec != PRECISION or context.traps != _OURS.traps:
        setcontext(_OURS.copy())


_STEP = {name: Decimal(1).scaleb(-scale) for name, scale in SCALES.items()}


def money(value: Decimal) -> Money:
    """Round to 1e-8, half to even: the one rounding of every posting."""
    return Money(value.quantize(_STEP["Money"], rounding=ROUND_HALF_EVEN))


def price(value: Decimal) -> Price:
    """Round to the wire scale of a price (1e-12); tick rounding is a separate, deliberate act."""
    return Price(value.quantize(_STEP["Price"], rounding=ROUND_HALF_EVEN))


def quantity(value: Decimal) -> Quantity:
    """Round to the wire scale of a quantity (1e-12); lot rounding is a separate, deliberate act."""
    return Quantity(value.quantize(_STEP["Quantity"], rounding=ROUND_HALF_EVEN))


def rate(value: Decimal) -> Rate:
    """Round to the wire scale of a rate (1e-18)."""
    return Rate(value.quantize(_STEP["Rate"], rounding=ROUND_HALF_EVEN))


def percent(value: Decimal) -> Percent:
    """Round to the wire scale of a percentage (1e-12 percent points)."""
    return Percent(value.quantize(_STEP["Percent"], rounding=ROUND_HALF_EVEN))


def ratio(value: Decimal) -> Ratio:
    """Round to the wire scale of a ratio (1e-8)."""
    return Ratio(value.quantize(_STEP["Ratio"], rounding=ROUND_HALF_EVEN))


def bps(value: Decimal) -> Bps:
    """Round to the wire scale of basis points (1e-8)."""
    return Bps(value.quantize(_STEP["Bps"], rounding=ROUND_HALF_EVEN))


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round toward minus infinity to a multiple of ``step`` (> 0)."""
    return (value / step).to_integral_value(rounding=ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round toward plus infinity to a multiple of ``step`` (> 0)."""
    return (value / step).to_integral_value(rounding=ROUND_CEILING) * step


def truncate_to(value: Decimal, step: Decimal) -> Decimal:
    """Round toward zero to a multiple of ``step`` (> 0): quantities to the lot."""
    return (value / step).to_integral_value(rounding=ROUND_DOWN) * step


def plain(value: Decimal) -> str:
    """Write a decimal without exponent and without trailing zeros: ``10.86``, not ``10.860000000000``."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text
