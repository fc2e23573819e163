"""Commands and settings: what people and schedulers ask for. An input of the trader; ``command_id`` is the event id."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import TradingState
from schemas.values import Money


class Planner(StrEnum):
    """Which planner should answer."""

    RULES = "RULES"
    LLM = "LLM"


@dataclass(frozen=True, slots=True)
class GeneratePlan(Event):
    """Ask for a plan without executing it; answered by PlanProposed (execute False) or PlanDeclined."""

    account_id: str
    instrument_id: str
    planner: Planner


@dataclass(frozen=True, slots=True)
class ExecutePlan(Event):
    """Send an operator's plan document (JSON text, schema-checked before it is appended) through risk."""

    account_id: str
    document: str


@dataclass(frozen=True, slots=True)
class ClosePosition(Event):
    """Close an instrument's position at market and cancel its working entries."""

    account_id: str
    instrument_id: str


@dataclass(frozen=True, slots=True)
class PauseTrading(Event):
    """Stop opening (REDUCING) or stop everything but protection (HALTED), until resumed."""

    account_id: str
    state: TradingState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResumeTrading(Event):
    """Release the OPERATOR cause; with a reason also latched causes."""

    account_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class KillSwitch(Event):
    """HALTED, cancel all entries, and close everything at market if ``flatten``."""

    account_id: str
    flatten: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OverrideLimit(Event):
    """Move one limit inside its hard bound from now on."""

    account_id: str
    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class TransferCash(Event):
    """Pay paper cash in (positive) or take it out (negative); peak and day start are rescaled, it is no profit."""

    account_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class TimerFired(Event):
    """Wall-clock time as an event: moves ``now`` on when the feed is silent."""

    account_id: str


@dataclass(frozen=True, slots=True)
class SettingsChanged(Event):
    """Every trading setting in force from now on, as text by name; the first input of every shard.

    ``digest``: of the sorted values; every event's envelope carries the one in force.
    """

    scope: str
    values: dict[str, str]
    digest: str
    reason: str


class CommandOutcome(StrEnum):
    """What became of a command."""

    DONE = "DONE"
    REFUSED = "REFUSED"


class RefusalCode(StrEnum):
    """Why a command was refused.

    UNKNOWN_ACCOUNT: not the shard's account. UNKNOWN_INSTRUMENT: never defined on this log. UNKNOWN_LIMIT: no limit
    has that name. INVALID_VALUE, INVALID_STATE: not a value, not a state a pause takes. HARD_BOUND: past what no
    setting may pass. LATCHED_CAUSES: only a resume with a reason releases them. NO_POSITION: nothing to close.
    NOT_RECONCILED: the books are not open yet. AMOUNT_ZERO, CASH_INSUFFICIENT: nothing, or too much, to transfer.
    """

    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    UNKNOWN_LIMIT = "UNKNOWN_LIMIT"
    INVALID_VALUE = "INVALID_VALUE"
    INVALID_STATE = "INVALID_STATE"
    HARD_BOUND = "HARD_BOUND"
    LATCHED_CAUSES = "LATCHED_CAUSES"
    NO_POSITION = "NO_POSITION"
    NOT_RECONCILED = "NOT_RECONCILED"
    AMOUNT_ZERO = "AMOUNT_ZERO"
    CASH_INSUFFICIENT = "CASH_INSUFFICIENT"


@dataclass(frozen=True, slots=True)
class CommandHandled(Event):
    """The trader's answer to a command: exactly one for each command, beside the events it caused.

    A plan that was asked for answers by itself (PlanProposed, PlanDeclined, a verdict), unless the account is unknown.
    ``code``: why it was refused; None when done.
    """

    command_id: str
    account_id: str
    outcome: CommandOutcome
    code: RefusalCode | None
    detail: str
