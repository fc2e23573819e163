"""Checks on what is known and on what holds trading back: LIMIT_NOT_CONFIGURED to POSITION_COUNT_EXCEEDS_LIMIT."""

from __future__ import annotations

from schemas.events.common import PlanOrigin, PositionSide, Quality, TradingState
from schemas.events.market import InstrumentState
from schemas.events.risk import DenialCode as Code
from schemas.events.risk import StateCause, StateCauseKind
from schemas.values import SECOND
from streams.core.risk.breakers import binds, daily_loss_pct, describe, drawdown_pct, entries_last_hour
from streams.core.risk.checks import Finding, Rule, finding
from streams.core.risk.context import Context, the

_OWN_CODE = {
    StateCauseKind.RECONCILING,
    StateCauseKind.DRAWDOWN,
    StateCauseKind.DAILY_LOSS,
    StateCauseKind.LOSING_STREAK,
    StateCauseKind.STOP_GUARD,
    StateCauseKind.THROTTLE,
}
"""Causes with a denial code of their own; TRADING_HALTED and TRADING_REDUCING answer for the others."""


def _cause(context: Context, kind: StateCauseKind) -> StateCause | None:
    """Return the active cause of a kind that binds the plan's strategy and instrument."""
    plan = context.plan
    bound = (c for c in context.causes if c.kind is kind and binds(c, plan.strategy, plan.instrument_id))
    return next(bound, None)


def _until(cause: StateCause | None) -> int | str | None:
    return None if cause is None else (cause.until if cause.until is not None else "resume")


def _limit_not_configured(context: Context) -> Finding:
    missing = context.state.limits_missing if context.settings else ("all: no settings yet",)
    return finding(not missing, ", ".join(missing) or "none missing", "all in force")


def _input_missing(context: Context) -> Finding:
    return finding(not context.missing, ", ".join(context.missing) or "none missing", "all known")


def _input_stale(context: Context) -> Finding:
    return finding(not context.stale, ", ".join(context.stale) or "none stale", "inside their age limits")


def _not_reconciled(context: Context) -> Finding:
    found = context.state.differences
    ok = not found and _cause(context, StateCauseKind.RECONCILING) is None
    return finding(ok, "reconciled" if ok else "; ".join(found) or "not reconciled", "reconciled since start")


def _drawdown(context: Context) -> Finding:
    account, limit = the(context.account), the(context.settings).drawdown_halt_pct
    value = drawdown_pct(account)
    halt = _cause(context, StateCauseKind.DRAWDOWN)
    ok = value < limit and halt is None
    state = "released" if halt is None else "latched"
    return finding(ok, value, limit, peak=account.peak, equity=account.equity, halt=state)


def _daily_loss(context: Context) -> Finding:
    account, limit = the(context.account), the(context.settings).daily_loss_pct_max
    value, pause = daily_loss_pct(account, context.now), _cause(context, StateCauseKind.DAILY_LOSS)
    ok = value < limit and pause is None
    return finding(ok, value, limit, day_start=account.day_start, equity=account.equity, until=_until(pause))


def _losing_streak(context: Context) -> Finding:
    pause = _cause(context, StateCauseKind.LOSING_STREAK)
    streak = context.state.streaks.get(context.plan.strategy, 0)
    limit = the(context.settings).losing_streak_max
    return finding(pause is None, streak, limit, strategy=context.plan.strategy, until=_until(pause), now=context.now)


def _stop_guard(context: Context) -> Finding:
    settings, pause = the(context.settings), _cause(context, StateCauseKind.STOP_GUARD)
    window = settings.stop_guard_window_s * SECOND
    times = context.state.stop_exits.get(context.plan.instrument_id, ())
    stops = sum(context.now - ts < window for ts in times)
    limit = settings.stop_guard_n
    return finding(pause is None, stops, limit, window_s=settings.stop_guard_window_s, until=_until(pause))


def _throttled(context: Context) -> Finding:
    limit = the(context.settings).entries_per_hour_max
    value, latch = entries_last_hour(context.state, context.now), _cause(context, StateCauseKind.THROTTLE)
    ok = value < limit and latch is None
    return finding(ok, value, limit, latched="yes" if latch else "no")


def _others(context: Context, severity: TradingState) -> Finding:
    plan = context.plan
    found = [
        cause
        for cause in context.causes
        if cause.state is severity and cause.kind not in _OWN_CODE and binds(cause, plan.strategy, plan.instrument_id)
    ]
    listed = ", ".join(describe(cause) for cause in found)
    return finding(not found, listed or "no cause", f"not {severity.value}")


def _halted(context: Context) -> Finding:
    return _others(context, TradingState.HALTED)


def _reducing(context: Context) -> Finding:
    """A plan always raises exposure: entries in the opposite direction of a position are denied by POSITION_OPEN."""
    return _others(context, TradingState.REDUCING)


def _not_allowed(context: Context) -> Finding:
    allowed = the(context.settings).instruments_allowed
    instrument_id = context.plan.instrument_id
    return finding(instrument_id in allowed, instrument_id, ", ".join(allowed))


def _not_tradable(context: Context) -> Finding:
    state = the(context.instrument).state
    return finding(state is InstrumentState.LIVE, state.value, InstrumentState.LIVE.value)


def _short_not_available(context: Context) -> Finding:
    short = context.plan.position_side is PositionSide.SHORT
    return finding(not (short and context.spot), context.plan.position_side.value, the(context.instrument).kind.value)


def _quality_bad(context: Context) -> Finding:
    quality = the(context.market).quality
    return finding(quality is not Quality.BAD, quality.value, "not BAD")


def _uncertainty(context: Context) -> Finding:
    limit, value = the(context.settings).uncertainty_max, context.uncertainty
    binding = context.plan.origin is not PlanOrigin.OPERATOR
    regime = context.market.regime.value if context.market else "UNKNOWN"
    return finding(value < limit if binding else None, value, limit, regime=regime, origin=context.plan.origin.value)


def _expired(context: Context) -> Finding:
    until = context.plan.ts_valid_until
    return finding(context.now < until, context.now, until)


def _duplicate(context: Context) -> Finding:
    plan, window = context.plan, the(context.settings).duplicate_window_s
    same = [
        old
        for old in context.state.recent
        if (old.instrument_id, old.position_side, old.entry) == (plan.instrument_id, plan.position_side, plan.entry)
    ]
    if not same:
        return finding(True, None, window, plan_id="none")
    age = context.now - same[-1].ts
    return finding(age >= window * SECOND, age // SECOND, window, plan_id=same[-1].plan_id)


def _position_open(context: Context) -> Finding:
    instrument_id, state = context.plan.instrument_id, context.state
    held = state.positions.get(instrument_id)
    working = [entry for entry in state.reservations.values() if entry.instrument_id == instrument_id]
    quantity = held.quantity if held else 0
    return finding(held is None and not working, len(working) + (held is not None), 0, position=quantity)


def _position_count(context: Context) -> Finding:
    limit, value = the(context.settings).positions_max, the(context.book).count + 1
    return finding(value <= limit, value, limit)


STATE_RULES: tuple[Rule, ...] = (
    Rule(Code.LIMIT_NOT_CONFIGURED, (), _limit_not_configured),
    Rule(Code.INPUT_MISSING, (), _input_missing),
    Rule(Code.INPUT_STALE, (), _input_stale),
    Rule(Code.NOT_RECONCILED, (), _not_reconciled),
    Rule(Code.DRAWDOWN_EXCEEDS_LIMIT, ("settings", "account"), _drawdown),
    Rule(Code.DAILY_LOSS_EXCEEDS_LIMIT, ("settings", "account"), _daily_loss),
    Rule(Code.LOSING_STREAK_COOLDOWN, ("settings",), _losing_streak),
    Rule(Code.STOP_GUARD_ACTIVE, ("settings",), _stop_guard),
    Rule(Code.EXECUTION_THROTTLED, ("settings",), _throttled),
    Rule(Code.TRADING_HALTED, (), _halted),
    Rule(Code.TRADING_REDUCING, (), _reducing),
    Rule(Code.INSTRUMENT_NOT_ALLOWED, ("settings",), _not_allowed),
    Rule(Code.INSTRUMENT_NOT_TRADABLE, ("instrument",), _not_tradable),
    Rule(Code.SHORT_NOT_AVAILABLE, ("instrument",), _short_not_available),
    Rule(Code.DATA_QUALITY_BAD, ("market",), _quality_bad),
    Rule(Code.REGIME_UNCERTAINTY_EXCEEDS_LIMIT, ("settings",), _uncertainty),
    Rule(Code.PLAN_EXPIRED, (), _expired),
    Rule(Code.PLAN_DUPLICATE, ("settings",), _duplicate),
    Rule(Code.POSITION_OPEN, (), _position_open),
    Rule(Code.POSITION_COUNT_EXCEEDS_LIMIT, ("settings", "book"), _position_count),
)
