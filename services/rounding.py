"""Numbers as people read them. What is recorded, and what machines are told, is never rounded."""

from __future__ import annotations

import re
from decimal import Decimal

from schemas.values import plain

PLACES = Decimal("0.0001")
SMALL = Decimal("0.1")
DIGITS = 6
"""Significant digits of a number below a tenth: prices of small coins begin with zeros."""
_LONG = re.compile(r"(?<![\w.])-?\d+\.\d{5,}(?![\w.])")


def brief(value: Decimal) -> str:
    """Write a number with at most four places, one below a tenth with six digits that count, without trailing zeros."""
    if value == 0 or abs(value) >= SMALL:
        return plain(value.quantize(PLACES))
    return plain(value.quantize(Decimal(1).scaleb(value.adjusted() - DIGITS + 1)))


def brief_text(text: str) -> str:
    """Return a text of ours with every longer number in it made brief."""
    return _LONG.sub(lambda found: brief(Decimal(found[0])), text)
