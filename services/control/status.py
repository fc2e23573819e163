"""The trading state as the log has it: the last word on state and equity, found from the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.codec import decode
from schemas.events.account import EquityChanged
from schemas.events.risk import ReconciliationDiffered, ReconciliationSettled, StateCauseKind, TradingStateChanged
from schemas.json_form import event_to_json, iso
from services.control.scan import backwards, headers_of, is_one_of, newest
from services.rounding import brief_text
from streams.log.base import EventLog

_UNITS = {"_pct": " %", "_as_of": "", "state": ""}


def in_words(status: Mapping[str, Any]) -> str:
    """Return a status as lines for a person, each number with its unit."""
    shown = {name: value for name, value in status.items() if name != "differences" or value}
    return "\n".join(f"{name}: {_value(name, value)}" for name, value in shown.items())


def _value(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name == "causes":
        return "; ".join(_cause(cause) for cause in value) or "none"
    if name == "differences":
        return "; ".join(f"{d['subject']}: venue {d['venue']}, log {d['log']} ({d['repair']})" for d in value)
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), " USDT")
    return f"{brief_text(str(value))}{unit}"


def _cause(cause: Mapping[str, Any]) -> str:
    """Return a cause in words; of a moment only the form a person reads."""
    return " ".join(f"{key}={part}" for key, part in cause.items() if part and f"{key}_iso" not in cause)


def trading_status(log: EventLog, shard: int) -> dict[str, Any]:
    """Return state and causes, equity, drawdown and daily loss with the moment each is of; None where unknown.

    ``differences``: what the venue says otherwise than the log, while that holds trading; OPERATOR: a person must act.
    """
    state = newest(log, "verdicts", shard, TradingStateChanged)
    equity = newest(log, "accounts", shard, EquityChanged)
    said = {} if state is None else event_to_json(state[1])
    worth = {} if equity is None else event_to_json(equity[1])
    names = ("equity", "cash", "unrealized_pnl", "gross_notional", "peak_equity", "drawdown_pct", "daily_loss_pct")
    return {
        "state": said.get("state"),
        "causes": said.get("causes", []),
        "differences": differences(log, shard, state[1]) if state and isinstance(state[1], TradingStateChanged) else [],
        "state_as_of": None if state is None else iso(state[0].ts_event),
        **{name: worth.get(name) for name in names},
        "equity_as_of": None if equity is None else iso(equity[0].ts_event),
    }


def differences(log: EventLog, shard: int, state: TradingStateChanged) -> list[dict[str, Any]]:
    """Return the open differences told since the account stopped agreeing; none while it agrees."""
    since = next((cause.since for cause in state.causes if cause.kind is StateCauseKind.RECONCILING), None)
    headers = headers_of(ReconciliationDiffered, ReconciliationSettled)
    found: dict[str, ReconciliationDiffered | None] = {}
    for record in backwards(log, "verdicts", shard) if since is not None else ():
        if not is_one_of(record, headers):
            continue
        envelope, event = decode(record.value)
        if since is not None and envelope.ts_event < since:
            break
        assert isinstance(event, ReconciliationDiffered | ReconciliationSettled)
        found.setdefault(event.subject, event if isinstance(event, ReconciliationDiffered) else None)
    return [event_to_json(event) for event in reversed(found.values()) if event is not None]
