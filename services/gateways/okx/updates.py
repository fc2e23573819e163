"""Private frames as updates: what each channel says, once, and whose orders algo orders became. Keeps two memories."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeVar

from services.gateways.okx import fields, replies
from services.gateways.okx.facts import VenueExecution
from services.gateways.okx.fields import PayloadError, Row
from services.gateways.okx.venue import BillsDue, Update, UpdateUnreadable

V = TypeVar("V")

MEMORY = 10_000
"""Fills and algo orders remembered; far more than can be open or repeated at once."""
RAW_MAX = 2000
"""Characters of an unreadable message that are kept."""
SPOKEN_FOR = frozenset({"snapshot", "filled", "exercised", "delivered"})
"""Events of ``balance_and_position`` that other channels report, or that our products do not know."""


def identity(execution: VenueExecution) -> str:
    """Return what tells a fill from every other: the venue's trade, and which of our orders took part in it."""
    return f"{execution.instrument_id}/{execution.trade_id}/{execution.venue_order_id}"


class Remembered(OrderedDict[str, V]):
    """The newest pairs, as many as are worth it."""

    def learn(self, key: str, value: V) -> None:
        """Keep a pair, and forget the oldest beyond the bound."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > MEMORY:
            self.popitem(last=False)


class Reader:
    """Turns frames into our facts. ``owners``: client order id by ``algoId`` and by the ``ordId`` of a child."""

    def __init__(self) -> None:
        self.owners = Remembered[str]()
        self._fills = Remembered[None]()

    def read(self, frame: Row) -> Iterator[Update]:
        """Yield what a private frame says; what cannot be read is yielded as such."""
        argument, rows = frame.get("arg"), frame.get("data")
        channel = str(argument.get("channel", "")) if isinstance(argument, dict) else ""
        rule = _RULES.get(channel)
        if rule is None or not isinstance(rows, list):
            yield UpdateUnreadable(channel, "not a private channel we subscribe to", str(frame)[:RAW_MAX])
            return
        for row in rows:
            try:
                yield from rule(self, row)
            except (PayloadError, AttributeError, TypeError) as error:
                yield UpdateUnreadable(channel, str(error), str(row)[:RAW_MAX])

    def is_new(self, execution: VenueExecution) -> bool:
        """Return whether a fill was not seen before, and remember it."""
        key = identity(execution)
        new = key not in self._fills
        self._fills.learn(key, None)
        return new

    def orders(self, row: Row) -> Iterator[Update]:
        """Yield an order's fill and its new state."""
        order = replies.order(row, self.owners.get)
        if order.client_order_id is not None and order.client_order_id != fields.text(row, "clOrdId"):
            self.owners.learn(order.venue_order_id, order.client_order_id)
        if replies.has_execution(row):
            execution = replies.execution_of_update(row, self.owners.get)
            if self.is_new(execution):
                yield execution  # before the order's new state: a filled order without its fill makes no sense
        yield order

    def algo_orders(self, row: Row) -> Iterator[Update]:
        """Yield an algo order; remember whose it is."""
        order = replies.algo_order(row)
        if order.client_order_id is not None:
            for identity in (order.venue_order_id, *order.child_order_ids):
                self.owners.learn(identity, order.client_order_id)
        yield order

    def positions(self, row: Row) -> Iterator[Update]:
        """Yield a position."""
        yield replies.holding(row)

    def account(self, row: Row) -> Iterator[Update]:
        """Yield the currencies that changed."""
        yield from replies.balances(row)

    def balance_and_position(self, row: Row) -> Iterator[Update]:
        """Yield what only the ledger can tell."""
        kind = fields.text(row, "eventType")
        if kind not in SPOKEN_FOR:
            yield BillsDue(kind, fields.first_moment(row, "pTime"))


_RULES: dict[str, Callable[[Reader, Row], Iterator[Update]]] = {
    "orders": Reader.orders,
    "orders-algo": Reader.algo_orders,
    "positions": Reader.positions,
    "account": Reader.account,
    "balance_and_position": Reader.balance_and_position,
}
