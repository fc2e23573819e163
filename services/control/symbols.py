"""What callers name things by: ``symbol=BTC-USDT&market_type=perp``, instrument ids, amounts."""

from __future__ import annotations

import re

_SYMBOL = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}")
AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,8})?")
"""An amount of money, as far as it may have to be written down."""
MARKET_TYPES = ("perp", "spot")


class SymbolError(ValueError):
    """A symbol or market type that names no instrument; ``field`` says which of the two."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def instrument_of(symbol: str, market_type: str) -> str:
    """Return the instrument id: perp means the swap, spot the pair itself. Raises SymbolError."""
    if not _SYMBOL.fullmatch(symbol):
        raise SymbolError("symbol", f"{symbol!r} must look like BTC-USDT; market_type says perp or spot")
    if market_type not in MARKET_TYPES:
        raise SymbolError("market_type", f"{market_type!r} must be one of {', '.join(MARKET_TYPES)}")
    return f"{symbol}-SWAP" if market_type == "perp" else symbol
