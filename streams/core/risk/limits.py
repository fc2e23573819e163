"""Which settings are limits, and how an operator moves one."""

from __future__ import annotations

from schemas.events.control import RefusalCode
from schemas.settings import SettingsError, TradingSettings

LIMITS: tuple[str, ...] = (
    "risk_budget_pct",
    "fee_buffer_pct",
    "slippage_buffer_pct",
    "trade_loss_pct_max",
    "leverage_max",
    "drawdown_warn_pct",
    "drawdown_warn_scale",
    "drawdown_halt_pct",
    "daily_loss_pct_max",
    "losing_streak_max",
    "cooldown_s",
    "stop_guard_n",
    "stop_guard_window_s",
    "stop_guard_block_s",
    "entries_per_hour_max",
    "heat_pct_max",
    "stop_distance_pct_min",
    "stop_distance_pct_max",
    "collar_pct",
    "positions_max",
    "notional_max",
    "reward_risk_min",
    "correlated_leverage_max",
    "duplicate_window_s",
    "messages_per_2s_max",
    "uncertainty_max",
    "margin_leverage_max",
    "liquidation_buffer_pct",
)
"""Limits a verdict needs in force; an override moves one of these and nothing else."""

Refusal = tuple[RefusalCode, str]


def overridden(settings: TradingSettings | None, name: str, value: str) -> TradingSettings | Refusal:
    """Return the settings with one limit moved, or why it stays where it is.

    A later SettingsChanged states every setting anew and so ends the override.
    """
    if settings is None or name not in LIMITS:
        return RefusalCode.UNKNOWN_LIMIT, f"{name}: not a limit; known: {', '.join(LIMITS)}"
    try:
        return settings.with_value(name, value)
    except SettingsError as error:
        past_bound = "must be between" in str(error) or "must be below" in str(error)
        return (RefusalCode.HARD_BOUND if past_bound else RefusalCode.INVALID_VALUE), str(error)
