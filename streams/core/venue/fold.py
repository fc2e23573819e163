"""How each event moves the venue's state: ``decide`` folds into its draft as ``evolve`` folds into the state."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.account import CashFlowed, FlowKind
from schemas.events.common import MarginMode, OrderPurpose, OrderType, Side, TriggerPriceType
from schemas.events.control import SettingsChanged
from schemas.events.market import Channel, FeedStatus, InstrumentDefined, InstrumentKind
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    NotSent,
    OrderIntended,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueFunding,
    VenueLiquidated,
    VenueRejected,
)
from schemas.settings import TradingSettings
from schemas.values import money
from streams.core.venue import chance
from streams.core.venue.state import (
    NEVER,
    ZERO,
    Book,
    StepBar,
    Terms,
    VenueOrder,
    VenuePositionState,
    VenueState,
    is_of_bar,
    is_tick_fed,
)
from streams.core.venue.travel import request_of, travels

_HUNDRED = Decimal(100)
_BPS = Decimal(10000)


def settings(state: VenueState, event: SettingsChanged) -> None:
    """Take the terms of the account; the first settings also give the cash."""
    values = TradingSettings.from_values(event.values)
    state.terms = Terms(
        account_id=values.account_id,
        fee_maker_swap=values.fee_maker_swap_pct / _HUNDRED,
        fee_taker_swap=values.fee_taker_swap_pct / _HUNDRED,
        fee_maker_spot=values.fee_maker_spot_pct / _HUNDRED,
        fee_taker_spot=values.fee_taker_spot_pct / _HUNDRED,
        slippage=values.slippage_bps / _BPS,
        participation=values.participation_pct / _HUNDRED,
        latency_us=values.latency_us,
        latency_jitter_us=values.latency_jitter_us,
        fault_reject_pct=values.fault_reject_pct,
        fault_partial_pct=values.fault_partial_pct,
        seed=values.seed,
        mark_substitute=values.mark_substitute,
    )


def instrument(state: VenueState, event: InstrumentDefined) -> None:
    """Take the metadata in force from now on."""
    book = state.books.get(event.instrument_id)
    if book is None:
        state.books[event.instrument_id] = Book(event)
    else:
        book.instrument = event


def cash_flowed(state: VenueState, event: CashFlowed) -> None:
    """Take a deposit or withdrawal that the account accepted; the initial cash came from the venue itself."""
    if event.kind is not FlowKind.INITIAL:
        state.cash += event.amount


def feed_status(state: VenueState, event: FeedStatus) -> None:
    """Learn how often mark and index are due, and forget a quote whose feed is gone."""
    if event.channel is Channel.INDEX and event.cadence_us is not None:
        for affected in state.books_on_index(event.instrument_id):
            affected.index.cadence_us = event.cadence_us
    book = state.books.get(event.instrument_id)
    if book is None:
        return
    if event.channel is Channel.MARK and event.cadence_us is not None:
        book.mark.cadence_us = event.cadence_us
    if event.channel in (Channel.QUOTES, Channel.BOOK):
        book.ts_quote = -1


def order_intended(state: VenueState, event: OrderIntended, now: int) -> None:
    """Put an order on the book; whether it may stay is decided by the reports that follow."""
    book = state.books.get(event.instrument_id)
    if book is None or event.client_order_id in book.orders:
        return
    source = event.trigger_price_type or TriggerPriceType.LAST
    expires = _expires(book, event, now)
    ts_live = now + chance.latency_us(state.terms, event.client_order_id, 0)
    travelled = ts_live > now and travels(book, state.terms, now)
    book.orders[event.client_order_id] = VenueOrder(
        client_order_id=event.client_order_id,
        plan_id=event.plan_id,
        account_id=event.account_id,
        purpose=event.purpose,
        side=event.side,
        type=event.type,
        leaves=event.quantity,
        filled=ZERO,
        limit_price=event.limit_price,
        trigger_price=event.trigger_price,
        trigger_price_type=source,
        post_only=event.post_only,
        reduce_only=event.reduce_only,
        margin_mode=event.margin_mode,
        margin_leverage=event.margin_leverage,
        ts=now,
        ts_live=ts_live,
        expires=expires,
        stop_price=event.plan_stop_price,
        arrived=not travelled,
        travelled=travelled,
        met=_meets_entry_bar(state.step_bar, event),
    )
    _await(state, expires, ts_live if travelled else None)


def change_intended(state: VenueState, event: AmendIntended | CancelIntended, now: int) -> None:
    """Remember a change that travels; one that does not is answered in this step."""
    book = state.books.get(event.instrument_id)
    request = None if book is None else request_of(book, state.terms, event, now)
    if book is None or request is None or request.ts <= now:
        return
    book.requests.append(request)
    book.orders[event.client_order_id].drawn += 1
    _await(state, request.ts)


def _await(state: VenueState, *moments: int | None) -> None:
    state.next_due = min(state.next_due, *(ts for ts in moments if ts is not None), NEVER)


def _expires(book: Book, event: OrderIntended, now: int) -> int | None:
    """Return when the order is over; on bars a market order's open, in time, is known one interval later."""
    if event.valid_until is None or event.type is not OrderType.MARKET or is_tick_fed(book, now):
        return event.valid_until
    return event.valid_until + book.bar_us


def _meets_entry_bar(bar: StepBar | None, event: OrderIntended) -> bool:
    """Whether the bar its entry filled in is the first a target meets: then it rests at the next open."""
    target = event.purpose is OrderPurpose.TARGET
    return target and bar is not None and bar.at_open and is_of_bar(bar, event.instrument_id, event.plan_id)


def output(state: VenueState, event: Event) -> None:
    """Fold one of the venue's own reports."""
    rule = _REPORTS.get(type(event))
    if rule is not None:
        rule(state, event)


def _canceled(state: VenueState, event: VenueCanceled) -> None:
    if event.code == "CANCELED":
        # As asked. An order that ends by itself leaves what was asked of it under way.
        _answered(state, event.instrument_id, event.client_order_id)
    _drop(state, event.instrument_id, event.client_order_id)


def _not_sent(state: VenueState, event: NotSent) -> None:
    _drop(state, event.instrument_id, event.client_order_id)


def _rejected(state: VenueState, event: VenueRejected) -> None:
    if event.operation is not event.operation.SUBMIT:
        _answered(state, event.instrument_id, event.client_order_id)
    elif event.code != "DUPLICATE_ID":
        _drop(state, event.instrument_id, event.client_order_id)


def _liquidated(state: VenueState, event: VenueLiquidated) -> None:
    state.cash -= event.penalty
    state.books[event.instrument_id].liquidations += 1


def _opened(state: VenueState, event: AccountSnapshot) -> None:
    state.opened, state.cash = True, event.cash


def _drop(state: VenueState, instrument_id: str, client_order_id: str) -> None:
    book = state.books.get(instrument_id)
    if book is not None and book.orders.pop(client_order_id, None) is not None:
        state.next_due = min(state.due(), default=NEVER)


def _accepted(state: VenueState, event: VenueAccepted) -> None:
    order = state.books[event.instrument_id].orders[event.client_order_id]
    if not order.arrived:
        order.arrived = True
        state.next_due = min(state.due(), default=NEVER)


def _answered(state: VenueState, instrument_id: str, client_order_id: str) -> None:
    """Forget the oldest change under way to an order: what is sent about one order arrives in that order."""
    book = state.books.get(instrument_id)
    if book is None:
        return
    for number, request in enumerate(book.requests):
        if request.client_order_id == client_order_id:
            del book.requests[number]
            state.next_due = min(state.due(), default=NEVER)
            return


def _amended(state: VenueState, event: VenueAmended) -> None:
    _answered(state, event.instrument_id, event.client_order_id)
    order = state.books[event.instrument_id].orders[event.client_order_id]
    order.leaves = event.quantity - order.filled
    if event.trigger_price is not None:
        order.trigger_price = event.trigger_price


def _funding(state: VenueState, event: VenueFunding) -> None:
    state.cash += event.payment
    book = state.books[event.instrument_id]
    book.ts_funding = event.ts_funding
    position = book.position
    if position.margin_mode is MarginMode.ISOLATED:
        position.margin += event.payment


def fill(state: VenueState, event: VenueFill) -> None:
    """Move order, position and cash by one fill."""
    book = state.books[event.instrument_id]
    order = book.orders.get(event.client_order_id)
    if order is not None:
        order.leaves -= event.last_quantity
        order.filled += event.last_quantity
        order.fills += 1
        order.drawn += 1
        order.met = True
        _note_entry(state, event, order)
        if order.leaves <= 0:
            _drop(state, event.instrument_id, event.client_order_id)
    if book.instrument.kind is InstrumentKind.SPOT:
        _spot_fill(state, book, event)
    else:
        _swap_fill(state, book, event, order)


def _note_entry(state: VenueState, event: VenueFill, order: VenueOrder) -> None:
    bar = state.step_bar
    if order.purpose is OrderPurpose.ENTRY and bar is not None and bar.instrument_id == event.instrument_id:
        bar.plan_id, bar.at_open, bar.entry_price = order.plan_id, order.type is OrderType.MARKET, event.last_price


def _spot_fill(state: VenueState, book: Book, event: VenueFill) -> None:
    position = book.position
    position.margin_mode = MarginMode.CASH
    if event.side is Side.BUY:
        held = event.last_quantity - event.fee
        cost = money(held * event.last_price)
        # Two postings, each rounded once: what is held, and the fee that was taken in base.
        state.cash -= cost + money(event.fee * event.last_price)
        position.cost += cost
        position.quantity += held
    else:
        state.cash += money(event.last_quantity * event.last_price) - event.fee
        _release(position, event.last_quantity)
        if position.quantity < book.instrument.min_quantity:
            # Dust: it cannot be sold, so it is no position any more; the wallet keeps it.
            book.position = VenuePositionState(margin_mode=MarginMode.CASH)


def _swap_fill(state: VenueState, book: Book, event: VenueFill, order: VenueOrder | None) -> None:
    state.cash -= event.fee
    position = book.position
    sign = 1 if event.side is Side.BUY else -1
    held = position.quantity
    closing = min(event.last_quantity, abs(held)) if held * sign < 0 else ZERO
    if closing:
        value = money(closing * book.multiplier * event.last_price)
        released = _release(position, closing)
        state.cash += -sign * (value - released)
    opening = event.last_quantity - closing
    if opening:
        value = money(opening * book.multiplier * event.last_price)
        position.quantity += sign * opening
        position.cost += value
        if order is not None:
            position.margin_mode = order.margin_mode
            position.margin += money(value / order.margin_leverage)


def _release(position: VenuePositionState, closing: Decimal) -> Decimal:
    """Take ``closing`` (> 0) out of the position; return the cost that goes with it, rounded once."""
    held = abs(position.quantity)
    whole = closing >= held
    released = position.cost if whole else money(position.cost * closing / held)
    position.margin = ZERO if whole else position.margin - money(position.margin * closing / held)
    position.cost -= released
    position.quantity -= closing if position.quantity > 0 else -closing
    return released


_REPORTS: dict[type[Event], Callable[[VenueState, Any], None]] = {
    VenueFill: fill,
    VenueAccepted: _accepted,
    VenueCanceled: _canceled,
    NotSent: _not_sent,
    VenueRejected: _rejected,
    VenueAmended: _amended,
    VenueFunding: _funding,
    VenueLiquidated: _liquidated,
    AccountSnapshot: _opened,
}
