"""Indicators of one series of closed bars, one bar at a time, in plain floats and fixed order.

Conventions are TA-Lib's (seeds included), so that a chart elsewhere shows the same numbers; checked at 1e-9 against
TA-Lib 0.8.1 on recorded bars. Only + - * /, the correctly rounded square root and ``fsum`` are used (not ``sum``, whose
last bit changed in Python 3.12): the same on every CPU and version. Each value of ``Series`` follows from the previous
one and the new bar; nothing here changes its arguments.

Sources: Wilder, New Concepts in Technical Trading Systems, 1978 (RSI, ATR, ADX); Bollinger (bands with the population
deviation); Donchian; TA-Lib C sources for the seeding; domain definitions section 9 for ``rv_16``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, sqrt

EMA_PERIODS = (12, 26, 50)
WILDER = 14
BAND = 20
BAND_DEVIATIONS = 2.0
CHANNEL = 20
VOLUME_WINDOW = 20
VOL_WINDOW = 16
"""Returns in one realised volatility."""
RANK_WINDOW = 672
"""Realised volatilities a new one is ranked against: seven days of 15m bars."""
RANK_MIN = 168
"""Fewest of them for a rank."""

WARM_UP: dict[str, int] = {
    "close": 1,
    "ema_12": 12,
    "ema_26": 26,
    "ema_50": 50,
    "rsi_14": WILDER + 1,
    "atr_14": WILDER + 1,
    "plus_di_14": WILDER + 1,
    "minus_di_14": WILDER + 1,
    "adx_14": 2 * WILDER,
    "bb_up": BAND,
    "bb_mid": BAND,
    "bb_lo": BAND,
    "donchian_high_20": CHANNEL,
    "donchian_low_20": CHANNEL,
    "donchian_prior_high_20": CHANNEL + 1,
    "donchian_prior_low_20": CHANNEL + 1,
    "rv_16": VOL_WINDOW + 1,
    "rv_rank": VOL_WINDOW + 1 + RANK_MIN,
    "volume_z_20": VOLUME_WINDOW,
}
"""Every feature with the number of closed bars it needs.

ema_N: exponential mean of closes, seeded with their simple mean. rsi_14, adx_14, plus_di_14, minus_di_14: 0..100.
atr_14: in price. bb_*: mean of 20 closes +- 2 population deviations. donchian_*: highest high, lowest low of the last
20 bars; ``prior``: of the 20 before this one. rv_16: root mean square of the last 16 simple returns, at least 1e-8.
rv_rank: share of the last 672 realised volatilities below this one, ties counted half, 0..1. volume_z_20: deviations
of this bar's volume from the mean of the last 20, itself included; 0 if they are all equal.
"""


@dataclass(frozen=True, slots=True)
class FloatBar:
    """One closed bar as floats."""

    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Series:
    """What the next values follow from. ``count``: bars so far. A mean not seeded yet holds the running sum.

    plus_dm, minus_dm, true_range: Wilder's smoothed sums. dx_sum: of the first 14 DX. Windows: oldest first.
    """

    count: int = 0
    high: float = 0.0
    low: float = 0.0
    close: float = 0.0
    emas: tuple[float, ...] = (0.0,) * len(EMA_PERIODS)
    gain: float = 0.0
    loss: float = 0.0
    atr: float = 0.0
    plus_dm: float = 0.0
    minus_dm: float = 0.0
    true_range: float = 0.0
    dx_sum: float = 0.0
    adx: float = 0.0
    closes: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    lows: tuple[float, ...] = ()
    volumes: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()
    rvs: tuple[float, ...] = ()


def advance(series: Series, bar: FloatBar) -> Series:
    """Return the series with one more bar."""
    count = series.count + 1
    gain, loss, atr = _strength(series, bar)
    plus_dm, minus_dm, true_range, dx_sum, adx = _direction(series, bar)
    squares, rvs = _volatility(series, bar)
    return Series(
        count=count,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        emas=tuple([_ema(value, bar.close, count, size) for value, size in zip(series.emas, EMA_PERIODS, strict=True)]),
        gain=gain,
        loss=loss,
        atr=atr,
        plus_dm=plus_dm,
        minus_dm=minus_dm,
        true_range=true_range,
        dx_sum=dx_sum,
        adx=adx,
        closes=_push(series.closes, bar.close, BAND),
        highs=_push(series.highs, bar.high, CHANNEL + 1),
        lows=_push(series.lows, bar.low, CHANNEL + 1),
        volumes=_push(series.volumes, bar.volume, VOLUME_WINDOW),
        squares=squares,
        rvs=rvs,
    )


def features(series: Series) -> dict[str, float]:
    """Return every feature that has finished its warm-up, in the order of WARM_UP."""
    values = {
        "close": series.close,
        **{f"ema_{period}": value for period, value in zip(EMA_PERIODS, series.emas, strict=True)},
        "rsi_14": _share(series.gain, series.gain + series.loss),
        "atr_14": series.atr,
        "plus_di_14": _share(series.plus_dm, series.true_range),
        "minus_di_14": _share(series.minus_dm, series.true_range),
        "adx_14": series.adx,
        **_windows(series),
        "rv_16": series.rvs[-1] if series.rvs else 0.0,
        "rv_rank": _rank(series.rvs),
    }
    return {name: values[name] for name, needed in WARM_UP.items() if series.count >= needed}


def warming_up(series: Series) -> tuple[str, ...]:
    """Return the features that still lack bars."""
    return tuple(name for name, needed in WARM_UP.items() if series.count < needed)


def _push(window: tuple[float, ...], value: float, size: int) -> tuple[float, ...]:
    return (*window[-(size - 1) :], value)


def _ema(value: float, close: float, count: int, period: int) -> float:
    if count < period:
        return value + close
    if count == period:
        return (value + close) / period
    return (close - value) * (2.0 / (period + 1)) + value


def _wilder_mean(value: float, new: float, count: int) -> float:
    """Sum until 14 values are in (``count`` of them), then their mean, then Wilder's smoothing of it."""
    if count < WILDER:
        return value + new
    if count == WILDER:
        return (value + new) / WILDER
    return (value * (WILDER - 1) + new) / WILDER


def _wilder_sum(value: float, new: float, count: int) -> float:
    """Sum of 13 values, then each step loses a 14th of itself and gains the new one (TA-Lib's seeding of DI)."""
    if count < WILDER:
        return value + new
    return value - value / WILDER + new


def _strength(before: Series, bar: FloatBar) -> tuple[float, float, float]:
    """Return the smoothed gain and loss of the RSI, and the ATR."""
    changes = before.count
    if not changes:
        return 0.0, 0.0, 0.0
    change = bar.close - before.close
    return (
        _wilder_mean(before.gain, max(change, 0.0), changes),
        _wilder_mean(before.loss, max(-change, 0.0), changes),
        _wilder_mean(before.atr, _true_range(before, bar), changes),
    )


def _true_range(before: Series, bar: FloatBar) -> float:
    return max(bar.high - bar.low, abs(bar.high - before.close), abs(bar.low - before.close))


def _direction(before: Series, bar: FloatBar) -> tuple[float, float, float, float, float]:
    """Return the smoothed +DM, -DM and true range, the sum of the first 14 DX, and the ADX."""
    changes = before.count
    if not changes:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    up, down = bar.high - before.high, before.low - bar.low
    plus_dm = _wilder_sum(before.plus_dm, up if up > 0.0 and up > down else 0.0, changes)
    minus_dm = _wilder_sum(before.minus_dm, down if down > 0.0 and down > up else 0.0, changes)
    true_range = _wilder_sum(before.true_range, _true_range(before, bar), changes)
    dx_sum, adx = before.dx_sum, before.adx
    if changes >= WILDER:
        dx_sum, adx = _average_direction(before, _share(plus_dm, true_range), _share(minus_dm, true_range))
    return plus_dm, minus_dm, true_range, dx_sum, adx


def _average_direction(before: Series, plus: float, minus: float) -> tuple[float, float]:
    """Return the sum of the first 14 DX, and the ADX."""
    dx = _share(abs(minus - plus), minus + plus)
    if before.count < 2 * WILDER:
        dx_sum = before.dx_sum + dx
        return dx_sum, dx_sum / WILDER
    return before.dx_sum, (before.adx * (WILDER - 1) + dx) / WILDER


def _volatility(before: Series, bar: FloatBar) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the last squared returns, and the realised volatilities to rank among."""
    if not before.count:
        return (), ()
    change = bar.close / before.close - 1.0
    squares = _push(before.squares, change * change, VOL_WINDOW)
    if len(squares) < VOL_WINDOW:
        return squares, ()
    return squares, _push(before.rvs, max(sqrt(fsum(squares) / VOL_WINDOW), 1e-8), RANK_WINDOW + 1)


def _rank(rvs: tuple[float, ...]) -> float:
    """Return the share of the earlier values below the last one, ties counted half."""
    if len(rvs) <= RANK_MIN:
        return 0.5
    value = rvs[-1]
    below = sum(map(value.__gt__, rvs))
    equal = rvs.count(value) - 1
    return (below + 0.5 * equal) / (len(rvs) - 1)


def _windows(series: Series) -> dict[str, float]:
    mean, deviation = _moments(series.closes)
    volume_mean, volume_deviation = _moments(series.volumes)
    surprise = series.volumes[-1] - volume_mean
    return {
        "bb_up": mean + BAND_DEVIATIONS * deviation,
        "bb_mid": mean,
        "bb_lo": mean - BAND_DEVIATIONS * deviation,
        "donchian_high_20": max(series.highs[-CHANNEL:]),
        "donchian_low_20": min(series.lows[-CHANNEL:]),
        "donchian_prior_high_20": max(series.highs[:-1], default=0.0),
        "donchian_prior_low_20": min(series.lows[:-1], default=0.0),
        "volume_z_20": surprise / volume_deviation if volume_deviation else 0.0,
    }


def _moments(window: tuple[float, ...]) -> tuple[float, float]:
    """Return mean and population deviation; exactly 0 for equal values."""
    if min(window) == max(window):
        return window[0], 0.0
    mean = fsum(window) / len(window)
    return mean, sqrt(fsum((value - mean) * (value - mean) for value in window) / len(window))


def _share(part: float, whole: float) -> float:
    """Return ``part`` in percent of ``whole``; 0 of nothing is 0."""
    return 100.0 * (part / whole) if whole != 0.0 else 0.0
