"""Decimal text as the venue writes it: no exponent, no trailing zeros; an absent number is an empty string."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_UP, Decimal, InvalidOperation

ZERO = Decimal(0)


def text(value: Decimal | None) -> str:
    """Write a number as the venue does; None as ""."""
    if value is None:
        return ""
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in {"-0", ""} else plain


def short(value: Decimal | None) -> str:
    """Write a quotient with ten decimals at most."""
    return text(value if value is None else value.quantize(Decimal("1e-10")))


def parse(raw: object) -> Decimal | None:
    """Read a number the client sent; None if it is absent, empty or no finite number."""
    try:
        value = Decimal(str(raw))
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Is the value a whole number of steps?"""
    return value % step == 0


def round_to(value: Decimal, step: Decimal, *, up: bool = False) -> Decimal:
    """Round a positive value to a whole number of steps, down unless told."""
    return (value / step).to_integral_value(rounding=ROUND_UP if up else ROUND_DOWN) * step
