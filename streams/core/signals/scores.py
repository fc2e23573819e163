"""The three strategies' views of one bar's features: pure functions, score in [-1, 1], positive = up.

A score of 0.5 and more is meant as a set-up, 0.2 and less as none; the planner decides what to do with it. Only + - * /
and comparisons, rounded to 6 decimals. The constants are round numbers chosen by hand, not fitted to any data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Strategy:
    """One strategy: the features it needs, how many bars ahead its view reaches, and its score with a short reason."""

    needs: tuple[str, ...]
    horizon_bars: int
    score: Callable[[Mapping[str, float]], tuple[float, str]]


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 at ``low`` and below, 1 at ``high`` and above, straight in between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def trend(features: Mapping[str, float]) -> tuple[float, str]:
    """Score going with the trend: the EMA 12/26 spread in ATR, scaled by ADX 15..30; 0 on the wrong side of EMA 50."""
    atr = features["atr_14"]
    spread = (features["ema_12"] - features["ema_26"]) / atr if atr > 0.0 else 0.0
    adx = features["adx_14"]
    beyond = features["close"] - features["ema_50"]
    reason = f"ema_12-ema_26={spread:.2f} atr_14, adx_14={adx:.1f}, close-ema_50={beyond:.6g}"
    if spread * beyond <= 0.0:
        return 0.0, reason
    return _signed(ramp(abs(spread), 0.0, 1.0) * ramp(adx, 15.0, 30.0), spread), reason


def mean_reversion(features: Mapping[str, float]) -> tuple[float, str]:
    """Score going back to the mean: 1 to 2.25 deviations off the Bollinger middle, together with RSI 5 to 25 off 50."""
    half_band = features["bb_up"] - features["bb_mid"]
    off = 2.0 * (features["close"] - features["bb_mid"]) / half_band if half_band > 0.0 else 0.0
    lean = features["rsi_14"] - 50.0
    reason = f"close {off:.2f} deviations off bb_mid, rsi_14={features['rsi_14']:.1f}"
    if off * lean <= 0.0:
        return 0.0, reason
    return _signed(0.5 * ramp(abs(off), 1.0, 2.25) + 0.5 * ramp(abs(lean), 5.0, 25.0), -off), reason


def breakout(features: Mapping[str, float]) -> tuple[float, str]:
    """Score a close beyond the 20 bars before it: 0.5, up to 1 at one ATR beyond; half on volume below its mean."""
    close, atr = features["close"], features["atr_14"]
    above = close - features["donchian_prior_high_20"]
    below = features["donchian_prior_low_20"] - close
    beyond = max(above, below)
    volume_z = features["volume_z_20"]
    excess = beyond / atr if atr > 0.0 else 0.0
    reason = f"{excess:.2f} atr_14 beyond the prior 20 bars, volume_z_20={volume_z:.2f}"
    if beyond <= 0.0:
        return 0.0, reason
    size = 0.5 + 0.5 * ramp(excess, 0.0, 1.0)
    return _signed(size if volume_z >= 0.0 else 0.5 * size, above - below), reason


def _signed(size: float, direction: float) -> float:
    """Give a size its direction; adding 0.0 makes a negative zero an ordinary one."""
    return round(size if direction > 0.0 else -size, DECIMALS) + 0.0


STRATEGIES: dict[str, Strategy] = {
    "trend": Strategy(("close", "ema_12", "ema_26", "ema_50", "atr_14", "adx_14"), 16, trend),
    "mean_reversion": Strategy(("close", "bb_up", "bb_mid", "rsi_14"), 8, mean_reversion),
    "breakout": Strategy(
        ("close", "donchian_prior_high_20", "donchian_prior_low_20", "atr_14", "volume_z_20"), 12, breakout
    ),
}
"""Every strategy by the name settings know it by."""
