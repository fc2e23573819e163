"""Language models: what the trader asked, and what the completion service brought back. Replay calls no model.

A completion is text until the planner has parsed it; it can become a plan and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.values import Micros, Money


class CompletionFailure(StrEnum):
    """Why there is no completion to parse."""

    TIMEOUT = "TIMEOUT"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    OVER_BUDGET = "OVER_BUDGET"
    TRUNCATED = "TRUNCATED"
    NOT_CONFIGURED = "NOT_CONFIGURED"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation with a model. ``role``: system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class CompletionRequested(Event):
    """The planner asks a model for a plan; ``request_id`` of the answer is this event's id.

    ``facts``: what the model may know, as canonical JSON: market, regime, position, limits, context, ids of the events
    they come from. ``ts_deadline``: an answer taken later is late. ``execute``: the plan goes to risk at once.
    """

    account_id: str
    instrument_id: str
    facts: str
    missing_sources: tuple[str, ...]
    ts_deadline: Micros
    execute: bool
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class CompletionsClaimed(Event):
    """A completion service took the shard's completions: whoever wrote them before stops when it sees this.

    ``prompts_offset``, ``prompts_seq``: a place in prompts before which every request is answered; None: some was open.
    The next service need not look further back than to the newest claim with a place; a long run claims again for it.
    """

    account_id: str
    claim_id: str
    service: str
    code_version: str
    prompts_offset: int | None = None
    prompts_seq: int | None = None


@dataclass(frozen=True, slots=True)
class CompletionAttempted(Event):
    """A completion service is about to call a model. Written before the call: what it may be billed is not lost.

    ``attempt``: counts the calls for a request, from 1. ``tokens_max``, ``cost_max``: the most it may take, in tokens
    and USD; 0 USD where the price is unknown. A request that has attempts and no answer is not asked about again.
    """

    account_id: str
    request_id: str
    model: str
    attempt: int
    tokens_max: int
    cost_max: Money


@dataclass(frozen=True, slots=True)
class CompletionReceived(Event):
    """A model's answer. ``raw``: its text as it came. ``messages``: all that was sent, a repair round included.

    ``temperature``: decimal text. ``cost``: in USD, 0 where the price is unknown (``cost_known``). ``latency_ms``: of
    all attempts. ``failures``: what went wrong on the way, models that gave no answer included. ``model_served``: the
    provider's own name of what answered. ``unreported_tokens``, ``unreported_cost``: the most that attempts without an
    answer may be billed for; a budget counts them as spent.
    """

    account_id: str
    request_id: str
    model: str
    temperature: str
    prompt_version: str
    messages: tuple[ChatMessage, ...]
    raw: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cost: Money
    latency_ms: int
    attempts: int
    cost_known: bool = True
    failures: tuple[str, ...] = ()
    model_served: str = ""
    unreported_tokens: int = 0
    unreported_cost: Money | None = None


@dataclass(frozen=True, slots=True)
class CompletionFailed(Event):
    """No answer that counts. ``detail`` names the provider's word for it; keys and secrets are not in it.

    ``raw``: what there is of an answer that was cut off. The other fields as in CompletionReceived.
    """

    account_id: str
    request_id: str
    model: str
    prompt_version: str
    messages: tuple[ChatMessage, ...]
    reason: CompletionFailure
    detail: str
    prompt_tokens: int
    completion_tokens: int
    cost: Money
    latency_ms: int
    attempts: int
    raw: str = ""
    finish_reason: str = ""
    temperature: str = ""
    cost_known: bool = True
    failures: tuple[str, ...] = ()
    unreported_tokens: int = 0
    unreported_cost: Money | None = None
