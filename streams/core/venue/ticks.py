"""What a trade, quote, mark or index price does to orders: fills on feeds that speak tick by tick.

An order meets only ticks later in the log, at or after its own time plus the latency. A stop that its source touches
fires; it fills on a later tick. A resting limit fills on a print strictly through it, or at it once the queue ahead,
where the book shows one, has traded. Takers get the opposite touch while a quote is fresh, else the print, worsened.
Source: domain definitions, section 6 (on trades).
"""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import Liquidity, OrderPurpose, OrderType, Side, TriggerPriceType
from schemas.events.market import Trade
from schemas.values import SECOND, truncate_to
from streams.core.venue import margin
from streams.core.venue.draft import Draft, crosses, past_stop, touched
from streams.core.venue.pricing import not_past, worsen
from streams.core.venue.state import ZERO, Book, Terms, VenueOrder, VenueState, is_tick_fed

QUOTE_FRESH_US = 5 * SECOND
"""A quote older than this is no touch to trade against."""


def touch(book: Book, side: Side, ts: int) -> Decimal | None:
    """Return the price a taker of ``side`` meets, None without a fresh quote."""
    if book.ts_quote < 0 or ts - book.ts_quote > QUOTE_FRESH_US:
        return None
    return book.ask_price if side is Side.BUY else book.bid_price


def middle(book: Book, ts: int) -> Decimal | None:
    """Return the mid price, None without a fresh quote."""
    bid, ask = touch(book, Side.SELL, ts), touch(book, Side.BUY, ts)
    return None if bid is None or ask is None else (bid + ask) / 2


def trade_may_act(book: Book, price: Decimal) -> bool:
    """Whether a print could fill anything: a cheap look before a draft is made."""
    for order in book.orders.values():
        if order.type is OrderType.LIMIT:
            if order.limit_price == price or crosses(order, price):
                return True
            # A new order may cross a quote that the print says nothing about.
            if not order.met:
                return True
        elif order.type is OrderType.MARKET or order.ts_triggered is not None:
            return True
    return False


def quote_may_act(book: Book, bid: Decimal, ask: Decimal) -> bool:
    """Whether a quote could fill anything."""
    for order in book.orders.values():
        best = ask if order.side is Side.BUY else bid
        if order.type is OrderType.LIMIT:
            if order.limit_price == best or crosses(order, best):
                return True
        elif order.type is OrderType.MARKET or order.ts_triggered is not None:
            return True
    return False


def decide_tick(state: VenueState, message: Message, instrument_id: str, trade: Trade | None) -> list[Event]:
    """Return what a trade (or, with None, the quote just folded into ``state``) does to the instrument's orders."""
    draft = Draft(state, instrument_id, message)
    ts = message.envelope.ts_event
    for order in sorted(draft.book.orders.values(), key=_turn):
        if order.client_order_id in draft.book.orders and ts >= order.ts_live:
            _meet(draft, order, trade, ts)
    if trade is not None and margin.mark_is_missing(draft.book, draft.state.terms, message.now):
        margin.check(draft, trade.last_price, TriggerPriceType.LAST)
    return draft.outputs


def _turn(order: VenueOrder) -> int:
    """Exits before entries, stops before targets."""
    if order.purpose is OrderPurpose.ENTRY:
        return 3
    return {OrderType.MARKET: 0, OrderType.STOP: 1, OrderType.LIMIT: 2}[order.type]


def _meet(draft: Draft, order: VenueOrder, trade: Trade | None, ts: int) -> None:
    if order.type is OrderType.LIMIT:
        _limit(draft, order, trade, ts)
    elif order.type is OrderType.MARKET or _fired(order, ts):
        _take(draft, order, trade, ts)


def _fired(order: VenueOrder, ts: int) -> bool:
    return order.ts_triggered is not None and ts >= order.ts_triggered + order.ts_live - order.ts


def _take(draft: Draft, order: VenueOrder, trade: Trade | None, ts: int) -> None:
    """Fill a market order or a fired stop at the opposite touch, or at the print, worsened, where no book exists."""
    best = touch(draft.book, order.side, ts)
    if best is not None:
        price, reference = best, middle(draft.book, ts)
    elif trade is not None:
        price = worsen(trade.last_price, order.side, draft.state.terms, draft.book.instrument.tick_size)
        reference = trade.last_price
    else:
        return
    if order.type is OrderType.MARKET and order.purpose is OrderPurpose.ENTRY and past_stop(order, price):
        draft.cancel(order, "ENTRY_PAST_STOP")
        return
    arrival = reference if order.arrival is None or order.type is OrderType.STOP else order.arrival
    draft.fill(order, order.leaves, price, Liquidity.TAKER, arrival, order.trigger_source)


def _limit(draft: Draft, order: VenueOrder, trade: Trade | None, ts: int) -> None:
    assert order.limit_price is not None
    if not order.met:
        price = _taking_price(draft, order, trade, ts)
        if price is not None and order.post_only:
            draft.reject(order, "POST_ONLY_WOULD_TAKE", f"price={price}, limit_price={order.limit_price}")
            return
        if price is not None:
            arrival = middle(draft.book, ts) or (price if trade is None else trade.last_price)
            draft.fill(order, order.leaves, price, Liquidity.TAKER, _arrival(order, arrival))
            return
    quantity = _resting_quantity(draft.book, order, trade, ts)
    if quantity > 0:
        draft.fill(order, quantity, order.limit_price, Liquidity.MAKER, _arrival(order, middle(draft.book, ts)))


def _arrival(order: VenueOrder, seen: Decimal | None) -> Decimal | None:
    if order.purpose is OrderPurpose.TARGET:
        return order.limit_price
    return seen if order.arrival is None else order.arrival


def _taking_price(draft: Draft, order: VenueOrder, trade: Trade | None, ts: int) -> Decimal | None:
    """Return what a new limit order takes at, None if it rests: it crosses the touch, or without one the print."""
    limit = order.limit_price
    assert limit is not None
    best = touch(draft.book, order.side, ts)
    if best is not None:
        return best if best == limit or crosses(order, best) else None
    if trade is None or not crosses(order, trade.last_price):
        return None
    price = worsen(trade.last_price, order.side, draft.state.terms, draft.book.instrument.tick_size)
    return not_past(price, limit, order.side)


def _resting_quantity(book: Book, order: VenueOrder, trade: Trade | None, ts: int) -> Decimal:
    """Return how much of a resting limit this tick fills."""
    if trade is None:
        best = touch(book, order.side, ts)
        return order.leaves if best is not None and crosses(order, best) else ZERO
    if crosses(order, trade.last_price):
        return order.leaves
    if order.queue_ahead is None or not _hits(order, trade):
        return ZERO
    beyond = (trade.base_quantity - order.queue_ahead) / book.multiplier
    return min(order.leaves, max(ZERO, truncate_to(beyond, book.instrument.lot_size)))


def _hits(order: VenueOrder, trade: Trade) -> bool:
    """Whether a print at the order's price came from the other side."""
    return trade.last_price == order.limit_price and trade.side is not order.side


def fold_trade(book: Book, terms: Terms, event: Trade, ts: int, now: int) -> None:
    """Remember a print; fire the stops it touches and shorten the queues at its price."""
    book.last_price = event.last_price
    book.ts_last = book.ts_tick = ts
    if not book.orders:
        return
    for order in book.orders.values():
        if ts < order.ts_live:
            continue
        _first_meeting(book, order, ts, event.last_price)
        if order.queue_ahead is not None and _hits(order, event):
            order.queue_ahead = max(ZERO, order.queue_ahead - event.base_quantity)
        if order.type is OrderType.STOP and _watches_last(order, book, terms, now):
            _fire(order, event.last_price, ts, TriggerPriceType.LAST)


def _watches_last(order: VenueOrder, book: Book, terms: Terms, now: int) -> bool:
    """Whether the stop watches last: as asked, or because the mark or index it asked for is missing."""
    if order.trigger_price_type is TriggerPriceType.MARK:
        return margin.mark_is_missing(book, terms, now)
    # No check of risk denies for want of an index, so that last always stands in for it: no stop may be blind.
    return order.trigger_price_type is TriggerPriceType.LAST or book.index.is_missing(now)


def fold_quote(
    book: Book, terms: Terms, bid: Decimal, bid_quantity: Decimal, ask: Decimal, ask_quantity: Decimal, ts: int
) -> None:
    """Remember the touch and what it says about the queues ahead of our limits."""
    set_quote(book, bid, bid_quantity, ask, ask_quantity, ts)
    for order in book.orders.values():
        if ts < order.ts_live:
            continue
        _first_meeting(book, order, ts, None)
        if order.type is OrderType.LIMIT:
            _see_queue(book, order)


def set_quote(book: Book, bid: Decimal, bid_quantity: Decimal, ask: Decimal, ask_quantity: Decimal, ts: int) -> None:
    """Remember the touch."""
    book.bid_price, book.bid_quantity = bid, bid_quantity
    book.ask_price, book.ask_quantity = ask, ask_quantity
    book.ts_quote = book.ts_tick = ts


def _see_queue(book: Book, order: VenueOrder) -> None:
    """Others at our price can only be ahead of us up to what is displayed; a level better than the touch is ours."""
    buys = order.side is Side.BUY
    best, size = (book.bid_price, book.bid_quantity) if buys else (book.ask_price, book.ask_quantity)
    limit = order.limit_price
    assert limit is not None
    assert best is not None
    assert size is not None
    if best == limit:
        order.queue_ahead = size if order.queue_ahead is None else min(order.queue_ahead, size)
    elif (best < limit) if buys else (best > limit):
        order.queue_ahead = ZERO


def _first_meeting(book: Book, order: VenueOrder, ts: int, price: Decimal | None) -> None:
    order.met = True
    if order.arrival is None:
        order.arrival = middle(book, ts) or price


def fold_mark(book: Book, terms: Terms, mark: Decimal, ts: int) -> None:
    """Remember a mark; fire the stops that watch it, where ticks are there to fill them."""
    if book.mark.price is not None and (ts - 1) // _HOUR_US != (book.mark.ts - 1) // _HOUR_US:
        book.boundary_mark, book.ts_boundary_mark = book.mark.price, book.mark.ts
    book.mark.take(mark, ts)
    _fire_all(book, terms, mark, ts, TriggerPriceType.MARK)


def fold_index(book: Book, terms: Terms, index: Decimal, ts: int) -> None:
    """Remember an index price; fire the stops that watch it, where ticks are there to fill them."""
    book.index.take(index, ts)
    _fire_all(book, terms, index, ts, TriggerPriceType.INDEX)


def _fire_all(book: Book, terms: Terms, price: Decimal, ts: int, source: TriggerPriceType) -> None:
    if not book.orders or not is_tick_fed(book, ts):
        return
    for order in book.orders.values():
        if order.trigger_price_type is source and ts >= order.ts_live:
            _fire(order, price, ts, source)


_HOUR_US = 3600 * SECOND


def _fire(order: VenueOrder, price: Decimal, ts: int, source: TriggerPriceType) -> None:
    if order.type is OrderType.STOP and order.ts_triggered is None and touched(order, price):
        order.ts_triggered, order.trigger_source = ts, source
