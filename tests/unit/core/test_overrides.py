"""An override in force binds every stage that uses the number, and the next settings end it everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events.control import CommandHandled, ExecutePlan, OverrideLimit
from schemas.events.orders import AmendIntended
from schemas.events.risk import LimitOverridden
from streams.core.risk.limits import LIMITS
from streams.pipeline import stages
from tests.builders import settings_changed
from tests.rig import Rig

MOVED = {
    "risk_budget_pct": "2",
    "fee_buffer_pct": "0.5",
    "slippage_buffer_pct": "0.2",
    "trade_loss_pct_max": "5",
    "leverage_max": "20",
    "drawdown_warn_pct": "10",
    "drawdown_warn_scale": "0.25",
    "drawdown_halt_pct": "35",
    "daily_loss_pct_max": "5",
    "losing_streak_max": "5",
    "cooldown_s": "60",
    "stop_guard_n": "2",
    "stop_guard_window_s": "3600",
    "stop_guard_block_s": "60",
    "entries_per_hour_max": "3",
    "heat_pct_max": "15",
    "stop_distance_pct_min": "0.1",
    "stop_distance_pct_max": "10",
    "collar_pct": "1",
    "positions_max": "2",
    "notional_max": "100000",
    "reward_risk_min": "1.5",
    "correlated_leverage_max": "10",
    "duplicate_window_s": "120",
    "messages_per_2s_max": "10",
    "uncertainty_max": "0.9",
    "margin_leverage_max": "20",
    "liquidation_buffer_pct": "30",
}
"""Another value than the default for every limit."""


def states(rig: Rig) -> dict[str, Any]:
    return dict(zip([stage.name for stage in stages()], rig.kernel.states, strict=True))


def overridden(name: str, value: str) -> Rig:
    rig = Rig(stages=stages())
    rig.feed(OverrideLimit("paper", name, value, "test"))
    return rig


def test_every_limit_is_tried() -> None:
    assert MOVED.keys() == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_an_override_leaves_every_stage_as_settings_with_that_value_would(name: str) -> None:
    assert states(overridden(name, MOVED[name])) == states(Rig(stages=stages(), **{name: MOVED[name]}))


@pytest.mark.parametrize("name", LIMITS)
def test_the_next_settings_end_it(name: str) -> None:
    rig = overridden(name, MOVED[name])
    rig.feed(settings_changed())
    assert states(rig) == states(Rig(stages=stages()))


def test_the_log_says_what_was_moved_from_where_and_by_which_command() -> None:
    rig = overridden("fee_buffer_pct", "0.07")
    moved, handled = rig.step
    assert isinstance(handled, CommandHandled)
    command_id = handled.command_id
    assert moved == LimitOverridden("paper", "fee_buffer_pct", "0.07", "0.10", "test", command_id)


@pytest.mark.parametrize(("name", "value"), [("leverage_max", "101"), ("initial_cash", "5"), ("collar_pct", "wide")])
def test_what_is_refused_moves_nothing(name: str, value: str) -> None:
    rig = overridden(name, value)
    assert [type(event) for event in rig.step] == [CommandHandled]
    assert states(rig) == states(Rig(stages=stages()))


def test_break_even_covers_the_fees_an_override_allows_for() -> None:
    """Entered at 80000, stop 79200; one R in favour the stop moves to 80000 * 1.005 instead of 80000 * 1.001."""
    rig = Rig(stages=stages(), rules_enabled="false")
    rig.bar("80000/80000/80000/80000")
    plan = {
        "schema_version": 1,
        "instrument_id": "BTC-USDT-SWAP",
        "position_side": "LONG",
        "strategy": "trend",
        "entry": {"type": "LIMIT", "limit_price": "80000"},
        "stop": {"trigger_price": "79200", "break_even_at_r": "1"},
        "valid_for_s": 900,
        "max_holding_s": 86400,
        "rationale": {"summary": "an override"},
    }
    rig.feed(ExecutePlan("paper", json.dumps(plan)))
    rig.bar("79990/80050/79900/80000")
    rig.feed(OverrideLimit("paper", "fee_buffer_pct", "0.5", "fees went up"))
    rig.bar("80100/80900/80100/80850")
    (amended,) = rig.now(AmendIntended)
    assert amended.trigger_price == 80400
