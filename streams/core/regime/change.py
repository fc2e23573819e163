"""Change points of volatility: a two-sided CUSUM over standardised squared returns.

Each bar adds ``z - K`` (up) and ``-z - K`` (down) to two sums kept at or above 0; one of them above H is a change point
and sets both back to 0. ``z`` is the squared return against mean and deviation of those before it; the deviation counts
as at least the mean, because squared returns of a live market spread wider than that and only made-up ones do not.
Only + - * / and the square root: the same on every CPU. Source: domain definitions, section 9; Page, 1954.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

K = 0.5
H = 8.0
WINDOW = 672
"""Squared returns a new one is measured against: seven days of 15m bars."""
WINDOW_MIN = 168
NOTHING = 1e-16
"""A deviation of squared returns below this is none: the square of a move of 1e-8."""
LONG_AGO = 1_000_000


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched of one instrument. ``close``: 0 before the first bar. ``since``: bars since the change point.

    total, total_squares: running sums of ``squares`` and of their squares; rounding leaves less than NOTHING behind.
    """

    close: float = 0.0
    squares: tuple[float, ...] = ()
    total: float = 0.0
    total_squares: float = 0.0
    up: float = 0.0
    down: float = 0.0
    since: int = LONG_AGO


def observe(watch: Watch, close: float) -> Watch:
    """Return the watch with one more close."""
    if watch.close <= 0.0:
        return replace(watch, close=close)
    change = close / watch.close - 1.0
    square = change * change
    up, down = _sums(watch, square)
    changed = up > H or down > H
    gone = watch.squares[0] if len(watch.squares) == WINDOW else 0.0
    return Watch(
        close=close,
        squares=(*watch.squares[-(WINDOW - 1) :], square),
        total=watch.total + square - gone,
        total_squares=watch.total_squares + square * square - gone * gone,
        up=0.0 if changed else up,
        down=0.0 if changed else down,
        since=0 if changed else min(watch.since + 1, LONG_AGO),
    )


def _sums(watch: Watch, square: float) -> tuple[float, float]:
    count = len(watch.squares)
    if count < WINDOW_MIN:
        return 0.0, 0.0
    mean = watch.total / count
    deviation = max(sqrt(max(watch.total_squares / count - mean * mean, 0.0)), mean)
    z = (square - mean) / deviation if deviation > NOTHING else 0.0
    return max(0.0, watch.up + z - K), max(0.0, watch.down - z - K)
