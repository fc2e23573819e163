"""The risk stage's answers to commands: exactly one CommandHandled each, and the reductions that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.common import ExitReason, TradingState
from schemas.events.control import (
    ClosePosition,
    CommandHandled,
    CommandOutcome,
    KillSwitch,
    OverrideLimit,
    PauseTrading,
    RefusalCode,
    ResumeTrading,
    TimerFired,
)
from schemas.events.risk import LimitOverridden, ReductionApproved
from schemas.values import plain
from streams.core.risk.breakers import Causes, describe, is_foreign, latched, worst_state
from streams.core.risk.limits import overridden
from streams.core.risk.reconcile import beside
from streams.core.risk.state import RiskState

Answer = tuple[RefusalCode | None, str]
"""Refusal code (None: done) and detail."""


def _pause(state: RiskState, event: PauseTrading, causes: Causes) -> Answer:
    if event.state is TradingState.ACTIVE:
        return RefusalCode.INVALID_STATE, "pause takes REDUCING or HALTED; resume makes ACTIVE"
    return None, _standing(causes)


def _resume(state: RiskState, event: ResumeTrading, causes: Causes) -> Answer:
    held = latched(causes)
    if held:
        named = ", ".join(describe(cause) for cause in held)
        return RefusalCode.LATCHED_CAUSES, f"still held by {named}: resume with a reason to release"
    return None, _standing(causes)


def _standing(causes: Causes) -> str:
    listed = ", ".join(describe(cause) for cause in causes)
    return f"trading is {worst_state(causes).value}" + (f": {listed}" if listed else "")


def _kill(state: RiskState, event: KillSwitch, causes: Causes) -> Answer:
    held, entries = len(state.positions), len(_working(state))
    what = f"{held} positions to close" if event.flatten else f"{held} positions stay, each with its stop"
    return None, f"{_standing(causes)}; {what}, {entries} entries to cancel"


def _override(state: RiskState, event: OverrideLimit, causes: Causes) -> Answer:
    moved = overridden(state.settings, event.name, event.value)
    return moved if isinstance(moved, tuple) else (None, f"{event.name}={event.value} from now on")


def _close(state: RiskState, event: ClosePosition, causes: Causes) -> Answer:
    market = state.markets.get(event.instrument_id)
    if market is None or market.instrument is None:
        return RefusalCode.UNKNOWN_INSTRUMENT, event.instrument_id
    theirs = beside(state, event.instrument_id)
    if not theirs and not has_exposure(state, event.instrument_id):
        return RefusalCode.NO_POSITION, f"{event.instrument_id}: neither a position nor a working entry"
    entries = _working(state).count(event.instrument_id)
    parts = [
        "closing at market" if theirs or event.instrument_id in state.positions else "no position to close",
        *([f"{plain(abs(theirs))} that no plan opened included"] if theirs else []),
        *([f"{entries} entries to cancel"] if entries else []),
    ]
    return None, f"{event.instrument_id}: {', '.join(parts)}"


def _working(state: RiskState) -> list[str]:
    """Return the instrument of every entry that still works."""
    return [entry.instrument_id for entry in state.reservations.values() if entry.open_share() > 0]


def _timer(state: RiskState, event: TimerFired, causes: Causes) -> Answer:
    return None, ""


def has_exposure(state: RiskState, instrument_id: str) -> bool:
    """Return whether the instrument has a position or a working entry."""
    working = any(entry.instrument_id == instrument_id for entry in state.reservations.values())
    return instrument_id in state.positions or working


_ANSWERS: dict[type[Event], Callable[[RiskState, Any, Causes], Answer]] = {
    PauseTrading: _pause,
    ResumeTrading: _resume,
    KillSwitch: _kill,
    OverrideLimit: _override,
    ClosePosition: _close,
    TimerFired: _timer,
}
COMMANDS = tuple(_ANSWERS)


def _refusal_of_stranger(state: RiskState, event: Any) -> Answer | None:
    if not is_foreign(state, event):
        return None
    known = state.account_id or "none before the first settings"
    return RefusalCode.UNKNOWN_ACCOUNT, f"{event.account_id}: this shard's account is {known}"


def answer(state: RiskState, message: Message, causes: Causes) -> CommandHandled:
    """Return the one answer to a command; ``causes``: those active once it counts."""
    event: Any = message.event
    code, detail = _refusal_of_stranger(state, event) or _ANSWERS[type(event)](state, event, causes)
    outcome = CommandOutcome.REFUSED if code else CommandOutcome.DONE
    return CommandHandled(message.envelope.event_id, event.account_id, outcome, code, detail)


def reductions(state: RiskState, message: Message, causes: Causes) -> list[ReductionApproved]:
    """Return the closes a message asks for: the operator's, a kill's, or a new halt's under halt_action FLATTEN."""
    event, account_id, command_id = message.event, state.account_id, message.envelope.event_id
    if is_foreign(state, event):
        return []
    if isinstance(event, ClosePosition):
        if _close(state, event, causes)[0]:
            return []
        return [ReductionApproved(event.account_id, event.instrument_id, ExitReason.OPERATOR, command_id)]
    if isinstance(event, KillSwitch) and event.flatten:
        return [ReductionApproved(event.account_id, name, ExitReason.KILL, command_id) for name in state.positions]
    if not _flattens(state, causes):
        return []
    return [ReductionApproved(account_id, name, ExitReason.HALT_FLATTEN) for name in state.positions]


def override_of(state: RiskState, message: Message) -> LimitOverridden | None:
    """Return the override a message asks for, if it gets it: what tells every stage that uses the number."""
    event, settings = message.event, state.settings
    if not isinstance(event, OverrideLimit) or is_foreign(state, event) or settings is None:
        return None
    moved = overridden(settings, event.name, event.value)
    if isinstance(moved, tuple):
        return None
    value, previous = moved.to_values()[event.name], settings.to_values()[event.name]
    return LimitOverridden(event.account_id, event.name, value, previous, event.reason, message.envelope.event_id)


def _flattens(state: RiskState, causes: Causes) -> bool:
    """Return whether this message halts trading under halt_action FLATTEN; reconciling is no reason to sell."""
    if state.settings is None or state.settings.halt_action != "FLATTEN":
        return False
    before = {(cause.kind, cause.scope) for cause in state.causes if cause.state is TradingState.HALTED}
    halts = [cause for cause in causes if cause.state is TradingState.HALTED and cause.kind.value != "RECONCILING"]
    return any((cause.kind, cause.scope) not in before for cause in halts)
