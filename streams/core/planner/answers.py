"""What an answer is made of: the view the rules see, the market snapshot, plans and declines, addressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from schemas.envelope import Message
from schemas.events.common import PlanOrigin, PriceSource
from schemas.events.context import SourceState
from schemas.events.intelligence import FeaturesComputed, RegimeClassified
from schemas.events.plan import MarketSnapshot, PlanDeclined, PlanProposed
from schemas.ids import derive_id
from schemas.plan_document import PlanDocument
from schemas.settings import TradingSettings
from schemas.values import SECOND, Bps, Micros, Price, Rate, bps, price
from streams.core.planner.documents import Reference, Resolved
from streams.core.planner.rules import Decline, View, propose
from streams.core.planner.state import Book, PlannerState, Score, awaited

_TEN_THOUSAND = Decimal(10_000)
_DETAIL_MAX = 500


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a plan document. ``execute``: it goes to risk at once. The last three are a model's."""

    origin: PlanOrigin
    execute: bool
    command_id: str | None
    model: str | None = None
    prompt_version: str | None = None
    completion_id: str | None = None


def view_of(
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


def rules_answer(
    state: PlannerState,
    settings: TradingSettings,
    message: Message,
    instrument_id: str,
    view: View,
    command_id: str | None = None,
    *,
    instead_of: str | None = None,
) -> PlanProposed | PlanDeclined:
    """Return the rules' plan (executed unless a command asked for it) or their reason against one.

    ``instead_of``: the question a model left open; the message that finds it late may bring a plan of its own, and two
    plans never share an id.
    """
    found = propose(view)
    if isinstance(found, Decline):
        return declined(settings, instrument_id, PlanOrigin.RULES, found, command_id)
    book = state.books[instrument_id]
    reference = reference_of(book, message.now)
    assert reference is not None, "a set-up needs a last price"
    return PlanProposed(
        plan_id=derive_id(instead_of or message.envelope.event_id, "plan", instrument_id),
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
        snapshot=snapshot_of(book, message.now, view),
        missing_sources=missing_sources(state, book, message.now, view),
        command_id=command_id,
    )


def declined(
    settings: TradingSettings,
    instrument_id: str,
    origin: PlanOrigin,
    why: Decline,
    command_id: str | None,
    request_id: str | None = None,
) -> PlanDeclined:
    """Return the answer that there is no plan, and why."""
    detail = why.detail[:_DETAIL_MAX]
    account_id, evidence = settings.account_id, why.evidence
    return PlanDeclined(account_id, instrument_id, origin, why.reason, detail, evidence, command_id, request_id)


def reference_of(book: Book | None, now: int) -> Reference | None:
    """Return the fresh mark, else the last price."""
    if book is None:
        return None
    if book.mark_price is not None and book.mark_is_fresh(now):
        return Reference(book.mark_price, PriceSource.MARK)
    return None if book.last_price is None else Reference(book.last_price, PriceSource.LAST)


def snapshot_of(book: Book, now: int, view: View) -> MarketSnapshot:
    """Return what the author of a plan could see."""
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


def missing_sources(state: PlannerState, book: Book, now: int, view: View) -> tuple[str, ...]:
    """Return the sources an answer had to do without: of the market, then those of context that are not up."""
    absent = (
        ("mark", not book.mark_is_fresh(now)),
        ("quotes", not book.quote_is_fresh(now)),
        ("features", not view.features_id),
        ("regime", not view.regime_id),
    )
    away = sorted(name for name, known in state.sources.items() if known is not SourceState.UP)
    return (*(name for name, missing in absent if missing), *away)


def document_plan(
    state: PlannerState,
    settings: TradingSettings,
    message: Message,
    document: PlanDocument,
    found: Resolved,
    author: Author,
) -> PlanProposed:
    """Return a document as a plan: whoever wrote it, its prices are absolute and on the tick by now."""
    book = state.books.get(document.instrument_id, Book())
    view = view_of(state, settings, book)
    return PlanProposed(
        plan_id=derive_id(message.envelope.event_id, "plan", document.instrument_id),
        account_id=settings.account_id,
        instrument_id=document.instrument_id,
        position_side=document.position_side,
        strategy=document.strategy,
        origin=author.origin,
        execute=author.execute,
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
        snapshot=snapshot_of(book, message.now, view),
        missing_sources=missing_sources(state, book, message.now, view),
        command_id=author.command_id,
        model=author.model,
        prompt_version=author.prompt_version,
        completion_id=author.completion_id,
    )
