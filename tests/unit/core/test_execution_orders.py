"""The order table: every row, and that nothing outside it happens."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from schemas.envelope import Event
from schemas.events.orders import (
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from schemas.values import Quantity
from streams.core.execution.orders import LIVE, TRANSITIONS, InvalidTransition, OrderState, next_state

_NAMES = ("c1", "p1", "paper", "BTC-USDT-SWAP")
_ONE = Quantity(Decimal(1))
EVENTS: tuple[Event, ...] = (
    OrderSubmitted(*_NAMES),
    OrderAccepted(*_NAMES, "v1"),
    OrderRejected(*_NAMES, "WHY"),
    OrderAmended(*_NAMES, _ONE, None),
    OrderPartiallyFilled(*_NAMES, _ONE, _ONE),
    OrderFilled(*_NAMES, _ONE),
    OrderCanceled(*_NAMES, _ONE, "CANCELED"),
    OrderExpired(*_NAMES, _ONE),
    OrderUnknown(*_NAMES, "timeout"),
)
TERMINAL = [state for state in OrderState if state not in LIVE]


@pytest.mark.parametrize(("state", "event"), list(product(OrderState, EVENTS)), ids=lambda item: type(item).__name__)
def test_moves_by_the_table_or_raises(state: OrderState, event: Event) -> None:
    expected = TRANSITIONS.get((state, type(event)))
    if expected is None:
        with pytest.raises(InvalidTransition, match=state.value):
            next_state(state, event)
    else:
        assert next_state(state, event) is expected


def test_a_terminal_order_moves_only_on_a_late_fill() -> None:
    moving = {(state, kind) for (state, kind), after in TRANSITIONS.items() if state in TERMINAL and after != state}
    assert moving == {(OrderState.CANCELED, OrderFilled), (OrderState.EXPIRED, OrderFilled)}


def test_no_terminal_order_comes_back_to_life() -> None:
    assert not [row for row, after in TRANSITIONS.items() if row[0] in TERMINAL and after in LIVE]


def test_a_rejected_order_knows_no_event() -> None:
    assert not [row for row in TRANSITIONS if row[0] is OrderState.REJECTED]
