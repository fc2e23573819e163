"""What the planner remembers of settings, markets, scores and what holds it back; changed in place in ``evolve``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import PositionChanged
from schemas.events.common import PositionSide, Quality, Regime
from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus, TrendPoint
from schemas.events.control import SettingsChanged
from schemas.events.data import BarClosed, QualityChanged
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, SignalScored
from schemas.events.market import Channel, FeedStatus, InstrumentDefined, MarkPrice, Quote, Trade
from schemas.events.model import CompletionFailed, CompletionReceived, CompletionRequested
from schemas.events.plan import PlanDeclined
from schemas.events.risk import LimitOverridden, StateCause, TradingStateChanged
from schemas.settings import TradingSettings
from schemas.staleness import AGE_MAX, age_max
from schemas.values import plain

REGIME_ONLY = ("rv_rank",)
"""Features no strategy needs: while they warm up the regime says UNKNOWN, and nothing else has to wait for them."""


NEVER = 2**62
"""A moment no message reaches."""
PENDING_MAX = 16
"""Completions awaited at once."""
NOTES_MAX = 20
TEXT_MAX = 300
SOURCES_MAX = 100
"""How much context is remembered: headlines, and as many numbers; characters of each; sources."""


@dataclass(slots=True)
class Score:
    """One strategy's newest signal. ``of``: the features it was computed from."""

    score: float
    horizon_s: int
    event_id: str
    of: str


@dataclass(slots=True)
class Book:
    """One instrument as the planner sees it.

    ``undecided``: the event id of the newest live features of the decision timeframe until they are decided on.
    ``features_id`` empty: none yet. Features and warming_up are those of the decision timeframe.
    """

    tick_size: Decimal | None = None
    last_price: Decimal | None = None
    last_ts: int = 0
    mark_price: Decimal | None = None
    mark_ts: int = 0
    mark_age_max: int = AGE_MAX[Channel.MARK]
    bid_price: Decimal | None = None
    ask_price: Decimal | None = None
    quote_ts: int = 0
    quote_age_max: int = AGE_MAX[Channel.QUOTES]
    quality: Quality = Quality.GOOD
    held: bool = False
    held_side: PositionSide | None = None
    avg_entry_price: Decimal | None = None
    features: dict[str, float] = field(default_factory=dict)
    features_id: str = ""
    warming_up: tuple[str, ...] = ()
    undecided: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    regime: Regime = Regime.UNKNOWN
    uncertainty: Decimal | None = None
    regime_id: str = ""

    def mark_is_fresh(self, now: int) -> bool:
        """Return whether the newest mark is inside its age limit."""
        return self.mark_price is not None and now - self.mark_ts <= self.mark_age_max

    def quote_is_fresh(self, now: int) -> bool:
        """Return whether there is a quote inside its age limit."""
        return self.quote_ts > 0 and now - self.quote_ts <= self.quote_age_max


@dataclass(frozen=True, slots=True)
class Pending:
    """A completion that is awaited. ``execute``: its plan goes to risk at once."""

    instrument_id: str
    ts_deadline: int
    execute: bool
    command_id: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """Something a context source said: words for a model, and the event they come from.

    ``subject``: what a number is of; empty: a headline.
    """

    source: str
    text: str
    ts_event: int
    event_id: str
    subject: str = ""


@dataclass(slots=True)
class PlannerState:
    """Books by instrument, the settings in force (None before the first) and the causes that hold trading back.

    ``pending``: completions awaited, by request; ``next_deadline``: the earliest of theirs. ``notes``: the newest
    context, oldest first; ``sources``: every context source's state, by name.
    """

    settings: TradingSettings | None = None
    books: dict[str, Book] = field(default_factory=dict)
    causes: tuple[StateCause, ...] = ()
    pending: dict[str, Pending] = field(default_factory=dict)
    next_deadline: int = NEVER
    notes: tuple[Note, ...] = ()
    sources: dict[str, SourceState] = field(default_factory=dict)

    def book(self, instrument_id: str) -> Book:
        """Return the instrument's record, making it on first sight; only ``evolve`` may call this."""
        found = self.books.get(instrument_id)
        if found is None:
            found = self.books[instrument_id] = Book()
        return found


def evolve(state: PlannerState, message: Message) -> PlannerState:
    """Return the state after a message; the planner's own plans change nothing in it, its questions do."""
    handler = _HANDLERS.get(type(message.event))
    if handler is not None:
        handler(state, message.event, message)
    return state


def _trade(state: PlannerState, event: Trade, message: Message) -> None:
    book = state.book(event.instrument_id)
    book.last_price = event.last_price
    book.last_ts = message.envelope.ts_event


def _quote(state: PlannerState, event: Quote, message: Message) -> None:
    book = state.book(event.instrument_id)
    book.bid_price = event.bid_price
    book.ask_price = event.ask_price
    book.quote_ts = message.envelope.ts_event


def _mark(state: PlannerState, event: MarkPrice, message: Message) -> None:
    book = state.book(event.instrument_id)
    book.mark_price = event.mark_price
    book.mark_ts = message.envelope.ts_event


def _bar(state: PlannerState, event: BarClosed, message: Message) -> None:
    """A bar built from trades is older than the trade that closed it: the newer price stays."""
    book = state.book(event.instrument_id)
    if event.ts_close >= book.last_ts:
        book.last_price, book.last_ts = event.close_price, event.ts_close


def _feed_status(state: PlannerState, event: FeedStatus, message: Message) -> None:
    book = state.book(event.instrument_id)
    if event.channel is Channel.QUOTES and event.state.is_down:
        book.bid_price, book.ask_price, book.quote_ts = None, None, 0
    if event.cadence_us is None:
        return
    if event.channel is Channel.MARK:
        book.mark_age_max = age_max(event.channel, event.cadence_us)
    elif event.channel is Channel.QUOTES:
        book.quote_age_max = age_max(event.channel, event.cadence_us)


def _instrument(state: PlannerState, event: InstrumentDefined, message: Message) -> None:
    state.book(event.instrument_id).tick_size = event.tick_size


def _quality(state: PlannerState, event: QualityChanged, message: Message) -> None:
    state.book(event.instrument_id).quality = event.quality


def _position(state: PlannerState, event: PositionChanged, message: Message) -> None:
    book = state.book(event.instrument_id)
    book.held = bool(event.quantity)
    book.held_side = (PositionSide.LONG if event.quantity > 0 else PositionSide.SHORT) if book.held else None
    book.avg_entry_price = event.avg_entry_price


def _trading_state(state: PlannerState, event: TradingStateChanged, message: Message) -> None:
    state.causes = event.causes


def _settings(state: PlannerState, event: SettingsChanged, message: Message) -> None:
    state.settings = TradingSettings.from_values(event.values)


def _overridden(state: PlannerState, event: LimitOverridden, message: Message) -> None:
    if state.settings is not None:
        state.settings = state.settings.with_value(event.name, event.value)


def _features(state: PlannerState, event: FeaturesComputed, message: Message) -> None:
    if state.settings is None or event.timeframe != state.settings.decision_timeframe:
        return
    book = state.book(event.instrument_id)
    book.features = dict(event.features)
    book.features_id = message.envelope.event_id
    book.warming_up = awaited(event)
    book.undecided = "" if event.backfill or book.warming_up else message.envelope.event_id


def awaited(event: FeaturesComputed) -> tuple[str, ...]:
    """Return the features still warming up that a strategy may need."""
    return tuple(name for name in event.warming_up if name not in REGIME_ONLY)


def _signal(state: PlannerState, event: SignalScored, message: Message) -> None:
    if state.settings is None or event.timeframe != state.settings.decision_timeframe:
        return
    score = Score(event.score, event.horizon_s, message.envelope.event_id, event.features_event_id)
    state.book(event.instrument_id).scores[event.strategy] = score


def _regime(state: PlannerState, event: RegimeClassified, message: Message) -> None:
    if state.settings is None or event.timeframe != state.settings.regime_timeframe:
        return
    book = state.book(event.instrument_id)
    book.regime, book.uncertainty, book.regime_id = event.regime, event.uncertainty, message.envelope.event_id


def _asked(state: PlannerState, event: CompletionRequested, message: Message) -> None:
    pending = Pending(event.instrument_id, event.ts_deadline, event.execute, event.command_id)
    state.pending[message.envelope.event_id] = pending
    _set_deadline(state)


def _completed(state: PlannerState, event: CompletionReceived | CompletionFailed, message: Message) -> None:
    state.pending.pop(event.request_id, None)
    _set_deadline(state)


def _declined(state: PlannerState, event: PlanDeclined, message: Message) -> None:
    if event.request_id is not None:
        state.pending.pop(event.request_id, None)
        _set_deadline(state)


def _news(state: PlannerState, event: NewsItem, message: Message) -> None:
    if event.timely:
        _note(state, event.source, event.title, message)


def _trend(state: PlannerState, event: TrendPoint, message: Message) -> None:
    if not event.anomaly:
        words = f"{plain(event.value)} of 100{' (so far)' if event.partial else ''}"
        _note(state, event.source, words, message, subject=f"search interest in {event.keyword}")


def _onchain(state: PlannerState, event: OnchainMetric, message: Message) -> None:
    if not event.anomaly:
        _note(state, event.source, f"{plain(event.value)} {event.unit}", message, subject=event.name)


def _note(state: PlannerState, source: str, words: str, message: Message, *, subject: str = "") -> None:
    """Remember the newest of each subject and the newest headlines; one kind does not push out the other."""
    envelope = message.envelope
    text = f"{subject}: {words}" if subject else words
    note = Note(source, text[:TEXT_MAX], envelope.ts_event, envelope.event_id, subject)
    kept = [known for known in state.notes if not subject or (known.source, known.subject) != (source, subject)]
    alike = [known for known in kept if bool(known.subject) == bool(subject)]
    if len(alike) >= NOTES_MAX:
        kept.remove(alike[0])
    state.notes = (*kept, note)


def _source(state: PlannerState, event: SourceStatus, message: Message) -> None:
    if event.source in state.sources or len(state.sources) < SOURCES_MAX:
        state.sources[event.source] = event.state


def _set_deadline(state: PlannerState) -> None:
    state.next_deadline = min((pending.ts_deadline for pending in state.pending.values()), default=NEVER)


_HANDLERS: dict[type[Event], Callable[[PlannerState, Any, Message], None]] = {
    Trade: _trade,
    Quote: _quote,
    MarkPrice: _mark,
    BarClosed: _bar,
    FeedStatus: _feed_status,
    InstrumentDefined: _instrument,
    QualityChanged: _quality,
    PositionChanged: _position,
    TradingStateChanged: _trading_state,
    SettingsChanged: _settings,
    LimitOverridden: _overridden,
    FeaturesComputed: _features,
    SignalScored: _signal,
    RegimeClassified: _regime,
    CompletionRequested: _asked,
    CompletionReceived: _completed,
    CompletionFailed: _completed,
    PlanDeclined: _declined,
    NewsItem: _news,
    TrendPoint: _trend,
    OnchainMetric: _onchain,
    SourceStatus: _source,
}
