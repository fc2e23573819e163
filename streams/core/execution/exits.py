"""When the clock, the market's label or the quality of its data closes a trade that its own orders have not closed.

TIME: held for ``max_holding_s``. REGIME: the label turned against a trade of the rules or a model (LONG in TREND_DOWN,
SHORT in TREND_UP); an operator's trade is the operator's. QUALITY: the data has been BAD for ``quality_exit_s``.
All three wait while the trade is HALTED. Source: domain definitions, section 6 (exit reasons); ADR 17.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.events.common import ExitReason, PlanOrigin, PositionSide, Quality, Regime
from schemas.events.data import QualityChanged
from schemas.events.intelligence import RegimeClassified
from schemas.values import SECOND
from streams.core.execution.state import ExecutionState, TradeRecord

AGAINST = {PositionSide.LONG: Regime.TREND_DOWN, PositionSide.SHORT: Regime.TREND_UP}
"""The label that contradicts a trade of each side."""


def moments(state: ExecutionState, trade: TradeRecord) -> Iterator[tuple[int, ExitReason]]:
    """Yield when each reason closes the trade; nothing while it is HALTED or being closed already."""
    if trade.exiting is not None or state.is_halted(trade):
        return
    held = bool(trade.open_quantity) and trade.ts_first_fill is not None
    if trade.ts_turned is not None and (held or _is_working(trade)):
        yield trade.ts_turned, ExitReason.REGIME
    if not held or trade.ts_first_fill is None:
        return
    if trade.max_holding_s is not None:
        yield trade.ts_first_fill + trade.max_holding_s * SECOND, ExitReason.TIME
    ts_bad = state.bad_since.get(trade.instrument_id)
    if ts_bad is not None and state.quality_exit_s:
        yield ts_bad + state.quality_exit_s * SECOND, ExitReason.QUALITY


def reason_due(state: ExecutionState, trade: TradeRecord, now: int) -> ExitReason | None:
    """Return why the trade is to be closed now, the reason that came first; None: it is not."""
    due = min(((ts, reason) for ts, reason in moments(state, trade) if now >= ts), default=None)
    return None if due is None else due[1]


def take_regime(state: ExecutionState, event: RegimeClassified, now: int) -> list[TradeRecord]:
    """Note for each trade of the instrument whether the label turned against it; return those it concerns."""
    known = event.timeframe == state.regime_timeframe and event.regime is not event.previous and not event.backfill
    if not known or not state.regime_exit_enabled:
        return []
    trades = [state.trades[plan] for plan in state.active.get(event.instrument_id, ())]
    for trade in trades:
        against = trade.origin is not PlanOrigin.OPERATOR and event.regime is AGAINST[trade.position_side]
        trade.ts_turned = now if against else None
    return trades


def take_quality(state: ExecutionState, event: QualityChanged, now: int) -> list[TradeRecord]:
    """Note since when the instrument's data is BAD; return the trades it concerns."""
    if event.quality is Quality.BAD:
        state.bad_since.setdefault(event.instrument_id, now)
    else:
        state.bad_since.pop(event.instrument_id, None)
    return [state.trades[plan] for plan in state.active.get(event.instrument_id, ())]


def _is_working(trade: TradeRecord) -> bool:
    entry = trade.orders.get(trade.entry_id)
    return entry is not None and entry.live and not entry.cancel_requested
