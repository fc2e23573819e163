"""What a closed bar does to orders: the pessimistic rules for feeds where only bars exist.

Order inside a bar: liquidation if the open is past its price; market exits (at the open, before anything else can be);
stops; targets; entries. The protection of an entry that fills here arrives later in the step and meets the same bar.
An order meets only bars that open at or after the moment it was placed.
Source: domain definitions, section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from schemas.envelope import Event, Message
from schemas.events.common import Liquidity, OrderPurpose, OrderType, Side, TriggerPriceType
from schemas.events.market import VenueBar
from streams.core.venue import margin
from streams.core.venue.draft import Draft, crosses, is_market_exit, past_stop, touched
from streams.core.venue.pricing import not_past, share_of_volume, worsen
from streams.core.venue.state import Book, StepBar, VenueOrder, VenueState, is_of_bar


class TriggerBar(NamedTuple):
    """The bar a stop is watched on. ``source``: which price it is made of."""

    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    source: TriggerPriceType


def fills_orders(book: Book, event: VenueBar, ts_close: int) -> bool:
    """Whether orders meet this bar: live, and its period not already told by ticks or by shorter bars."""
    if event.backfill or book.ts_tick >= event.ts_open:
        return False
    shortest = book.bar_us == 0 or ts_close - event.ts_open <= book.bar_us
    return shortest or book.ts_last <= event.ts_open


def meets(order: VenueOrder, ts_open: int) -> bool:
    """Whether an order meets a bar that opened at ``ts_open``: it was at the venue by then."""
    return order.arrived and (order.ts_live if order.travelled else order.ts) <= ts_open


def step_bar(book: Book, event: VenueBar) -> StepBar:
    """Return the bar with mark and index inside it, each if it spoke at least twice since the last bar."""
    return StepBar(
        event.instrument_id,
        event.ts_open,
        event.open_price,
        event.high_price,
        event.low_price,
        event.close_price,
        event.base_volume,
        book.mark.span_of_bar(),
        book.index.span_of_bar(),
    )


def mark_met(book: Book, event: VenueBar) -> None:
    """Note that the orders in place when the bar opened have met the market."""
    for order in book.orders.values():
        if meets(order, event.ts_open):
            order.met = True
            if order.arrival is None:
                order.arrival = event.open_price


def remember(book: Book, event: VenueBar, ts_close: int) -> None:
    """Keep what later rules need of a bar, and begin to collect mark and index of the next one."""
    book.last_price, book.ts_last = event.close_price, ts_close
    interval = ts_close - event.ts_open
    book.bar_us = interval if book.bar_us == 0 else min(book.bar_us, interval)
    book.mark.start_bar()
    book.index.start_bar()


def decide_bar(state: VenueState, message: Message, event: VenueBar) -> list[Event]:
    """Return what the bar does to the instrument's orders and position."""
    book = state.books[event.instrument_id]
    bar = step_bar(book, event)
    if not _may_fill(book, bar) and not _may_liquidate(state, book, bar, message.now):
        return []
    draft = Draft(state, event.instrument_id, message)
    draft.state.step_bar = bar
    if bar.mark is None:
        margin.check(draft, event.open_price, TriggerPriceType.LAST)
    for matches, rule in _PHASES:
        for order in [order for order in draft.book.orders.values() if meets(order, bar.ts_open) and matches(order)]:
            if order.client_order_id in draft.book.orders:
                rule(draft, order, bar)
    if not draft.outputs and margin.mark_is_missing(draft.book, draft.state.terms, message.now):
        margin.check(draft, event.close_price, TriggerPriceType.LAST)
    return draft.outputs


def _may_fill(book: Book, bar: StepBar) -> bool:
    """Whether the bar reaches any order's price: a cheap look before a draft is made."""
    for order in book.orders.values():
        if not meets(order, bar.ts_open):
            continue
        if order.type is OrderType.STOP:
            if _fires(order, trigger_bar(order, bar)):
                return True
        elif order.type is OrderType.MARKET or crosses(
            order, bar.low_price if order.side is Side.BUY else bar.high_price
        ):
            return True
    return False


def _may_liquidate(state: VenueState, book: Book, bar: StepBar, now: int) -> bool:
    """Whether the bar's open, or its close where last stands in for the mark, liquidates the position."""
    if not book.position.quantity:
        return False
    if bar.mark is None and margin.is_liquidated(state, book, bar.open_price):
        return True
    missing = margin.mark_is_missing(book, state.terms, now)
    return missing and margin.is_liquidated(state, book, bar.close_price)


def meet_step_bar(draft: Draft, order: VenueOrder) -> None:
    """Let the protection of an entry that filled on this step's bar meet that bar.

    The stop meets all of it, also when the low may have come before the entry. A target counts only for a market entry
    at the open, and only if the stop is untouched (then the position is still there to be closed). A stop that moved
    past the price a later part was entered at gives no better price than that entry.
    """
    bar = draft.state.step_bar
    if bar is None or not is_of_bar(bar, draft.book.instrument.instrument_id, order.plan_id):
        return
    if order.purpose is OrderPurpose.STOP:
        _stop(draft, order, bar, bar.entry_price)
    elif order.purpose is OrderPurpose.TARGET and bar.at_open and draft.book.position.quantity:
        _resting_limit(draft, order, bar)


def trigger_bar(order: VenueOrder, bar: StepBar) -> TriggerBar:
    """Return the bar of the stop's trigger source; the trade bar where mark or index is coarser than the bars."""
    source = order.trigger_price_type
    span = {TriggerPriceType.MARK: bar.mark, TriggerPriceType.INDEX: bar.index}.get(source)
    if span is not None:
        return TriggerBar(span.open_price, span.high_price, span.low_price, source)
    return TriggerBar(bar.open_price, bar.high_price, bar.low_price, TriggerPriceType.LAST)


def _fires(order: VenueOrder, watched: TriggerBar) -> bool:
    """Whether a stop fills on this bar: touched, or fired on a tick before the ticks stayed away."""
    extreme = watched.high_price if order.side is Side.BUY else watched.low_price
    return order.ts_triggered is not None or touched(order, extreme)


def _market(draft: Draft, order: VenueOrder, bar: StepBar) -> None:
    if order.purpose is OrderPurpose.ENTRY and past_stop(order, bar.open_price):
        draft.cancel(order, "ENTRY_PAST_STOP")
        return
    price = worsen(bar.open_price, order.side, draft.state.terms, draft.book.instrument.tick_size)
    _trade(draft, order, bar, price, Liquidity.TAKER)


def _stop(draft: Draft, order: VenueOrder, bar: StepBar, entered_at: Decimal | None = None) -> None:
    watched = trigger_bar(order, bar)
    buys = order.side is Side.BUY
    if not _fires(order, watched):
        return
    assert order.trigger_price is not None
    prices = [order.trigger_price, watched.open_price] + ([] if entered_at is None else [entered_at])
    worst = max(prices) if buys else min(prices)
    price = worsen(worst, order.side, draft.state.terms, draft.book.instrument.tick_size)
    draft.fill(order, order.leaves, price, Liquidity.TAKER, worst, watched.source)


def _limit(draft: Draft, order: VenueOrder, bar: StepBar) -> None:
    if order.met or not crosses(order, bar.open_price):
        _resting_limit(draft, order, bar)
    elif order.post_only:
        draft.reject(order, "POST_ONLY_WOULD_TAKE", f"open={bar.open_price}, limit_price={order.limit_price}")
    else:
        assert order.limit_price is not None
        price = worsen(bar.open_price, order.side, draft.state.terms, draft.book.instrument.tick_size)
        _trade(draft, order, bar, not_past(price, order.limit_price, order.side), Liquidity.TAKER)


def _resting_limit(draft: Draft, order: VenueOrder, bar: StepBar) -> None:
    """Fill at the limit when the bar traded at least one tick through it; no improvement on a gap."""
    assert order.limit_price is not None
    tick = draft.book.instrument.tick_size
    buys = order.side is Side.BUY
    through = bar.low_price <= order.limit_price - tick if buys else bar.high_price >= order.limit_price + tick
    if through:
        _trade(draft, order, bar, order.limit_price, Liquidity.MAKER)


def _trade(draft: Draft, order: VenueOrder, bar: StepBar, price: Decimal, liquidity: Liquidity) -> None:
    quantity = share_of_volume(draft.book, draft.state.terms, order, bar.base_volume)
    if quantity > 0:
        draft.fill(order, quantity, price, liquidity, _arrival(order, bar))


def _arrival(order: VenueOrder, bar: StepBar) -> Decimal | None:
    """The open of the first bar the order met; a target is measured against its own price."""
    if order.purpose is OrderPurpose.TARGET:
        return order.limit_price
    return bar.open_price if order.arrival is None else order.arrival


def _is_stop_exit(order: VenueOrder) -> bool:
    return order.type is OrderType.STOP and order.purpose is not OrderPurpose.ENTRY


def _is_target(order: VenueOrder) -> bool:
    return order.type is OrderType.LIMIT and order.purpose is not OrderPurpose.ENTRY


def _entry_of(kind: OrderType) -> Callable[[VenueOrder], bool]:
    return lambda order: order.type is kind and order.purpose is OrderPurpose.ENTRY


_PHASES: tuple[tuple[Callable[[VenueOrder], bool], Callable[[Draft, VenueOrder, StepBar], None]], ...] = (
    (is_market_exit, _market),
    (_is_stop_exit, _stop),
    (_is_target, _limit),
    (_entry_of(OrderType.MARKET), _market),
    (_entry_of(OrderType.LIMIT), _limit),
    (_entry_of(OrderType.STOP), _stop),
)
"""Which orders act when inside a bar, and how."""
