"""Trading settings: every number a decision depends on, with its default and the bound no setting can pass.

They reach the trader as a ``SettingsChanged`` event, so what was in force at any moment has an answer.
Source: domain definitions, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from hashlib import sha256
from typing import Any, get_type_hints


class Venue(StrEnum):
    """Where a shard's orders go, for its whole life: our simulator inside the trader, or OKX through its gateway."""

    PAPER = "PAPER"
    OKX = "OKX"


def venue_in(values: Mapping[str, str]) -> Venue:
    """Return the venue that settings as text name; those from before there was a choice are on paper.

    Raises ValueError for a venue there is not.
    """
    return Venue(values.get("venue", Venue.PAPER))


STRATEGIES: tuple[str, ...] = ("trend", "mean_reversion", "breakout")
"""Every strategy there is; all of them are on by default."""


class SettingsError(ValueError):
    """A setting is unknown, malformed or past its hard bound; the message names it and says what is allowed."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Inclusive range of a numeric setting; None: open."""

    low: Decimal | None = None
    high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TradingSettings:
    """All trading settings of one shard. ``_pct`` in percent points; a tuple is written comma-separated."""

    account_id: str = "paper"
    venue: str = "PAPER"
    instruments_allowed: tuple[str, ...] = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USDT", "ETH-USDT")
    initial_cash: Decimal = Decimal(10000)
    seed: int = 20250318
    # sizing
    risk_budget_pct: Decimal = Decimal(1)
    fee_buffer_pct: Decimal = Decimal("0.10")
    slippage_buffer_pct: Decimal = Decimal("0.05")
    trade_loss_pct_max: Decimal = Decimal(10)
    leverage_max: Decimal = Decimal(100)
    # breakers
    drawdown_warn_pct: Decimal = Decimal(30)
    drawdown_warn_scale: Decimal = Decimal("0.5")
    drawdown_halt_pct: Decimal = Decimal(40)
    halt_action: str = "KEEP_PROTECTED"
    daily_loss_pct_max: Decimal = Decimal(15)
    losing_streak_max: int = 3
    cooldown_s: int = 3600
    stop_guard_n: int = 3
    stop_guard_window_s: int = 86400
    stop_guard_block_s: int = 14400
    entries_per_hour_max: int = 20
    # checks
    heat_pct_max: Decimal = Decimal(20)
    stop_distance_pct_min: Decimal = Decimal("0.05")
    stop_distance_pct_max: Decimal = Decimal(20)
    collar_pct: Decimal = Decimal(2)
    positions_max: int = 5
    notional_max: Decimal = Decimal(2000000)
    reward_risk_min: Decimal = Decimal("1.0")
    correlated_leverage_max: Decimal = Decimal(50)
    correlated_groups: tuple[str, ...] = ()
    duplicate_window_s: int = 60
    messages_per_2s_max: int = 40
    uncertainty_max: Decimal = Decimal("0.95")
    # margin
    margin_mode: str = "ISOLATED"
    margin_leverage_max: int = 100
    liquidation_buffer_pct: Decimal = Decimal(20)
    # fees, percent points
    fee_maker_swap_pct: Decimal = Decimal("0.02")
    fee_taker_swap_pct: Decimal = Decimal("0.05")
    fee_maker_spot_pct: Decimal = Decimal("0.08")
    fee_taker_spot_pct: Decimal = Decimal("0.10")
    # paper venue
    slippage_bps: Decimal = Decimal(5)
    participation_pct: Decimal = Decimal(10)
    latency_us: int = 0
    latency_jitter_us: int = 0
    fault_reject_pct: Decimal = Decimal(0)
    fault_partial_pct: Decimal = Decimal(0)
    # recorded runs
    mark_substitute: bool = True
    funding_required: bool = False
    # strategy
    decision_timeframe: str = "15m"
    regime_timeframe: str = "15m"
    strategies: tuple[str, ...] = STRATEGIES
    rules_enabled: bool = True
    decision_planner: str = "RULES"
    model_time_limit_s: int = 60
    regime_exit_enabled: bool = True
    quality_exit_s: int = 3600

    @classmethod
    def from_values(cls, values: Mapping[str, str]) -> TradingSettings:
        """Read settings from text by name; names not given keep their default.

        Raises SettingsError naming the first unknown, malformed or out-of-bound setting.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            if name not in known:
                raise SettingsError(f"{name}: unknown setting; known: {', '.join(sorted(known))}")
        hints = get_type_hints(cls)
        settings = cls(**{name: _parse(name, text, hints[name]) for name, text in values.items()})
        settings.check()
        return settings

    def to_values(self) -> dict[str, str]:
        """Write every setting as text, in field order; ``from_values`` reads it back to an equal object."""
        return {field.name: _write(getattr(self, field.name)) for field in fields(self)}

    def with_value(self, name: str, text: str) -> TradingSettings:
        """Return these settings with one of them read anew; raises SettingsError as ``from_values`` does."""
        return TradingSettings.from_values({**self.to_values(), name: text})

    @property
    def decides_alone(self) -> bool:
        """Return whether every decision bar is planned on, by rules or by a model, without anybody asking."""
        return self.rules_enabled or self.decision_planner == "MODEL"

    def digest(self) -> str:
        """Return 16 hex digits that two equal settings share and two different ones do not."""
        lines = "\n".join(f"{name}={text}" for name, text in sorted(self.to_values().items()))
        return sha256(lines.encode()).hexdigest()[:16]

    def check(self) -> None:
        """Raise SettingsError if a value is past its hard bound."""
        for name, bound in BOUNDS.items():
            value = Decimal(getattr(self, name))
            if (bound.low is not None and value < bound.low) or (bound.high is not None and value > bound.high):
                raise SettingsError(f"{name}={value}: must be between {bound.low} and {bound.high}")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise SettingsError(f"{name}={getattr(self, name)}: must be one of {', '.join(allowed)}")
        unknown = [name for name in self.strategies if name not in STRATEGIES]
        if unknown:
            raise SettingsError(f"strategies={','.join(unknown)}: must be among {', '.join(STRATEGIES)}")
        strange = [name for name in self.instruments_allowed if not INSTRUMENT_ID.fullmatch(name)]
        if strange:
            raise SettingsError(f"instruments_allowed={strange[0]}: must be like BTC-USDT-SWAP or BTC-USDT")
        if self.drawdown_warn_pct >= self.drawdown_halt_pct:
            raise SettingsError(f"drawdown_warn_pct={self.drawdown_warn_pct}: must be below drawdown_halt_pct")


INSTRUMENT_ID = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,20}(-SWAP)?")
"""The venue's name of a swap or spot instrument."""
_ZERO = Decimal(0)
NUMBER_MAX = Decimal(10) ** 12
"""Largest number of any setting: seconds or microseconds of it, added to a moment, still fit the wire's 64 bits."""
PLACES_MAX = 12
BOUNDS: dict[str, Bound] = {
    "initial_cash": Bound(Decimal("0.01"), Decimal(10) ** 12),
    "risk_budget_pct": Bound(_ZERO, Decimal(10)),
    "fee_buffer_pct": Bound(_ZERO),
    "slippage_buffer_pct": Bound(_ZERO),
    "trade_loss_pct_max": Bound(_ZERO, Decimal(10)),
    "leverage_max": Bound(_ZERO, Decimal(100)),
    "drawdown_warn_scale": Bound(_ZERO, Decimal(1)),
    "drawdown_halt_pct": Bound(_ZERO, Decimal(40)),
    "daily_loss_pct_max": Bound(_ZERO, Decimal(100)),
    "losing_streak_max": Bound(Decimal(1)),
    "cooldown_s": Bound(_ZERO),
    "stop_guard_n": Bound(Decimal(1)),
    "stop_guard_window_s": Bound(_ZERO),
    "stop_guard_block_s": Bound(_ZERO),
    "entries_per_hour_max": Bound(Decimal(1)),
    "heat_pct_max": Bound(_ZERO, Decimal(100)),
    "stop_distance_pct_min": Bound(_ZERO),
    "stop_distance_pct_max": Bound(_ZERO, Decimal(100)),
    "collar_pct": Bound(_ZERO),
    "positions_max": Bound(Decimal(1)),
    "notional_max": Bound(_ZERO),
    "reward_risk_min": Bound(_ZERO),
    "correlated_leverage_max": Bound(_ZERO, Decimal(100)),
    "duplicate_window_s": Bound(_ZERO),
    "messages_per_2s_max": Bound(Decimal(1), Decimal(59)),
    "uncertainty_max": Bound(_ZERO, Decimal(1)),
    "margin_leverage_max": Bound(Decimal(1), Decimal(125)),
    "liquidation_buffer_pct": Bound(Decimal(5), Decimal(100)),
    "fee_maker_swap_pct": Bound(Decimal(-1), Decimal(5)),
    "fee_taker_swap_pct": Bound(_ZERO, Decimal(5)),
    "fee_maker_spot_pct": Bound(Decimal(-1), Decimal(5)),
    "fee_taker_spot_pct": Bound(_ZERO, Decimal(5)),
    "slippage_bps": Bound(_ZERO, Decimal(1000)),
    "participation_pct": Bound(_ZERO, Decimal(100)),
    "latency_us": Bound(_ZERO),
    "latency_jitter_us": Bound(_ZERO),
    "fault_reject_pct": Bound(_ZERO, Decimal(100)),
    "fault_partial_pct": Bound(_ZERO, Decimal(100)),
    "model_time_limit_s": Bound(Decimal(1), Decimal(600)),
    "quality_exit_s": Bound(_ZERO),
}
"""Hard bounds: code, not settings. A value past one stops the start."""

CHOICES: dict[str, tuple[str, ...]] = {
    "venue": tuple(Venue),
    "halt_action": ("KEEP_PROTECTED", "FLATTEN"),
    "margin_mode": ("ISOLATED", "CROSS"),
    "decision_planner": ("RULES", "MODEL"),
    "decision_timeframe": ("1m", "5m", "15m", "1h", "4h"),
    "regime_timeframe": ("1m", "5m", "15m", "1h", "4h"),
}


def _parse(name: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        if kind is int:
            return _in_range(int(text))
        if kind is Decimal:
            return _in_range(Decimal(text))
        if kind is str:
            return text.strip()
        return tuple(part.strip() for part in text.split(",") if part.strip())
    except (KeyError, ValueError, InvalidOperation) as error:
        wanted = {bool: "true or false", int: "a whole number", Decimal: "a decimal number"}.get(kind, "text")
        raise SettingsError(f"{name}={text!r}: must be {wanted}") from error


def _in_range(value: Any) -> Any:
    """Refuse what no event could carry: a moment this far away, a decimal with this many digits."""
    number = Decimal(value)
    if not number.is_finite() or abs(number) > NUMBER_MAX or number != round(number, PLACES_MAX):
        raise ValueError(value)
    return value


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)
