"""The trading state as the log has it: the last word on state and equity, found from the end."""

from __future__ import annotations

from typing import Any

from schemas.events.account import EquityChanged
from schemas.events.risk import TradingStateChanged
from schemas.json_form import event_to_json, iso
from services.control.scan import newest
from streams.log.base import EventLog


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
