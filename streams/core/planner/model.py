"""A language model as author of plans: what it is told, how long it has, and what its answer may become.

The answer is text. Only a document that passes the plan schema whole, names the instrument that was asked about, and
has its prices on the right side of each other becomes a PlanProposed; anything else is a PlanDeclined with the reason.
Nothing is rescued from prose. A model may also say that it proposes nothing, and then nobody does. Where the planner
itself had asked and there is no answer, the rules answer in the model's place.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.common import PlanOrigin, PositionSide
from schemas.events.context import SourceState
from schemas.events.model import CompletionFailed, CompletionFailure, CompletionReceived, CompletionRequested
from schemas.events.plan import DeclineReason, PlanDeclined
from schemas.plan_document import PlanDocument, PlanDocumentError, no_plan_reason, parse_plan_document
from schemas.settings import TradingSettings
from schemas.values import SECOND, Micros, plain
from streams.core.planner.answers import (
    Author,
    declined,
    document_plan,
    missing_sources,
    reference_of,
    rules_answer,
    snapshot_of,
    view_of,
)
from streams.core.planner.documents import Resolved, resolve
from streams.core.planner.prices import sign_of
from streams.core.planner.rules import Decline, View, held_back
from streams.core.planner.state import PENDING_MAX, Note, Pending, PlannerState

RAW_MAX = 32_768
"""Characters of an answer that are looked at; a longer one is no plan document."""
NEWS_AGE_MAX = 86_400 * SECOND
"""How long a headline is told, from when we had it."""
_HUNDRED = Decimal(100)
_LIMITS = (
    "risk_budget_pct", "stop_distance_pct_min", "stop_distance_pct_max", "collar_pct", "reward_risk_min",
    "positions_max", "uncertainty_max",
)  # fmt: skip
"""Limits a model is told, as text: it can break none of them, only waste its proposal."""


def ask(
    state: PlannerState,
    settings: TradingSettings,
    message: Message,
    instrument_id: str,
    view: View,
    command_id: str | None = None,
) -> CompletionRequested | PlanDeclined:
    """Return the question, or why it is not worth asking. ``command_id`` None: the plan will be executed."""
    why = held_back(view)
    if why is None and len(state.pending) >= PENDING_MAX:
        why = Decline(DeclineReason.COMPLETION_FAILED, f"{PENDING_MAX} completions are awaited already")
    if why is None and command_id is None and _is_awaited(state, instrument_id):
        why = Decline(DeclineReason.COMPLETION_LATE, "the completion of an earlier bar is still awaited")
    if why is not None:
        return declined(settings, instrument_id, PlanOrigin.MODEL, why, command_id)
    book = state.books[instrument_id]
    return CompletionRequested(
        account_id=settings.account_id,
        instrument_id=instrument_id,
        facts=_facts(state, settings, message.now, instrument_id, view),
        missing_sources=missing_sources(state, book, message.now, view),
        ts_deadline=Micros(message.now + settings.model_time_limit_s * SECOND),
        execute=command_id is None,
        command_id=command_id,
    )


def _is_awaited(state: PlannerState, instrument_id: str) -> bool:
    return any(pending.instrument_id == instrument_id and pending.execute for pending in state.pending.values())


def _facts(state: PlannerState, settings: TradingSettings, now: int, instrument_id: str, view: View) -> str:
    """Return what the model may know as canonical JSON: sorted keys, decimals as text, no account and no size."""
    book = state.books[instrument_id]
    snapshot = snapshot_of(book, now, view)
    facts: dict[str, Any] = {
        "instrument_id": instrument_id,
        "ts_micros": now,
        "last_price": _text(snapshot.last_price),
        "mark_price": _text(snapshot.mark_price),
        "spread_bps": _text(snapshot.spread_bps),
        "tick_size": _text(book.tick_size),
        "quality": snapshot.quality.value,
        "regime": {
            "label": view.regime.value,
            "uncertainty": _text(view.uncertainty),
            "event_id": view.regime_id or None,
        },
        "timeframe": view.timeframe,
        "features": {name: value if isfinite(value) else None for name, value in view.features.items()},
        "features_event_id": view.features_id or None,
        "signals": {
            name: {"score": score.score, "horizon_s": score.horizon_s, "event_id": score.event_id}
            for name, score in view.scores.items()
        },
        "open_positions": _open_positions(state),
        "limits": {name: str(getattr(settings, name)) for name in _LIMITS},
        "context": [
            {"source": note.source, "text": note.text, "ts_event": note.ts_event, "event_id": note.event_id}
            for note in state.notes
            if _is_current(state, note, now)
        ],
        "missing_sources": list(missing_sources(state, book, now, view)),
    }
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _open_positions(state: PlannerState) -> list[dict[str, str | None]]:
    """Return what the account holds, by instrument, without its size."""
    return [
        {"instrument_id": name, "position_side": book.held_side.value, "avg_entry_price": _text(book.avg_entry_price)}
        for name, book in sorted(state.books.items())
        if book.held_side is not None
    ]


def _is_current(state: PlannerState, note: Note, now: int) -> bool:
    """Return whether a note still says something: a headline of a day, a number while its source delivers.

    A number is written when it changes: an old one holds as long as its source is up.
    """
    if not note.subject:
        return now - note.ts_event <= NEWS_AGE_MAX
    return state.sources.get(note.source) not in (SourceState.STALE, SourceState.DOWN)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def on_completion(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    """Return the plan a completion holds, or why there is none. One nobody waits for (any more) says nothing new."""
    event: Any = message.event
    pending = state.pending.get(event.request_id)
    if pending is None or message.now >= pending.ts_deadline:
        return ()
    if pending.execute and settings.decision_planner != "MODEL":
        why = Decline(DeclineReason.COMPLETION_LATE, "the model does not decide any more", (message.envelope.event_id,))
        return _without(state, settings, message, event.request_id, pending, why)
    if isinstance(event, CompletionFailed):
        why = Decline(_REASONS[event.reason], f"{event.reason.value}: {event.detail}", (message.envelope.event_id,))
        return _without(state, settings, message, event.request_id, pending, why)
    if (said := no_plan_reason(event.raw[:RAW_MAX])) is not None:
        why = Decline(DeclineReason.NO_SETUP, f"the model proposes nothing: {said}", (message.envelope.event_id,))
        return (declined(settings, pending.instrument_id, PlanOrigin.MODEL, why, pending.command_id, event.request_id),)
    found = _read(state, pending, event, message)
    if isinstance(found, Decline):
        return _without(state, settings, message, event.request_id, pending, found)
    document, resolved = found
    identity = message.envelope.event_id
    author = Author(
        PlanOrigin.MODEL, pending.execute, pending.command_id, event.model, event.prompt_version, identity
    )  # fmt: skip
    return (document_plan(state, settings, message, document, resolved, author),)


def expired(state: PlannerState, settings: TradingSettings, message: Message) -> list[Event]:
    """Return the declines of completions that did not come in time."""
    late: list[Event] = []
    for request_id, pending in state.pending.items():
        if message.now >= pending.ts_deadline:
            why = Decline(DeclineReason.COMPLETION_LATE, f"no answer in {settings.model_time_limit_s} s")
            late += _without(state, settings, message, request_id, pending, why)
    return late


def _without(
    state: PlannerState, settings: TradingSettings, message: Message, request_id: str, pending: Pending, why: Decline
) -> list[Event]:
    """Return the decline; where nobody asked for a model in particular, the rules' answer beside it."""
    instrument_id = pending.instrument_id
    said: list[Event] = [
        declined(settings, instrument_id, PlanOrigin.MODEL, why, pending.command_id, request_id)
    ]  # fmt: skip
    if pending.execute and settings.rules_enabled:
        view = view_of(state, settings, state.books[instrument_id])
        said.append(rules_answer(state, settings, message, instrument_id, view, instead_of=request_id))
    return said


def _read(
    state: PlannerState, pending: Pending, event: CompletionReceived, message: Message
) -> tuple[PlanDocument, Resolved] | Decline:
    identity = (message.envelope.event_id,)
    if len(event.raw) > RAW_MAX:
        return Decline(DeclineReason.COMPLETION_INVALID, f"longer than {RAW_MAX} characters", identity)
    try:
        document = parse_plan_document(event.raw)
    except PlanDocumentError as error:
        return Decline(DeclineReason.COMPLETION_INVALID, str(error), identity)
    if document.instrument_id != pending.instrument_id:
        wrong = f"a plan for {document.instrument_id}, asked about {pending.instrument_id}"
        return Decline(DeclineReason.COMPLETION_INVALID, wrong, identity)
    book = state.books[pending.instrument_id]
    found = resolve(document, reference_of(book, message.now), book.tick_size)
    problem = found if isinstance(found, str) else _misplaced(document, found, state)
    if problem is not None:
        return Decline(DeclineReason.COMPLETION_INVALID, problem, identity)
    assert not isinstance(found, str)
    return document, found


def _misplaced(document: PlanDocument, found: Resolved, state: PlannerState) -> str | None:
    """Return which price is where it cannot be; risk checks the same again and trusts nobody."""
    sign, reference = sign_of(document.position_side), found.reference.price
    entry = found.entry.limit_price or found.entry.trigger_price or reference
    collar = Decimal(0) if state.settings is None else state.settings.collar_pct
    if abs(entry - reference) / reference * _HUNDRED > collar:
        return f"entry {plain(entry)} is more than {collar} % from {plain(reference)}"
    if found.stop is not None and sign * (entry - found.stop.trigger_price) <= 0:
        where = "below" if document.position_side is PositionSide.LONG else "above"
        return f"stop {plain(found.stop.trigger_price)} is not {where} the entry {plain(entry)}"
    for target in found.targets:
        if sign * (target.limit_price - entry) <= 0:
            return f"target {plain(target.limit_price)} is not beyond the entry {plain(entry)}"
    return None


_REASONS = {
    CompletionFailure.TIMEOUT: DeclineReason.COMPLETION_LATE,
    CompletionFailure.RATE_LIMITED: DeclineReason.COMPLETION_FAILED,
    CompletionFailure.PROVIDER_ERROR: DeclineReason.COMPLETION_FAILED,
    CompletionFailure.OVER_BUDGET: DeclineReason.COMPLETION_OVER_BUDGET,
    CompletionFailure.TRUNCATED: DeclineReason.COMPLETION_INVALID,
    CompletionFailure.NOT_CONFIGURED: DeclineReason.COMPLETION_FAILED,
}
