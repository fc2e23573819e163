"""Where a stop may move: to break-even, or behind the market. It never loosens.

Source: domain definitions, section 6: on last (bars: the close), effective from the next bar.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from schemas.events.common import ExitReason
from schemas.values import SECOND, ceil_to, floor_to
from streams.core.execution.orders import OrderRecord
from streams.core.execution.state import ExecutionState, TradeRecord

AMEND_EVERY_US = SECOND
"""A stop follows at most this often: the venue counts messages (OKX: 60 in 2 s for an instrument)."""
_HUNDRED = Decimal(100)


class MovedStop(NamedTuple):
    """A tighter trigger and the exit reason it stands for."""

    trigger_price: Decimal
    reason: ExitReason


def better_stop(
    state: ExecutionState, trade: TradeRecord, stop: OrderRecord, last: Decimal, best: Decimal, now: int
) -> MovedStop | None:
    """Return a tighter stop, None when there is none now. ``best``: best last since entry."""
    current = stop.wanted_trigger
    if current is None or stop.cancel_requested or now - trade.ts_trailed < AMEND_EVERY_US:
        return None
    found: MovedStop | None = None
    for candidate in (_break_even(state, trade, best), _trail(state, trade, best)):
        # A trigger the market is already past would fire at once: it waits until last is beyond it.
        if candidate is None or (last - candidate.trigger_price) * trade.sign <= 0:
            continue
        if (candidate.trigger_price - current) * trade.sign > 0:
            found, current = candidate, candidate.trigger_price
    return found


def may_follow(trade: TradeRecord) -> bool:
    """Whether the trade's stop follows the market at all."""
    return trade.best_price is not None and (
        trade.stop.break_even_at_r is not None or trade.stop.trail_distance_pct is not None
    )


def _gain_in_r(trade: TradeRecord, best: Decimal) -> Decimal | None:
    """Return how far the market went in favour, in R = |avg_entry - first stop|; None when R is zero."""
    risk = abs(trade.avg_entry_price - trade.stop.trigger_price)
    return (best - trade.avg_entry_price) * trade.sign / risk if risk else None


def _break_even(state: ExecutionState, trade: TradeRecord, best: Decimal) -> MovedStop | None:
    gain = _gain_in_r(trade, best)
    if trade.stop.break_even_at_r is None or gain is None or gain < trade.stop.break_even_at_r:
        return None
    price = trade.avg_entry_price * (1 + trade.sign * state.fee_buffer_pct / _HUNDRED)
    return MovedStop(_tighter(state, trade, price), ExitReason.BREAK_EVEN)


def _trail(state: ExecutionState, trade: TradeRecord, best: Decimal) -> MovedStop | None:
    distance = trade.stop.trail_distance_pct
    if distance is None:
        return None
    gain = _gain_in_r(trade, best)
    if trade.stop.trail_from_r is not None and (gain is None or gain < trade.stop.trail_from_r):
        return None
    return MovedStop(_tighter(state, trade, best * (1 - trade.sign * distance / _HUNDRED)), ExitReason.TRAIL)


def _tighter(state: ExecutionState, trade: TradeRecord, price: Decimal) -> Decimal:
    """Round a trigger to the tick, to the tight side. Source: domain definitions, section 1."""
    tick = state.instruments[trade.instrument_id].tick_size
    return ceil_to(price, tick) if trade.sign > 0 else floor_to(price, tick)
