"""Read numbers and moments from recorded text exactly, or say why not."""

from __future__ import annotations

import re
from decimal import Decimal

from schemas.values import SCALES
from services.feeds.model import BadLine

MINUTE = 60_000_000
"""Microseconds in a minute."""

_UNITS = {"s": 1_000_000, "m": MINUTE, "h": 60 * MINUTE, "d": 1440 * MINUTE, "w": 10080 * MINUTE}
_INTERVAL = re.compile(r"(\d{1,4})([smhdw])", re.ASCII)
_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_LIMIT = Decimal(10) ** 20
_STEP = {unit: Decimal(1).scaleb(-scale) for unit, scale in SCALES.items()}


def interval_us(text: str) -> int:
    """Return the length of an interval such as ``1m``, ``8h`` or OKX's ``1H``, in microseconds. Raises BadLine."""
    match = _INTERVAL.fullmatch(text.lower() if text[-1:] in "HDW" else text)
    if match is None or int(match[1]) == 0:
        raise BadLine(f"interval {text!r}: expected a number and one of s, m, h, d, w")
    return int(match[1]) * _UNITS[match[2]]


def number(text: str, name: str, unit: str) -> Decimal:
    """Return the decimal a text holds, if the wire scale of ``unit`` can hold it exactly. Raises BadLine naming it."""
    try:
        value = Decimal(text)
    except ArithmeticError as error:
        raise BadLine(f"{name}={text[:40]!r} is not a number") from error
    if not value.is_finite() or not -_LIMIT < value < _LIMIT:
        raise BadLine(f"{name}={text[:40]!r} is out of range")
    if value != value.quantize(_STEP[unit]):
        raise BadLine(f"{name}={text[:40]!r} has more than {SCALES[unit]} decimal places")
    return value


def positive(text: str, name: str, unit: str) -> Decimal:
    """Return a decimal above zero. Raises BadLine naming it."""
    value = number(text, name, unit)
    if value <= 0:
        raise BadLine(f"{name}={text!r} is not above zero")
    return value


def whole(text: str, name: str) -> int:
    """Return the whole number a text holds. Raises BadLine naming it."""
    if _WHOLE.fullmatch(text) is None:
        raise BadLine(f"{name}={text[:40]!r} is not a whole number")
    return int(text)


def milliseconds(text: str, name: str) -> int:
    """Return a moment in microseconds from epoch milliseconds. Raises BadLine outside 2001..2286."""
    value = whole(text, name)
    if not 10**12 <= value < 10**13:
        raise BadLine(f"{name}={text!r} is not a time in epoch milliseconds")
    return value * 1000


def microseconds(text: str, name: str) -> int:
    """Return a moment in microseconds from epoch seconds, milliseconds, microseconds or nanoseconds, told by length."""
    value = whole(text, name)
    for low, up, down in ((9, 10**6, 1), (12, 10**3, 1), (15, 1, 1), (18, 1, 10**3)):
        if 10**low <= value < 10 ** (low + 1):
            return value * up // down
    raise BadLine(f"{name}={text!r} is not a time")
