"""Worst and best price of a trade (MAE, MFE), from ticks and, pessimistically, from bars.

Source: Sweeney; domain definitions, section 7: the entry bar counts adverse in full and favourable only for a market
entry at its open; the exit bar counts adverse in full, or up to the fill if that was the stop, and favourable only up
to the exit price.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.account import Excursion
from schemas.values import Price, percent, price, ratio
from streams.core.account.state import ZERO, Bar, Track


def see_price(track: Track, last_price: Decimal) -> None:
    """Count a trade print."""
    _widen(track, last_price, last_price)


def see_mark(track: Track, mark_price: Decimal) -> None:
    """Count a mark."""
    if track.mark_low is None or mark_price < track.mark_low:
        track.mark_low = mark_price
    if track.mark_high is None or mark_price > track.mark_high:
        track.mark_high = mark_price


def see_bar(track: Track, bar: Bar, sign: int, *, favourable: bool = True) -> None:
    """Keep a bar until it is known whether the trade ended in it; the one kept before now counts in full."""
    settle_bar(track, sign)
    track.pending_ts, track.pending_favourable = bar.ts, favourable
    track.pending_low, track.pending_high = bar.low_price, bar.high_price


def settle_bar(track: Track, sign: int) -> None:
    """Count the kept bar: adverse in full, favourable unless it came with a resting entry."""
    if track.pending_ts < 0:
        return
    _count(track, sign, adverse=True)
    if track.pending_favourable:
        _count(track, sign, adverse=False)
    track.pending_ts = -1


def see_exit(track: Track, fill_price: Decimal, sign: int, *, ts: int, final: bool, stopped: bool) -> None:
    """Count an exit fill: the best of its bar only up to the fill, the worst in full unless the stop ended it there."""
    if track.pending_ts != ts:
        settle_bar(track, sign)
        return
    best = track.pending_high if sign > 0 else track.pending_low
    if track.pending_favourable:
        reached = min(best, fill_price) if sign > 0 else max(best, fill_price)
        _widen(track, reached, reached)
    if final:
        worst = track.pending_low if sign > 0 else track.pending_high
        if stopped:
            worst = max(worst, fill_price) if sign > 0 else min(worst, fill_price)
        _widen(track, worst, worst)
        track.pending_ts = -1


def excursion(
    low: Decimal | None, high: Decimal | None, *, sign: int, avg_entry: Decimal, first_stop: Decimal | None
) -> Excursion | None:
    """Return MAE and MFE of a trade whose prices stayed in ``low..high``; None if no price was seen."""
    if low is None or high is None:
        return None
    mae = price(max(ZERO, sign * (avg_entry - (low if sign > 0 else high))))
    mfe = price(max(ZERO, sign * ((high if sign > 0 else low) - avg_entry)))
    risk = None if first_stop is None else abs(avg_entry - first_stop)
    return Excursion(
        mae=Price(mae),
        mae_pct=percent(mae / avg_entry * 100),
        mae_r=ratio(mae / risk) if risk else None,
        mfe=Price(mfe),
        mfe_pct=percent(mfe / avg_entry * 100),
        mfe_r=ratio(mfe / risk) if risk else None,
    )


def _count(track: Track, sign: int, *, adverse: bool) -> None:
    seen = track.pending_low if adverse == (sign > 0) else track.pending_high
    _widen(track, seen, seen)


def _widen(track: Track, low: Decimal, high: Decimal) -> None:
    if track.low is None or low < track.low:
        track.low = low
    if track.high is None or high > track.high:
        track.high = high
