"""Bar timeframes by name: the closed list Tapeline works with, and their length."""

from __future__ import annotations

from typing import Final

from schemas.values import SECOND

TIMEFRAMES: Final[dict[str, int]] = {
    "1m": 60 * SECOND,
    "5m": 300 * SECOND,
    "15m": 900 * SECOND,
    "1h": 3600 * SECOND,
    "4h": 14400 * SECOND,
}
"""Length in microseconds by name, short before long. Bars of each open at multiples of it, counted from 1970 UTC."""
