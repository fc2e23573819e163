"""The paper venue: an exchange in the account's own log. It meets orders with the market that comes after them.

It decides what an order became (accepted, rejected, filled, canceled), funding and liquidation. It does not decide what
to trade, and books nothing: its reports are facts like those of a real venue, and the account stage books them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import CashFlowed
from schemas.events.common import AccountMode, PositionMode, TriggerPriceType
from schemas.events.control import SettingsChanged, TimerFired
from schemas.events.market import (
    BookTop,
    FeedStatus,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.events.orders import AccountSnapshot, AmendIntended, CancelIntended, OrderIntended
from schemas.settings import TradingSettings, Venue
from schemas.values import Money
from streams.core.stage import Stage
from streams.core.venue import bars, flight, fold, intake, margin, ticks
from streams.core.venue.draft import Draft
from streams.core.venue.state import Book, VenueState

__all__ = ["STAGE", "VenueState"]


def decide(state: VenueState, message: Message) -> Sequence[Event]:
    """Return what the venue reports because of a message."""
    event = message.event
    rule = _DECIDE.get(type(event))
    if message.now < state.next_due or type(event) not in _INPUTS:
        return () if rule is None else rule(state, message, event)
    after, due = flight.decide_due(state, message)
    return due if rule is None else [*due, *rule(after, message, event)]


def _decide_settings(state: VenueState, message: Message, event: SettingsChanged) -> Sequence[Event]:
    if state.opened:
        return ()
    values = TradingSettings.from_values(event.values)
    cash, modes = Money(values.initial_cash), (AccountMode.FUTURES, PositionMode.NET)
    return [AccountSnapshot(values.account_id, cash, (), (), *modes)]


def _decide_bar(state: VenueState, message: Message, event: VenueBar) -> Sequence[Event]:
    book = state.books.get(event.instrument_id)
    if book is None or book.idle or not bars.fills_orders(book, event, message.envelope.ts_event):
        return ()
    return bars.decide_bar(state, message, event)


def _decide_trade(state: VenueState, message: Message, event: Trade) -> Sequence[Event]:
    book = state.books.get(event.instrument_id)
    if book is None or (not book.orders and not book.position.quantity):
        return ()
    if not ticks.trade_may_act(book, event.last_price) and not _liquidates(state, book, message, event):
        return ()
    return ticks.decide_tick(state, message, event.instrument_id, event)


def _liquidates(state: VenueState, book: Book, message: Message, event: Trade) -> bool:
    """Whether last stands in for the mark and would liquidate the position."""
    if not book.position.quantity or not margin.mark_is_missing(book, state.terms, message.now):
        return False
    return margin.is_liquidated(state, book, event.last_price)


def _decide_quote(state: VenueState, message: Message, event: Quote | BookTop) -> Sequence[Event]:
    book = state.books.get(event.instrument_id)
    quoted = _best(event)
    if book is None or not book.orders or quoted is None or not ticks.quote_may_act(book, quoted[0], quoted[2]):
        return ()
    seen = state.copy_for(event.instrument_id)
    ticks.set_quote(seen.books[event.instrument_id], *quoted, message.envelope.ts_event)
    return ticks.decide_tick(seen, message, event.instrument_id, None)


def _decide_mark(state: VenueState, message: Message, event: MarkPrice) -> Sequence[Event]:
    book = state.books.get(event.instrument_id)
    if book is None or not book.position.quantity or not margin.is_liquidated(state, book, event.mark_price):
        return ()
    draft = Draft(state, event.instrument_id, message)
    margin.check(draft, event.mark_price, TriggerPriceType.MARK)
    return draft.outputs


def _decide_funding(state: VenueState, message: Message, event: FundingSettled) -> Sequence[Event]:
    book = state.books.get(event.instrument_id)
    if book is None or not book.position.quantity or book.is_spot or event.ts_funding <= book.ts_funding:
        return ()
    draft = Draft(state, event.instrument_id, message)
    margin.settle_funding(draft, event.ts_funding, event.funding_rate)
    return draft.outputs


_DECIDE: dict[type[Event], Callable[[VenueState, Message, Any], Sequence[Event]]] = {
    Trade: _decide_trade,
    Quote: _decide_quote,
    BookTop: _decide_quote,
    MarkPrice: _decide_mark,
    VenueBar: _decide_bar,
    FundingSettled: _decide_funding,
    SettingsChanged: _decide_settings,
    OrderIntended: intake.decide_order,
    AmendIntended: intake.decide_change,
    CancelIntended: intake.decide_change,
}


def evolve(state: VenueState, message: Message) -> VenueState:
    """Fold a message, or one of the venue's own reports."""
    event = message.event
    rule = _FOLD.get(type(event))
    if rule is None:
        fold.output(state, event)
    else:
        rule(state, message, event)
    return state


def _fold_settings(state: VenueState, message: Message, event: SettingsChanged) -> None:
    fold.settings(state, event)


def _fold_instrument(state: VenueState, message: Message, event: InstrumentDefined) -> None:
    fold.instrument(state, event)


def _fold_cash(state: VenueState, message: Message, event: CashFlowed) -> None:
    fold.cash_flowed(state, event)


def _fold_feed(state: VenueState, message: Message, event: FeedStatus) -> None:
    fold.feed_status(state, event)


def _fold_trade(state: VenueState, message: Message, event: Trade) -> None:
    state.step_bar = None
    book = state.books.get(event.instrument_id)
    if book is not None:
        ticks.fold_trade(book, state.terms, event, message.envelope.ts_event, message.now)


def _fold_quote(state: VenueState, message: Message, event: Quote | BookTop) -> None:
    state.step_bar = None
    book = state.books.get(event.instrument_id)
    if book is None:
        return
    quoted = _best(event)
    if quoted is not None:
        ticks.fold_quote(book, state.terms, *quoted, message.envelope.ts_event)


def _best(event: Quote | BookTop) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
    """Return best bid, its quantity, best ask, its quantity; None: a side is empty."""
    if type(event) is Quote:
        return event.bid_price, event.bid_quantity, event.ask_price, event.ask_quantity
    assert isinstance(event, BookTop)
    if not event.bids or not event.asks:
        return None
    bid, ask = event.bids[0], event.asks[0]
    return bid.price, bid.base_quantity, ask.price, ask.base_quantity


def _fold_mark(state: VenueState, message: Message, event: MarkPrice) -> None:
    state.step_bar = None
    book = state.books.get(event.instrument_id)
    if book is not None:
        ticks.fold_mark(book, state.terms, event.mark_price, message.envelope.ts_event)


def _fold_index(state: VenueState, message: Message, event: IndexPrice) -> None:
    state.step_bar = None
    for book in state.books_on_index(event.instrument_id):
        ticks.fold_index(book, state.terms, event.index_price, message.envelope.ts_event)


def _fold_bar(state: VenueState, message: Message, event: VenueBar) -> None:
    state.step_bar = None
    book = state.books.get(event.instrument_id)
    if book is None or event.backfill:
        return
    if not book.idle and bars.fills_orders(book, event, message.envelope.ts_event):
        state.step_bar = bars.step_bar(book, event)
        bars.mark_met(book, event)
    bars.remember(book, event, message.envelope.ts_event)


def _fold_other_input(state: VenueState, message: Message, event: Event) -> None:
    state.step_bar = None


def _fold_order(state: VenueState, message: Message, event: OrderIntended) -> None:
    fold.order_intended(state, event, message.now)


def _fold_change(state: VenueState, message: Message, event: AmendIntended | CancelIntended) -> None:
    fold.change_intended(state, event, message.now)


_FOLD: dict[type[Event], Callable[[VenueState, Message, Any], None]] = {
    Trade: _fold_trade,
    Quote: _fold_quote,
    BookTop: _fold_quote,
    MarkPrice: _fold_mark,
    IndexPrice: _fold_index,
    VenueBar: _fold_bar,
    FundingSettled: _fold_other_input,
    TimerFired: _fold_other_input,
    SettingsChanged: _fold_settings,
    InstrumentDefined: _fold_instrument,
    FeedStatus: _fold_feed,
    CashFlowed: _fold_cash,
    OrderIntended: _fold_order,
    AmendIntended: _fold_change,
    CancelIntended: _fold_change,
}
_INPUTS = (Trade, Quote, BookTop, MarkPrice, IndexPrice, VenueBar, FundingSettled, TimerFired)

STAGE = Stage(
    name="venue",
    takes=tuple(_FOLD),
    state_type=VenueState,
    initial=VenueState,
    decide=decide,
    evolve=evolve,
    only_on=Venue.PAPER,
)
