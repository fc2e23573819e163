"""A market and an operator for the latency benchmark: every cycle opens and closes a position at a profit.

One cycle is ``CYCLE`` ticks: a plan goes in before tick 2, which fills its market entry; the position is closed before
tick ``CLOSE_AT``, which fills that order. The price climbs through a long cycle and falls through a short one, so no
loss limit ever stands in the way. Event time runs ``TIME_FACTOR`` times as fast as the wall clock: the venue's message
rate limit (59 in 2 s) counts event time.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal

from schemas.codec import encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.common import Side
from schemas.events.control import ClosePosition, ExecutePlan
from schemas.events.market import Trade
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from schemas.values import Micros, Price, Quantity
from streams.log.base import NewRecord
from tests.builders import T0, btc_swap

INSTRUMENT = "BTC-USDT-SWAP"
CYCLE = 10
OPEN_AT, CLOSE_AT = 2, 7
TIME_FACTOR = 20
SETTINGS = TradingSettings(
    risk_budget_pct=Decimal("0.2"),
    entries_per_hour_max=1_000_000,
    duplicate_window_s=0,
    losing_streak_max=1_000_000,
    stop_guard_n=1_000_000,
    messages_per_2s_max=59,
    uncertainty_max=Decimal(1),
    rules_enabled=False,
)
"""Limits on how often to trade are out of the way; every check of a verdict still runs."""


def _plan(side: str) -> str:
    sign = 1 if side == "LONG" else -1
    return json.dumps(
        {
            "schema_version": 1,
            "instrument_id": INSTRUMENT,
            "position_side": side,
            "strategy": "trend",
            "entry": {"type": "MARKET"},
            "stop": {"trigger_price": {"offset_pct": str(-2 * sign)}, "trigger_price_type": "LAST"},
            "targets": [{"limit_price": {"offset_pct": str(4 * sign)}, "fraction": "1"}],
            "valid_for_s": 900,
            "max_holding_s": 86400,
            "rationale": {"summary": "benchmark", "invalidation": "none"},
        }
    )


_PLANS = {"LONG": _plan("LONG"), "SHORT": _plan("SHORT")}


class Scenario:
    """Inputs by number. Each carries the wall time of its making as ``ts_ingest``, which all its outputs repeat."""

    def __init__(self, *, rate_hz: int) -> None:
        self._step_us = 1_000_000 * TIME_FACTOR // rate_hz

    def instrument(self) -> NewRecord:
        """Return the instrument's definition, the first tick of all."""
        return _record("ticks", INSTRUMENT, btc_swap(), T0, "instrument")

    def tick(self, number: int) -> NewRecord:
        """Return the ``number``-th trade of the market."""
        cycle, place = divmod(number, CYCLE)
        risen = place if cycle % 2 == 0 else CYCLE - 1 - place
        trade = Trade(INSTRUMENT, str(number), Side.BUY, Price(Decimal(80_000 + 60 * risen)), Quantity(Decimal(1000)))
        return _record("ticks", INSTRUMENT, trade, T0 + (number + 1) * self._step_us, f"tick {number}")

    def command(self, number: int) -> NewRecord | None:
        """Return the command that comes before the ``number``-th trade, if one does."""
        cycle, place = divmod(number, CYCLE)
        ts = T0 + number * self._step_us + self._step_us // 2
        if place == OPEN_AT:
            plan = ExecutePlan("paper", _PLANS["LONG" if cycle % 2 == 0 else "SHORT"])
            return _record("commands", "paper", plan, ts, f"open {number}")
        if place == CLOSE_AT:
            return _record("commands", "paper", ClosePosition("paper", INSTRUMENT), ts, f"close {number}")
        return None


def _record(topic: str, key: str, event: Event, ts_event: int, name: str) -> NewRecord:
    identity, ts = derive_id("bench", name), Micros(ts_event)
    wall = Micros(time.time_ns() // 1000)
    envelope = Envelope(identity, identity, "", "bench", NOT_SEQUENCED, 0, NOT_SEQUENCED, ts, wall, "bench", "")
    return NewRecord(topic, 0, key.encode(), encode(envelope, event), ts_event)
