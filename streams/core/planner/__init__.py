"""Planner: turns signals, regime and operators' documents into plans with absolute prices, or says why there is none.

Proposals have no size; whether one may be traded is risk's verdict. History (backfill) is neither planned nor
declined on.

With one timeframe for decisions and regime, a bar is decided when its RegimeClassified arrives: the regime stage comes
after the signals stage, so by then every signal of the bar is in. With two timeframes it is decided when every enabled
strategy has scored, under the newest regime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import PositionChanged
from schemas.events.common import PlanOrigin, PriceSource
from schemas.events.control import (
    CommandHandled,
    CommandOutcome,
    ExecutePlan,
    GeneratePlan,
    Planner,
    RefusalCode,
    SettingsChanged,
)
from schemas.events.data import BarClosed, QualityChanged
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, SignalScored
from schemas.events.market import FeedStatus, InstrumentDefined, MarkPrice, Quote, Trade
from schemas.events.plan import DeclineReason, MarketSnapshot, PlanDeclined, PlanProposed
from schemas.events.risk import LimitOverridden, TradingStateChanged
from schemas.ids import derive_id
from schemas.plan_document import PlanDocument, PlanDocumentError, parse_plan_document
from schemas.settings import TradingSettings
from schemas.values import SECOND, Bps, Micros, Price, Rate, bps, price
from streams.core.planner.documents import Reference, Resolved, resolve
from streams.core.planner.rules import RECIPES, Decline, View, propose
from streams.core.planner.state import Book, PlannerState, Score, awaited, evolve
from streams.core.stage import Stage

_TEN_THOUSAND = Decimal(10_000)
_DETAIL_MAX = 500


def decide(state: PlannerState, message: Message) -> Sequence[Event]:
    """Return the plan or the decline this message completes; nothing on ticks."""
    handler, settings = _HANDLERS.get(type(message.event)), state.settings
    if handler is None:
        return ()
    if isinstance(message.event, GeneratePlan | ExecutePlan):
        known = None if settings is None else settings.account_id
        if message.event.account_id != known:
            return (_refused(message.event, message.envelope.event_id, known),)
    return () if settings is None else handler(state, settings, message)


def _refused(command: GeneratePlan | ExecutePlan, command_id: str, known: str | None) -> CommandHandled:
    detail = f"{command.account_id}: this shard's account is {known or 'none before the first settings'}"
    code = RefusalCode.UNKNOWN_ACCOUNT
    return CommandHandled(command_id, command.account_id, CommandOutcome.REFUSED, code, detail)


def _on_features(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    automatic = settings.rules_enabled and event.timeframe == settings.decision_timeframe and not event.backfill
    if not automatic or not awaited(event):
        return ()
    book = state.books.get(event.instrument_id, Book())
    view = _view(state, settings, book, features=event, features_id=message.envelope.event_id)
    return (_answer(state, settings, message, event.instrument_id, view),)


def _on_signal(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    book = state.books.get(event.instrument_id)
    if book is None or settings.regime_timeframe == settings.decision_timeframe:
        return ()
    if not _completes(settings, book, event):
        return ()
    scores = {**book.scores, event.strategy: _score(event, message)}
    return (_answer(state, settings, message, event.instrument_id, _view(state, settings, book, scores=scores)),)


def _completes(settings: TradingSettings, book: Book, event: SignalScored) -> bool:
    if not settings.rules_enabled or not book.undecided or event.features_event_id != book.undecided:
        return False
    scored = {name for name, score in book.scores.items() if score.of == book.undecided} | {event.strategy}
    return all(name in scored for name in settings.strategies if name in RECIPES)


def _score(event: SignalScored, message: Message) -> Score:
    return Score(event.score, event.horizon_s, message.envelope.event_id, event.features_event_id)


def _on_regime(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    book = state.books.get(event.instrument_id)
    together = settings.regime_timeframe == settings.decision_timeframe == event.timeframe
    if book is None or not together or not settings.rules_enabled:
        return ()
    if not book.undecided or event.features_event_id != book.undecided:
        return ()
    view = _view(state, settings, book, regime=event, regime_id=message.envelope.event_id)
    return (_answer(state, settings, message, event.instrument_id, view),)


def _view(
    state: PlannerState,
    settings: TradingSettings,
    book: Book,
    *,
    features: FeaturesComputed | None = None,
    features_id: str = "",
    scores: Mapping[str, Score] | None = None,
    regime: RegimeClassified | None = None,
    regime_id: str = "",
) -> View:
    """Return what the rules see once the message at hand counts."""
    current = features_id or book.features_id
    return View(
        last_price=book.last_price,
        tick_size=book.tick_size,
        quality=book.quality,
        held=book.held,
        features=features.features if features else book.features,
        features_id=current,
        warming_up=awaited(features) if features else book.warming_up,
        scores={name: score for name, score in (scores or book.scores).items() if score.of == current},
        regime=regime.regime if regime else book.regime,
        uncertainty=regime.uncertainty if regime else book.uncertainty,
        regime_id=regime_id or book.regime_id,
        causes=state.causes,
        strategies=settings.strategies,
        timeframe=settings.decision_timeframe,
    )


def _answer(
    state: PlannerState,
    settings: TradingSettings,
    message: Message,
    instrument_id: str,
    view: View,
    command_id: str | None = None,
) -> PlanProposed | PlanDeclined:
    """Return the rules' plan (executed unless a command asked for it) or their reason against one."""
    found = propose(view)
    if isinstance(found, Decline):
        return _declined(settings, instrument_id, PlanOrigin.RULES, found, command_id)
    book = state.books[instrument_id]
    reference = _reference(book, message.now)
    assert reference is not None, "a set-up needs a last price"
    return PlanProposed(
        plan_id=derive_id(message.envelope.event_id, "plan", instrument_id),
        account_id=settings.account_id,
        instrument_id=instrument_id,
        position_side=found.side,
        strategy=found.strategy,
        origin=PlanOrigin.RULES,
        execute=command_id is None,
        reference_price=price(reference.price),
        reference_source=reference.source,
        entry=found.entry,
        stop=found.stop,
        targets=found.targets,
        valid_for_s=found.valid_for_s,
        ts_valid_until=Micros(message.now + found.valid_for_s * SECOND),
        max_holding_s=found.max_holding_s,
        rationale=found.rationale,
        confidence=found.confidence,
        snapshot=_snapshot(book, message.now, view),
        missing_sources=_missing_sources(book, message.now, view),
        command_id=command_id,
    )


def _declined(
    settings: TradingSettings, instrument_id: str, origin: PlanOrigin, why: Decline, command_id: str | None
) -> PlanDeclined:
    detail = why.detail[:_DETAIL_MAX]
    return PlanDeclined(settings.account_id, instrument_id, origin, why.reason, detail, why.evidence, command_id)


def _reference(book: Book | None, now: int) -> Reference | None:
    """Return the fresh mark, else the last price."""
    if book is None:
        return None
    if book.mark_price is not None and book.mark_is_fresh(now):
        return Reference(book.mark_price, PriceSource.MARK)
    return None if book.last_price is None else Reference(book.last_price, PriceSource.LAST)


def _snapshot(book: Book, now: int, view: View) -> MarketSnapshot:
    return MarketSnapshot(
        last_price=None if book.last_price is None else Price(book.last_price),
        mark_price=None if book.mark_price is None else Price(book.mark_price),
        spread_bps=_spread_bps(book, now),
        regime=view.regime,
        uncertainty=None if view.uncertainty is None else Rate(view.uncertainty),
        quality=view.quality,
        features=dict(view.features),
        features_event_id=view.features_id or None,
        regime_event_id=view.regime_id or None,
    )


def _spread_bps(book: Book, now: int) -> Bps | None:
    if book.bid_price is None or book.ask_price is None or not book.quote_is_fresh(now):
        return None
    middle = (book.bid_price + book.ask_price) / 2
    return bps((book.ask_price - book.bid_price) / middle * _TEN_THOUSAND) if middle > 0 else None


def _missing_sources(book: Book, now: int, view: View) -> tuple[str, ...]:
    absent = (
        ("mark", not book.mark_is_fresh(now)),
        ("quotes", not book.quote_is_fresh(now)),
        ("features", not view.features_id),
        ("regime", not view.regime_id),
    )
    return tuple(name for name, missing in absent if missing)


def _on_generate(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    command_id = message.envelope.event_id
    if event.planner is Planner.LLM:
        why = Decline(DeclineReason.CONTEXT_MISSING, "no model planner is connected to this trader")
        return (_declined(settings, event.instrument_id, PlanOrigin.MODEL, why, command_id),)
    book = state.books.get(event.instrument_id)
    if book is None:
        why = Decline(DeclineReason.WARMING_UP, f"no data of {event.instrument_id} yet")
        return (_declined(settings, event.instrument_id, PlanOrigin.RULES, why, command_id),)
    view = _view(state, settings, book)
    return (_answer(state, settings, message, event.instrument_id, view, command_id),)


def _on_execute(state: PlannerState, settings: TradingSettings, message: Message) -> Sequence[Event]:
    event: Any = message.event
    command_id = message.envelope.event_id
    try:
        document = parse_plan_document(event.document)
    except PlanDocumentError as error:
        why = Decline(DeclineReason.NO_SETUP, f"invalid plan document: {error}")
        return (_declined(settings, "", PlanOrigin.OPERATOR, why, command_id),)
    book = state.books.get(document.instrument_id, Book())
    found = resolve(document, _reference(book, message.now), book.tick_size)
    if isinstance(found, str):
        why = Decline(DeclineReason.NO_SETUP, found)
        return (_declined(settings, document.instrument_id, PlanOrigin.OPERATOR, why, command_id),)
    return (_operator_plan(state, settings, message, document, found, book),)


def _operator_plan(
    state: PlannerState,
    settings: TradingSettings,
    message: Message,
    document: PlanDocument,
    found: Resolved,
    book: Book,
) -> PlanProposed:
    view = _view(state, settings, book)
    return PlanProposed(
        plan_id=derive_id(message.envelope.event_id, "plan", document.instrument_id),
        account_id=settings.account_id,
        instrument_id=document.instrument_id,
        position_side=document.position_side,
        strategy=document.strategy,
        origin=PlanOrigin.OPERATOR,
        execute=True,
        reference_price=price(found.reference.price),
        reference_source=found.reference.source,
        entry=found.entry,
        stop=found.stop,
        targets=found.targets,
        valid_for_s=document.valid_for_s,
        ts_valid_until=Micros(message.now + document.valid_for_s * SECOND),
        max_holding_s=document.max_holding_s,
        rationale=document.rationale,
        confidence=document.confidence,
        snapshot=_snapshot(book, message.now, view),
        missing_sources=_missing_sources(book, message.now, view),
        command_id=message.envelope.event_id,
    )


_HANDLERS: dict[type[Event], Callable[[PlannerState, TradingSettings, Message], Sequence[Event]]] = {
    FeaturesComputed: _on_features,
    SignalScored: _on_signal,
    RegimeClassified: _on_regime,
    GeneratePlan: _on_generate,
    ExecutePlan: _on_execute,
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
    ),
    state_type=PlannerState,
    initial=PlannerState,
    decide=decide,
    evolve=evolve,
)
