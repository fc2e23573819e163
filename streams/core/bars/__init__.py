"""Bars: turns prints, or the venue's own bars, into closed bars of 1m, 5m, 15m, 1h and 4h.

Emits BarClosed, short before long, never twice for one bar. The venue's bars win: while an instrument's BARS channel is
open its prints build nothing; when it is lost or ended, prints take over. The rules are in ``build``. Leaves out bars
of marks and quotes, and empty minutes: a minute without prints has no bar.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Event, Message
from schemas.events.control import TimerFired
from schemas.events.data import BarClosed, GapClosed, GapOpened, QualityChanged
from schemas.events.market import BookTop, Channel, FeedState, FeedStatus, MarkPrice, Quote, Trade, VenueBar
from streams.core.bars import build
from streams.core.bars.state import NEVER, BarsState, Book
from streams.core.stage import Stage

_PRINTS = (Trade, VenueBar)
_CLOCKS = frozenset((Quote, BookTop, MarkPrice, TimerFired))
"""Messages that matter here only for the time they carry."""


def decide(state: BarsState, message: Message) -> Sequence[Event]:
    """Return the bars this message closes; nothing for a print inside its minute."""
    event, now = message.event, message.now
    closed: list[BarClosed] = []
    instrument_id = ""
    if isinstance(event, _PRINTS):
        instrument_id = event.instrument_id
        book = state.books.get(instrument_id)
        if now < state.due_us:
            if isinstance(event, Trade):
                if _closes_nothing(book, message.envelope.ts_event):
                    return ()
            elif book is not None and build.closes_only_itself(book, event):
                return (build.venue_bar_closed(event, book.quality),)
        trial = Book() if book is None else book.trial()
        closed = _fold(trial, message)
        closed += build.close_by_clock(trial, instrument_id, now)
    if now < state.due_us:
        return closed
    for other, book in state.books.items():
        if other != instrument_id and now >= book.due_us:
            closed += build.close_by_clock(book.trial(), other, now)
    return closed


def evolve(state: BarsState, message: Message) -> BarsState:
    """Fold a message. Changes the state in place; the stage's own BarClosed holds nothing new."""
    event, now = message.event, message.now
    kind = type(event)
    if kind is BarClosed or (now < state.due_us and kind in _CLOCKS):
        return state
    if isinstance(event, _PRINTS):
        book = state.books.get(event.instrument_id)
        if book is None:
            book = state.books[event.instrument_id] = Book()
        if isinstance(event, Trade) and now < state.due_us and _closes_nothing(book, message.envelope.ts_event):
            build.fold_print(book, event, message.envelope.ts_event)
            return state
        _fold(book, message)
        _reschedule(state, book)
        _close_due(state, now)
        return state
    _close_due(state, now)
    if isinstance(event, FeedStatus | QualityChanged | GapOpened | GapClosed):
        _note(state.books.setdefault(event.instrument_id, Book()), event, message.envelope.ts_event)
    return state


def _close_due(state: BarsState, now: int) -> None:
    if now < state.due_us:
        return
    for instrument_id, book in state.books.items():
        build.close_by_clock(book, instrument_id, now)
        book.due_us = build.next_due(book)
    state.due_us = min(book.due_us for book in state.books.values())


def _closes_nothing(book: Book | None, ts: int) -> bool:
    if book is None or book.venue:
        return book is not None
    return book.prints is not None and book.prints.ts_open <= ts < book.prints.ts_close


def _fold(book: Book, message: Message) -> list[BarClosed]:
    event = message.event
    if isinstance(event, Trade):
        return build.fold_print(book, event, message.envelope.ts_event)
    assert isinstance(event, VenueBar)
    return build.fold_venue_bar(book, event)


def _reschedule(state: BarsState, book: Book) -> None:
    book.due_us = build.next_due(book)
    state.due_us = min(each.due_us for each in state.books.values())


def _note(book: Book, event: FeedStatus | QualityChanged | GapOpened | GapClosed, ts: int) -> None:
    """Take in what is said about the data, as far as bars care."""
    if isinstance(event, QualityChanged):
        book.quality = event.quality
        if book.prints is not None:
            book.prints.quality = build.worst(book.prints.quality, event.quality)
    elif isinstance(event, FeedStatus):
        _note_feed(book, event, ts)
    elif event.channel is Channel.TRADES:
        book.gap = isinstance(event, GapOpened)
        if book.prints is not None:
            book.prints.complete = False


def _note_feed(book: Book, event: FeedStatus, ts: int) -> None:
    on = event.state in (FeedState.OPEN, FeedState.RESYNCED)
    if event.channel is Channel.BARS:
        if book.venue and not on:
            book.watched_from = ts
        book.venue = on
        if on:
            book.prints = None
    elif event.channel is Channel.TRADES:
        if not on:
            book.watched_from = NEVER
        elif book.watched_from == NEVER:
            book.watched_from = ts


STAGE = Stage(
    name="bars",
    takes=(
        Trade,
        VenueBar,
        Quote,
        BookTop,
        MarkPrice,
        TimerFired,
        FeedStatus,
        QualityChanged,
        GapOpened,
        GapClosed,
    ),
    state_type=BarsState,
    initial=BarsState,
    decide=decide,
    evolve=evolve,
)
