"""The answer to a command as JSON and in words: shared by the HTTP API and the command line."""

from __future__ import annotations

from typing import Any

from schemas.envelope import Event
from schemas.events.control import GeneratePlan, Planner
from schemas.events.plan import PlanDeclined, PlanProposed
from schemas.events.risk import Check, CheckResult, PlanApproved, PlanDenied
from schemas.json_form import to_json
from services.control.commands import Answer
from services.rounding import brief, brief_text

_WORDS: dict[type[Event], str] = {
    PlanProposed: "proposed",
    PlanDeclined: "declined",
    PlanApproved: "approved",
    PlanDenied: "denied",
}


def status_of(answer: Answer) -> str:
    """Return pending, proposed, declined, approved, denied, refused or done."""
    if answer.outcome is None:
        return "pending"
    return _WORDS.get(type(answer.outcome[1]), "done" if answer.refused is None else "refused")


def describe(answer: Answer) -> dict[str, Any]:
    """Return the JSON body of an answer: in a few words, the outcome event in full, further events that name it."""
    body: dict[str, Any] = {
        "command_id": answer.command_id,
        "command": type(answer.command).__name__,
        "status": status_of(answer),
    }
    if answer.outcome is None:
        href = f"/commands/{answer.command_id}"
        return body | {"href": href, "detail": f"no outcome yet: ask {href} again{_silence(answer)}"}
    return body | {
        "explanation": _explained(answer),
        "outcome": to_json(*answer.outcome),
        "related": [to_json(*pair) for pair in answer.related],
    }


def in_words(answer: Answer) -> str:
    """Return an answer as a few lines for a person."""
    event = answer.outcome[1] if answer.outcome else None
    head = f"{type(answer.command).__name__} {answer.command_id}: {status_of(answer)}"
    detail = _no_answer(answer) if event is None else _explained(answer)
    return f"{head}\n{detail}" if detail else head


def _explained(answer: Answer) -> str:
    event = answer.outcome[1] if answer.outcome else None
    if isinstance(event, PlanProposed):
        return _plan(event)
    if isinstance(event, PlanDeclined):
        return f"{event.reason}: {event.detail}"
    if isinstance(event, PlanApproved | PlanDenied):
        return _verdict(event)
    return f"{answer.refused or ''} {getattr(event, 'detail', '')}".strip()


def _silence(answer: Answer) -> str:
    """Say for how long no trader has taken an input while some wait; empty: that is not so, or not known."""
    trader = answer.trader
    if trader is None or trader.lag == 0:
        return ""
    if trader.committed_at is None:
        return "; no trader has ever taken an input of this log"
    return f"; no trader has taken an input for {trader.silent_s():.0f} s"


def _no_answer(answer: Answer) -> str:
    """Say what may be the matter; a model is slow by nature, so a trader that waits for one is no fault."""
    command = answer.command
    if isinstance(command, GeneratePlan) and command.planner is Planner.LLM:
        return (
            "no answer yet: a model has TAPELINE_MODEL_TIME_LIMIT_S seconds, and a trader and the service that asks it "
            "(`tapeline llm`) must run on this log. The command stays on it; its answer comes on the topic plans."
        )
    return f"no answer yet: is a trader running on this log? The command stays on it{_silence(answer)}."


def _plan(event: PlanProposed) -> str:
    entry = event.entry.limit_price or event.entry.trigger_price or event.reference_price
    lines = [
        f"{event.position_side} {event.instrument_id}, {event.strategy}: {event.entry.type} entry at {brief(entry)}",
        f"stop {brief(event.stop.trigger_price)}" if event.stop else "no stop",
        *(f"target {brief(t.limit_price)} for {brief(t.fraction)} of the position" for t in event.targets),
        f"why: {event.rationale.summary}",
    ]
    return "\n".join(lines)


def _verdict(event: PlanApproved | PlanDenied) -> str:
    failed = [check for check in event.checks if check.result is CheckResult.FAIL]
    lines = [
        brief_text(f"  {check.code}: value {check.value}, limit {check.limit}{_inputs(check)}") for check in failed
    ]
    if isinstance(event, PlanDenied):
        return "\n".join(
            [
                brief_text(event.detail if event.detail.startswith(event.code) else f"{event.code}: {event.detail}"),
                f"{len(failed)} of {len(event.checks)} checks failed",
                *lines,
            ]
        )
    size = event.sizing
    return (
        f"{brief(size.quantity)} {size.quantity_unit} of {event.instrument_id}, notional {brief(size.notional)} USDT, "
        f"worst-case loss {brief(size.worst_case_loss)} USDT; {len(event.checks)} checks, none failed"
    )


def _inputs(check: Check) -> str:
    return "".join(f", {name} {value}" for name, value in check.inputs.items())
