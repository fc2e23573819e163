"""Plans: a proposal to trade, or the reason there is none. Proposals have no size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import OrderType, PlanOrigin, PositionSide, PriceSource, Quality, Regime, TriggerPriceType
from schemas.values import Bps, Micros, Percent, Price, Rate, Ratio


class DeclineReason(StrEnum):
    """Why the planner proposed nothing."""

    NO_SETUP = "NO_SETUP"
    WARMING_UP = "WARMING_UP"
    REGIME_UNKNOWN = "REGIME_UNKNOWN"
    DATA_QUALITY_BAD = "DATA_QUALITY_BAD"
    POSITION_OPEN = "POSITION_OPEN"
    STATE_NOT_ACTIVE = "STATE_NOT_ACTIVE"
    COMPLETION_FAILED = "COMPLETION_FAILED"
    COMPLETION_LATE = "COMPLETION_LATE"
    COMPLETION_INVALID = "COMPLETION_INVALID"
    COMPLETION_OVER_BUDGET = "COMPLETION_OVER_BUDGET"
    CONTEXT_MISSING = "CONTEXT_MISSING"


@dataclass(frozen=True, slots=True)
class Entry:
    """How a trade is entered; exactly the prices its type needs."""

    type: OrderType
    limit_price: Price | None = None
    trigger_price: Price | None = None
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class StopSpec:
    """The protective stop and how it may follow the market; it never loosens."""

    trigger_price: Price
    trigger_price_type: TriggerPriceType = TriggerPriceType.MARK
    break_even_at_r: Ratio | None = None
    trail_distance_pct: Percent | None = None
    trail_from_r: Ratio | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A take-profit limit for a fraction of the entered quantity."""

    limit_price: Price
    fraction: Ratio


@dataclass(frozen=True, slots=True)
class Rationale:
    """Why, in words, with the ids of the events it rests on."""

    summary: str
    invalidation: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """What the author of a plan could see."""

    last_price: Price | None
    mark_price: Price | None
    spread_bps: Bps | None
    regime: Regime
    uncertainty: Rate | None
    quality: Quality
    features: dict[str, float]
    features_event_id: str | None = None
    regime_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlanProposed(Event):
    """A plan with absolute, tick-rounded prices. ``execute`` False: shown to the operator, risk does not act on it.

    ``plan_id`` is the correlation id of everything that follows from it.
    """

    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin
    execute: bool
    reference_price: Price
    reference_source: PriceSource
    entry: Entry
    stop: StopSpec | None
    targets: tuple[Target, ...]
    valid_for_s: int
    ts_valid_until: Micros
    max_holding_s: int | None
    rationale: Rationale
    confidence: Ratio | None
    snapshot: MarketSnapshot
    missing_sources: tuple[str, ...]
    command_id: str | None = None
    model: str | None = None
    prompt_version: str | None = None
    completion_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlanDeclined(Event):
    """No plan, and why: silence is not an answer. ``request_id``: of the completion that was asked for and failed."""

    account_id: str
    instrument_id: str
    origin: PlanOrigin
    reason: DeclineReason
    detail: str
    evidence: tuple[str, ...]
    command_id: str | None = None
    request_id: str | None = None
