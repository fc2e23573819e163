"""Planner: turns signals, regime and operators' documents into plans with absolute prices, or says why there is none.

Proposals have no size; whether one may be traded is risk's verdict. History (backfill) is neither planned nor
declined on.

With one timeframe for decisions and regime, a bar is decided when its RegimeClassified arrives: the regime stage comes
after the signals stage, so by then every signal of the bar is in. With two timeframes it is decided when every enabled
strategy has scored, under the newest regime.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import PositionChanged
from schemas.events.common import PlanOrigin
from schemas.events.context import NewsItem, OnchainMetric, SourceStatus, TrendPoint
from schemas.events.control import (
    CommandHandled,
    CommandOutcome,
    ExecutePlan,
    GeneratePlan,
    Planner,
    RefusalCode,
    SettingsChanged,
    TimerFired,
)
from schemas.events.data import BarClosed, QualityChanged
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, SignalScored
from schemas.events.market import FeedStatus, InstrumentDefined, MarkPrice, Quote, Trade
from schemas.events.model import CompletionFailed, CompletionReceived
from schemas.events.plan import DeclineReason
from schemas.events.risk import LimitOverridden, TradingStateChanged
from schemas.plan_document import PlanDocumentError, parse_plan_document
from schemas.settings import TradingSettings
from streams.core.planner.answers import Author, declined, document_plan, reference_of, rules_answer, view_of
from streams.core.planner.documents import resolve
from streams.core.planner.model import ask, expired, on_completion
from streams.core.planner.rules import RECIPES, Decline, View
from streams.core.planner.state import Book, PlannerState, Score, awaited, evolve
from streams.core.stage import Stage


def decide(state: PlannerState, message: Message) -> Sequence[Event]:
    """Return the plan, question or decline this message completes; on ticks only that a completion is overdue."""
    handler, settings = _HANDLERS.get(type(message.event)), state.settings
    late = expired(state, settings, message) if settings and message.now >= state.next_deadline else ()
    if handler is None:
        return late
    if isinstance(message.event, GeneratePlan | ExecutePlan):
        known = None if settings is None else settings.account_id
        if message.event.account_id != known:
            return (*late, _refused(message.event, message.envelope.event_id, known))
    return () if settings is None else (*late, *handler(state, settings, message))


def _automatic(
    state: PlannerState, settings: TradingSettings, message: Message, instrument_id: str, view: View
) -> Sequence[Event]:
    """Return what a decision bar brings: a question to the model where one is set, else the rules' answer."""
    if settings.decision_planner == "MODEL":
        return (ask(state, settings, message, instrument_id, view),)
    return (rules_answer(state, settings, message, instrument_id, view),)


def _refused(command: GeneratePlan | ExecutePlan, command_id: str, known: str | None) -> CommandHandled:
    detail = f"{command.account_id}: this shard's account is {known or 'none before the first settings'}"
    code = RefusalCode.UNKNOWN_ACCOUNT
    return CommandHandled(command_id, command.account_id, CommandOutcome.REFUSED, code, detail)


def _on_features(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    automatic = settings.decides_alone and event.timeframe == settings.decision_timeframe and not event.backfill
    if not automatic or not awaited(event):
        return ()
    book = state.books.get(event.instrument_id, Book())
    view = view_of(state, settings, book, features=event, features_id=message.envelope.event_id)
    return _automatic(state, settings, message, event.instrument_id, view)


def _on_signal(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    book = state.books.get(event.instrument_id)
    if book is None or settings.regime_timeframe == settings.decision_timeframe:
        return ()
    if not _completes(settings, book, event):
        return ()
    scores = {**book.scores, event.strategy: _score(event, message)}
    return _automatic(state, settings, message, event.instrument_id, view_of(state, settings, book, scores=scores))


def _completes(settings: TradingSettings, book: Book, event: SignalScored) -> bool:
    if not settings.decides_alone or not book.undecided or event.features_event_id != book.undecided:
        return False
    scored = {name for name, score in book.scores.items() if score.of == book.undecided} | {event.strategy}
    return all(name in scored for name in settings.strategies if name in RECIPES)


def _score(event: SignalScored, message: Message) -> Score:
    return Score(event.score, event.horizon_s, message.envelope.event_id, event.features_event_id)


def _on_regime(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    book = state.books.get(event.instrument_id)
    together = settings.regime_timeframe == settings.decision_timeframe == event.timeframe
    if book is None or not together or not settings.decides_alone:
        return ()
    if not book.undecided or event.features_event_id != book.undecided:
        return ()
    view = view_of(state, settings, book, regime=event, regime_id=message.envelope.event_id)
    return _automatic(state, settings, message, event.instrument_id, view)


def _on_generate(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    command_id = message.envelope.event_id
    origin = PlanOrigin.MODEL if event.planner is Planner.LLM else PlanOrigin.RULES
    book = state.books.get(event.instrument_id)
    if book is None:
        why = Decline(DeclineReason.WARMING_UP, f"no data of {event.instrument_id} yet")
        return (declined(settings, event.instrument_id, origin, why, command_id),)
    answer = ask if origin is PlanOrigin.MODEL else rules_answer
    return (answer(state, settings, message, event.instrument_id, view_of(state, settings, book), command_id),)


def _on_execute(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    command_id = message.envelope.event_id
    try:
        document = parse_plan_document(event.document)
    except PlanDocumentError as error:
        why = Decline(DeclineReason.NO_SETUP, f"invalid plan document: {error}")
        return (declined(settings, "", PlanOrigin.OPERATOR, why, command_id),)
    book = state.books.get(document.instrument_id, Book())
    found = resolve(document, reference_of(book, message.now), book.tick_size)
    if isinstance(found, str):
        why = Decline(DeclineReason.NO_SETUP, found)
        return (declined(settings, document.instrument_id, PlanOrigin.OPERATOR, why, command_id),)
    author = Author(PlanOrigin.OPERATOR, execute=True, command_id=command_id)
    return (document_plan(state, settings, message, document, found, author),)


_HANDLERS: dict[type[Event], Callable[[PlannerState, TradingSettings, Message], Sequence[Event]]] = {
    FeaturesComputed: _on_features,
    SignalScored: _on_signal,
    RegimeClassified: _on_regime,
    GeneratePlan: _on_generate,
    ExecutePlan: _on_execute,
    CompletionReceived: on_completion,
    CompletionFailed: on_completion,
}

STAGE = Stage(
    name="planner",
    takes=(
        SettingsChanged,
        LimitOverridden,
        InstrumentDefined,
        Trade,
        Quote,
        MarkPrice,
        FeedStatus,
        BarClosed,
        FeaturesComputed,
        SignalScored,
        RegimeClassified,
        QualityChanged,
        TradingStateChanged,
        PositionChanged,
        GeneratePlan,
        ExecutePlan,
        TimerFired,
        CompletionReceived,
        CompletionFailed,
        NewsItem,
        TrendPoint,
        OnchainMetric,
        SourceStatus,
    ),
    state_type=PlannerState,
    initial=PlannerState,
    decide=decide,
    evolve=evolve,
)
