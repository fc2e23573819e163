"""One message at work: the events it causes so far, and the state as those events leave it."""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import Liquidity, OrderPurpose, OrderType, Side, TriggerPriceType
from schemas.events.orders import OrderOperation, VenueCanceled, VenueFill, VenueRejected
from schemas.ids import derive_id
from schemas.values import Price, Quantity
from streams.core.venue import chance, fold
from streams.core.venue.pricing import fee_of, reducible
from streams.core.venue.state import Book, VenueOrder, VenueState


class Draft:
    """Collects the reports on one instrument; each is folded at once, so the next rule sees what it did."""

    def __init__(self, state: VenueState, instrument_id: str, message: Message) -> None:
        self.state = state.copy_for(instrument_id)
        self.book: Book = self.state.books[instrument_id]
        self.message = message
        self.outputs: list[Event] = []

    def emit(self, event: Event) -> None:
        """Report an event."""
        self.outputs.append(event)
        fold.output(self.state, event)

    def cancel(self, order: VenueOrder, code: str) -> None:
        """Take an order off the book."""
        instrument_id = self.book.instrument.instrument_id
        self.emit(VenueCanceled(order.client_order_id, order.account_id, instrument_id, code))

    def reject(self, order: VenueOrder, code: str, detail: str) -> None:
        """Refuse an order."""
        instrument_id = self.book.instrument.instrument_id
        self.emit(
            VenueRejected(order.client_order_id, order.account_id, instrument_id, code, detail, OrderOperation.SUBMIT)
        )

    def fill(
        self,
        order: VenueOrder,
        quantity: Decimal,
        price: Decimal,
        liquidity: Liquidity,
        arrival: Decimal | None,
        source: TriggerPriceType | None = None,
    ) -> None:
        """Trade ``quantity`` of an order at ``price``; a reduce-only order trades what is held and loses the rest."""
        quantity = wanted = chance.cut(self.state.terms, self.book, order, quantity)
        if order.reduce_only:
            quantity = min(quantity, reducible(self.book, order))
        if quantity > 0:
            self.emit(self._report(order, quantity, price, liquidity, arrival, source))
        if quantity < wanted and order.client_order_id in self.book.orders:
            self.cancel(order, "REDUCE_ONLY")

    def _report(
        self,
        order: VenueOrder,
        quantity: Decimal,
        price: Decimal,
        liquidity: Liquidity,
        arrival: Decimal | None,
        source: TriggerPriceType | None,
    ) -> VenueFill:
        fee, currency = fee_of(self.book, self.state.terms, order.side, quantity, price, liquidity)
        return VenueFill(
            client_order_id=order.client_order_id,
            account_id=order.account_id,
            instrument_id=self.book.instrument.instrument_id,
            venue_trade_id=derive_id(order.client_order_id, "fill", order.fills),
            side=order.side,
            last_quantity=Quantity(quantity),
            last_price=Price(price),
            liquidity=liquidity,
            fee=Quantity(fee),
            fee_currency=currency,
            arrival_price=None if arrival is None else Price(arrival),
            trigger_source=source,
        )


def past_stop(order: VenueOrder, price: Decimal) -> bool:
    """Whether a market entry would enter at or beyond its own stop."""
    stop = order.stop_price
    return stop is not None and (price <= stop if order.side is Side.BUY else price >= stop)


def crosses(order: VenueOrder, price: Decimal) -> bool:
    """Whether ``price`` is strictly better for us than the order's limit."""
    limit = order.limit_price
    return limit is not None and (price < limit if order.side is Side.BUY else price > limit)


def touched(order: VenueOrder, price: Decimal) -> bool:
    """Whether a stop's trigger has been reached: a touch is enough."""
    trigger = order.trigger_price
    return trigger is not None and (price >= trigger if order.side is Side.BUY else price <= trigger)


def is_market_exit(order: VenueOrder) -> bool:
    """Whether the order closes at market."""
    return order.type is OrderType.MARKET and order.purpose is not OrderPurpose.ENTRY
