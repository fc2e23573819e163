"""What holds trading back: which causes are active after a message, and the event that says so.

Causes change only through ``TradingStateChanged``, so the log tells at any moment why the account may not trade.
Leaves out what a plan is checked against; see the checks. Source: domain definitions, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import EquityChanged, TradeClosed
from schemas.events.common import ExitReason, TradingState
from schemas.events.control import KillSwitch, PauseTrading, ResumeTrading, SettingsChanged
from schemas.events.orders import AccountSnapshot
from schemas.events.plan import PlanProposed
from schemas.events.risk import StateCause, StateCauseKind, TradingStateChanged
from schemas.settings import TradingSettings
from schemas.values import SECOND, Micros
from streams.core.risk.reconcile import differences
from streams.core.risk.state import NEVER, Account, RiskState

Causes = tuple[StateCause, ...]

DAY = 86_400 * SECOND
HOUR = 3_600 * SECOND
ACCOUNT = "account"
ZERO = Decimal(0)
_RANK = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
_OPERATORS = (PauseTrading, ResumeTrading, KillSwitch)
_REDUCING, _HALTED = TradingState.REDUCING, TradingState.HALTED


def worst_state(causes: Causes) -> TradingState:
    """Return the trading state: that of the worst cause, ACTIVE without one."""
    return max((cause.state for cause in causes), key=_RANK.__getitem__, default=TradingState.ACTIVE)


def next_expiry(causes: Causes) -> int:
    """Return when the first timed cause runs out; NEVER without one."""
    return min((cause.until for cause in causes if cause.until is not None), default=NEVER)


def drawdown_pct(account: Account) -> Decimal:
    """Return how far equity lies below its peak, in percent; 0 while there is no peak."""
    return (account.peak - account.equity) / account.peak * 100 if account.peak > ZERO else ZERO


def daily_loss_pct(account: Account, now: int) -> Decimal:
    """Return the loss since 00:00 UTC in percent; 0 on a day that has not moved equity yet."""
    if account.day_start <= ZERO or account.ts // DAY != now // DAY:
        return ZERO
    return (account.day_start - account.equity) / account.day_start * 100


def binds(cause: StateCause, strategy: str, instrument_id: str) -> bool:
    """Return whether a cause holds back this strategy on this instrument."""
    return cause.scope in (ACCOUNT, f"strategy:{strategy}", f"instrument:{instrument_id}")


def causes_after(state: RiskState, message: Message) -> Causes:
    """Return the causes active once this message counts: expired ones gone, new ones added, in order of appearance."""
    causes = state.causes
    if message.now >= state.next_expiry:
        causes = tuple(cause for cause in causes if cause.until is None or message.now < cause.until)
    handler = None if is_foreign(state, message.event) else _HANDLERS.get(type(message.event))
    return causes if handler is None else handler(state, causes, message.event, message.now)


def is_foreign(state: RiskState, event: Event) -> bool:
    """Return whether an event names another account than the shard's; before the first settings it has none."""
    return getattr(event, "account_id", state.account_id) != state.account_id


def state_changed(state: RiskState, message: Message, causes: Causes) -> TradingStateChanged | None:
    """Return the event for a change of the causes; None where nothing changed."""
    if causes == state.causes:
        return None
    kinds = {cause.kind for cause in causes}
    released = isinstance(message.event, ResumeTrading) and StateCauseKind.DRAWDOWN not in kinds
    reset = released and any(cause.kind is StateCauseKind.DRAWDOWN for cause in state.causes)
    command = isinstance(message.event, _OPERATORS) and not is_foreign(state, message.event)
    return TradingStateChanged(
        account_id=_account_id(state, message.event),
        state=worst_state(causes),
        previous=worst_state(state.causes),
        causes=causes,
        detail=_detail(state.causes, causes, message.event if command else None),
        command_id=message.envelope.event_id if command else None,
        peak_reset=reset,
    )


def _account_id(state: RiskState, event: Event) -> str:
    """Return whose state it is: the first settings name the account before they count."""
    if isinstance(event, SettingsChanged):
        return TradingSettings.from_values(event.values).account_id
    return state.account_id


def _detail(before: Causes, after: Causes, command: Event | None) -> str:
    gone = [f"-{describe(cause)}" for cause in before if cause not in after]
    new = [f"+{describe(cause)}" for cause in after if cause not in before]
    reason = getattr(command, "reason", None)
    said = [f"reason: {reason}"] if reason else []
    return "; ".join([*gone, *new, *said])


def describe(cause: StateCause) -> str:
    """Write a cause as ``KIND STATE scope``."""
    return f"{cause.kind.value} {cause.state.value} {cause.scope}"


def latched(causes: Causes) -> Causes:
    """Return the causes only a resume with a reason releases."""
    return tuple(cause for cause in causes if cause.latched)


def _with(causes: Causes, cause: StateCause) -> Causes:
    """Add a cause; one of the same kind and scope keeps its place and its beginning, and takes the later end."""
    for index, old in enumerate(causes):
        if (old.kind, old.scope) == (cause.kind, cause.scope):
            return (*causes[:index], _prolonged(old, cause), *causes[index + 1 :])
    return (*causes, cause)


def _prolonged(old: StateCause, new: StateCause) -> StateCause:
    until = None if old.until is None or new.until is None else Micros(max(old.until, new.until))
    worse = max(old.state, new.state, key=_RANK.__getitem__)
    return StateCause(old.kind, worse, old.scope, old.since, until, old.latched, old.origin)


def _cause(
    kind: StateCauseKind,
    severity: TradingState,
    now: int,
    *,
    origin: str,
    scope: str = ACCOUNT,
    until: int | None = None,
    latches: bool = False,
) -> StateCause:
    end = None if until is None else Micros(until)
    return StateCause(kind, severity, scope, Micros(now), end, latches, origin)


def _on_settings(state: RiskState, causes: Causes, event: SettingsChanged, now: int) -> Causes:
    if state.settings is not None:
        return causes
    return _with(causes, _cause(StateCauseKind.RECONCILING, _HALTED, now, origin="start"))


def _on_snapshot(state: RiskState, causes: Causes, event: AccountSnapshot, now: int) -> Causes:
    if not differences(state, event):
        return tuple(cause for cause in causes if cause.kind is not StateCauseKind.RECONCILING)
    return _with(causes, _cause(StateCauseKind.RECONCILING, _HALTED, now, origin="snapshot"))


def _on_equity(state: RiskState, causes: Causes, event: EquityChanged, now: int) -> Causes:
    settings = state.settings
    if settings is None:
        return causes
    account = Account.of(event, now)
    if drawdown_pct(account) >= settings.drawdown_halt_pct:
        causes = _with(causes, _cause(StateCauseKind.DRAWDOWN, _HALTED, now, origin="equity", latches=True))
    if daily_loss_pct(account, now) >= settings.daily_loss_pct_max:
        midnight = (now // DAY + 1) * DAY
        causes = _with(causes, _cause(StateCauseKind.DAILY_LOSS, _REDUCING, now, origin="equity", until=midnight))
    return causes


def _on_trade_closed(state: RiskState, causes: Causes, event: TradeClosed, now: int) -> Causes:
    settings = state.settings
    if settings is None:
        return causes
    losing = event.net_pnl < ZERO and state.streaks.get(event.strategy, 0) + 1 >= settings.losing_streak_max
    if losing:
        until, scope = event.ts_closed + settings.cooldown_s * SECOND, f"strategy:{event.strategy}"
        kind = StateCauseKind.LOSING_STREAK
        causes = _with(causes, _cause(kind, _REDUCING, now, origin="trades", scope=scope, until=until))
    if event.exit_reason is ExitReason.STOP and _stops_in_window(state, event) + 1 >= settings.stop_guard_n:
        until, scope = event.ts_closed + settings.stop_guard_block_s * SECOND, f"instrument:{event.instrument_id}"
        kind = StateCauseKind.STOP_GUARD
        causes = _with(causes, _cause(kind, _REDUCING, now, origin="trades", scope=scope, until=until))
    return tuple(cause for cause in causes if cause.until is None or now < cause.until)


def _stops_in_window(state: RiskState, event: TradeClosed) -> int:
    window = state.settings.stop_guard_window_s * SECOND if state.settings else 0
    return sum(event.ts_closed - ts < window for ts in state.stop_exits.get(event.instrument_id, ()))


def _on_plan(state: RiskState, causes: Causes, event: PlanProposed, now: int) -> Causes:
    """Latch the throttle on the attempt past the limit, so that the last permitted entry is not canceled by it."""
    if (
        state.settings is None
        or not event.execute
        or entries_last_hour(state, now) < state.settings.entries_per_hour_max
    ):
        return causes
    return _with(causes, _cause(StateCauseKind.THROTTLE, _REDUCING, now, origin="approvals", latches=True))


def entries_last_hour(state: RiskState, now: int) -> int:
    """Return how many entries were approved in the hour before now."""
    return sum(now - ts < HOUR for ts in state.approvals)


def _on_pause(state: RiskState, causes: Causes, event: PauseTrading, now: int) -> Causes:
    if event.state is TradingState.ACTIVE:
        return causes
    return _with(causes, _cause(StateCauseKind.OPERATOR, event.state, now, origin="operator"))


def _on_resume(state: RiskState, causes: Causes, event: ResumeTrading, now: int) -> Causes:
    with_latched = bool(event.reason and event.reason.strip())
    return tuple(
        cause for cause in causes if cause.kind is not StateCauseKind.OPERATOR and not (cause.latched and with_latched)
    )


def _on_kill(state: RiskState, causes: Causes, event: KillSwitch, now: int) -> Causes:
    return _with(causes, _cause(StateCauseKind.KILL, _HALTED, now, origin="operator", latches=True))


_HANDLERS: dict[type[Event], Callable[[RiskState, Causes, Any, int], Causes]] = {
    SettingsChanged: _on_settings,
    AccountSnapshot: _on_snapshot,
    EquityChanged: _on_equity,
    TradeClosed: _on_trade_closed,
    PlanProposed: _on_plan,
    PauseTrading: _on_pause,
    ResumeTrading: _on_resume,
    KillSwitch: _on_kill,
}
