"""Verdicts: the risk engine's word on a plan, with every check it made, and the trading state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import ExitReason, MarginMode, PlanOrigin, PositionSide, QuantityUnit, Repair, TradingState
from schemas.events.plan import Entry, StopSpec, Target
from schemas.values import Micros, Money, Percent, Price, Quantity, Ratio


class DenialCode(StrEnum):
    """Why a plan was denied, in order of evaluation (domain definitions, section 11)."""

    LIMIT_NOT_CONFIGURED = "LIMIT_NOT_CONFIGURED"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_STALE = "INPUT_STALE"
    NOT_RECONCILED = "NOT_RECONCILED"
    DRAWDOWN_EXCEEDS_LIMIT = "DRAWDOWN_EXCEEDS_LIMIT"
    DAILY_LOSS_EXCEEDS_LIMIT = "DAILY_LOSS_EXCEEDS_LIMIT"
    LOSING_STREAK_COOLDOWN = "LOSING_STREAK_COOLDOWN"
    STOP_GUARD_ACTIVE = "STOP_GUARD_ACTIVE"
    EXECUTION_THROTTLED = "EXECUTION_THROTTLED"
    TRADING_HALTED = "TRADING_HALTED"
    TRADING_REDUCING = "TRADING_REDUCING"
    INSTRUMENT_NOT_ALLOWED = "INSTRUMENT_NOT_ALLOWED"
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    SHORT_NOT_AVAILABLE = "SHORT_NOT_AVAILABLE"
    DATA_QUALITY_BAD = "DATA_QUALITY_BAD"
    REGIME_UNCERTAINTY_EXCEEDS_LIMIT = "REGIME_UNCERTAINTY_EXCEEDS_LIMIT"
    PLAN_EXPIRED = "PLAN_EXPIRED"
    PLAN_DUPLICATE = "PLAN_DUPLICATE"
    POSITION_OPEN = "POSITION_OPEN"
    POSITION_COUNT_EXCEEDS_LIMIT = "POSITION_COUNT_EXCEEDS_LIMIT"
    STOP_MISSING = "STOP_MISSING"
    STOP_WRONG_SIDE = "STOP_WRONG_SIDE"
    STOP_TOO_CLOSE = "STOP_TOO_CLOSE"
    STOP_TOO_FAR = "STOP_TOO_FAR"
    TARGET_WRONG_SIDE = "TARGET_WRONG_SIDE"
    EXIT_MISSING = "EXIT_MISSING"
    REWARD_RISK_BELOW_MINIMUM = "REWARD_RISK_BELOW_MINIMUM"
    PRICE_OUTSIDE_COLLAR = "PRICE_OUTSIDE_COLLAR"
    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    QUANTITY_BELOW_MINIMUM = "QUANTITY_BELOW_MINIMUM"
    QUANTITY_EXCEEDS_LIMIT = "QUANTITY_EXCEEDS_LIMIT"
    NOTIONAL_EXCEEDS_LIMIT = "NOTIONAL_EXCEEDS_LIMIT"
    LEVERAGE_EXCEEDS_LIMIT = "LEVERAGE_EXCEEDS_LIMIT"
    TRADE_LOSS_EXCEEDS_LIMIT = "TRADE_LOSS_EXCEEDS_LIMIT"
    HEAT_EXCEEDS_LIMIT = "HEAT_EXCEEDS_LIMIT"
    CORRELATED_EXPOSURE_EXCEEDS_LIMIT = "CORRELATED_EXPOSURE_EXCEEDS_LIMIT"
    TIER_EXCEEDS_LIMIT = "TIER_EXCEEDS_LIMIT"
    LIQUIDATION_TOO_CLOSE = "LIQUIDATION_TOO_CLOSE"
    MARGIN_INSUFFICIENT = "MARGIN_INSUFFICIENT"
    MESSAGE_RATE_EXCEEDS_LIMIT = "MESSAGE_RATE_EXCEEDS_LIMIT"


class CheckResult(StrEnum):
    """How one check ended. SKIPPED: an earlier failure left it no input."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    SKIPPED = "SKIPPED"


class StateCauseKind(StrEnum):
    """What holds trading back."""

    RECONCILING = "RECONCILING"
    OPERATOR = "OPERATOR"
    KILL = "KILL"
    DRAWDOWN = "DRAWDOWN"
    DAILY_LOSS = "DAILY_LOSS"
    LOSING_STREAK = "LOSING_STREAK"
    STOP_GUARD = "STOP_GUARD"
    THROTTLE = "THROTTLE"


class WarningState(StrEnum):
    """What became of a warning: it began to hold, or ended."""

    RAISED = "RAISED"
    RELEASED = "RELEASED"


class SizedBy(StrEnum):
    """What bounded the size."""

    BUDGET = "BUDGET"
    CASH = "CASH"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: numbers as plain decimal text, so that any reader can show them."""

    code: DenialCode
    result: CheckResult
    value: str | None
    limit: str | None
    inputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class StateCause:
    """One active reason to hold trading back. ``scope``: ``account``, ``strategy:<name>`` or ``instrument:<id>``."""

    kind: StateCauseKind
    state: TradingState
    scope: str
    since: Micros
    until: Micros | None
    latched: bool
    origin: str


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the size came about. ``unit_loss``: worst loss per base unit at the stop, slippage and fees included."""

    equity: Money
    reference_price: Price
    stop_distance_pct: Percent
    budget_pct: Percent
    formula_notional: Money
    quantity: Quantity
    quantity_unit: QuantityUnit
    base_quantity: Quantity
    notional: Money
    unit_loss: Price
    worst_case_loss: Money
    sized_by: SizedBy
    margin_mode: MarginMode
    margin_leverage: int
    margin: Money
    entry_fee: Money
    liquidation_price: Price | None
    gap_loss_max: Money
    leverage: Ratio
    planned_r: Ratio | None


@dataclass(frozen=True, slots=True)
class PlanApproved(Event):
    """The right to enter once and to protect and exit that trade. The only door to an entry order."""

    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin
    entry: Entry
    stop: StopSpec
    targets: tuple[Target, ...]
    ts_valid_until: Micros
    max_holding_s: int | None
    sizing: Sizing
    checks: tuple[Check, ...]
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlanDenied(Event):
    """Risk refused: ``code`` is the first check that failed, ``checks`` lists all of them.

    ``sizing``: the size it would have had; None where an input for it was missing.
    """

    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin
    code: DenialCode
    detail: str
    checks: tuple[Check, ...]
    command_id: str | None = None
    sizing: Sizing | None = None


@dataclass(frozen=True, slots=True)
class ReductionApproved(Event):
    """The right to lower exposure without a plan. It has no size: it closes what is there and can never raise it."""

    account_id: str
    instrument_id: str
    reason: ExitReason
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class TradingStateChanged(Event):
    """The account's trading state after a cause appeared or went; ``causes`` are those active now.

    ``peak_reset``: an operator released the drawdown halt, so the equity peak starts again at the present equity.
    """

    account_id: str
    state: TradingState
    previous: TradingState
    causes: tuple[StateCause, ...]
    detail: str
    command_id: str | None = None
    peak_reset: bool = False


@dataclass(frozen=True, slots=True)
class LimitOverridden(Event):
    """An operator moved one limit inside its hard bound: every stage that uses the number goes by ``value`` now.

    ``value``, ``previous``: as the settings write them. The next SettingsChanged states every number anew and ends it.
    """

    account_id: str
    name: str
    value: str
    previous: str
    reason: str
    command_id: str


@dataclass(frozen=True, slots=True)
class DrawdownWarningChanged(Event):
    """Drawdown reached ``drawdown_warn_pct`` (RAISED), or is below it again (RELEASED). Trading goes on.

    ``drawdown_scale``: what the budget of every plan is multiplied with from now on; 1 once released.
    """

    account_id: str
    warning: WarningState
    drawdown_pct: Percent
    drawdown_warn_pct: Percent
    drawdown_halt_pct: Percent
    drawdown_scale: Ratio
    equity: Money
    peak_equity: Money


@dataclass(frozen=True, slots=True)
class ReconciliationDiffered(Event):
    """The venue's account is not as the log has it. Told when it appears and when it changes.

    ``subject``: account_mode, position_mode, cash, ``position <instrument>``, ``hedge <instrument>``, ``order <venue
    id>``, or what a gateway found (``DifferenceFound``). ``since``: when it was first seen; of what a gateway found,
    since when the venue has had it.
    """

    account_id: str
    subject: str
    venue: str
    log: str
    since: Micros
    age_us: int
    repair: Repair


@dataclass(frozen=True, slots=True)
class ReconciliationSettled(Event):
    """A difference is gone: ``age_us`` after it was first seen."""

    account_id: str
    subject: str
    since: Micros
    age_us: int
