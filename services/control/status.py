"""The trading state as the log has it: the last word on state and equity, found from the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.events.account import EquityChanged
from schemas.events.risk import TradingStateChanged
from schemas.json_form import event_to_json, iso
from services.control.scan import newest
from streams.log.base import EventLog

_UNITS = {"_pct": " %", "_as_of": "", "state": ""}


def in_words(status: Mapping[str, Any]) -> str:
    """Return a status as lines for a person, each number with its unit."""
    return "\n".join(f"{name}: {_value(name, value)}" for name, value in status.items())


def _value(name: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if name == "causes":
        return "; ".join(" ".join(f"{key}={part}" for key, part in cause.items() if part) for cause in value) or "none"
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), " USDT")
    return f"{value}{unit}"


def trading_status(log: EventLog, shard: int) -> dict[str, Any]:
    """Return state and causes, equity, drawdown and daily loss with the moment each is of; None where unknown."""
    state = newest(log, "verdicts", shard, TradingStateChanged)
    equity = newest(log, "accounts", shard, EquityChanged)
    said = {} if state is None else event_to_json(state[1])
    worth = {} if equity is None else event_to_json(equity[1])
    names = ("equity", "cash", "unrealized_pnl", "gross_notional", "peak_equity", "drawdown_pct", "daily_loss_pct")
    return {
        "state": said.get("state"),
        "causes": said.get("causes", []),
        "state_as_of": None if state is None else iso(state[0].ts_event),
        **{name: worth.get(name) for name in names},
        "equity_as_of": None if equity is None else iso(equity[0].ts_event),
    }
