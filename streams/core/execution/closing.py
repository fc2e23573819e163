"""The operator's close of a position that is not ours: one reduce-only market order, followed to its end.

It carries ``ReductionApproved`` and no plan. What it fills closes what is counted as somebody else's, so it is booked
nowhere; one that came to nothing is not tried again: the operator sees the difference that stays, and may ask again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.events.common import ExitReason, MarginMode, OrderPurpose, OrderType, PositionSide, QuantityUnit, Side
from schemas.events.market import InstrumentKind
from schemas.events.orders import OrderFilled, OrderIntended, OrderPartiallyFilled, VenueFill
from schemas.events.risk import ReductionApproved
from schemas.settings import Venue
from schemas.values import Quantity, truncate_to
from streams.core.execution.orders import Closing, OrderRecord, next_state
from streams.core.execution.state import ZERO, ExecutionState

KEPT_MAX = 20
"""Finished ones kept, so that a late fill is still known as theirs."""


def order_of(state: ExecutionState, event: ReductionApproved, client_order_id: str) -> OrderIntended | None:
    """Return the order that closes what the account holds beside our trades; None: nothing, or one is under way."""
    quantity = _closable(state, event.instrument_id)
    asked = event.reason is ExitReason.OPERATOR and state.venue is not Venue.PAPER
    if not asked or not quantity or any(is_under_way(each, event.instrument_id) for each in state.closings.values()):
        return None
    sold = state.by_hand[event.instrument_id] > 0
    spot = state.instruments[event.instrument_id].kind is InstrumentKind.SPOT
    return OrderIntended(
        client_order_id=client_order_id,
        plan_id="",
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        purpose=OrderPurpose.EXIT,
        target_index=None,
        side=Side.SELL if sold else Side.BUY,
        position_side=PositionSide.LONG if sold else PositionSide.SHORT,
        type=OrderType.MARKET,
        quantity=Quantity(quantity),
        quantity_unit=QuantityUnit.BASE if spot else QuantityUnit.CONTRACT,
        limit_price=None,
        trigger_price=None,
        trigger_price_type=None,
        post_only=False,
        reduce_only=True,
        margin_mode=MarginMode.CASH if spot else state.held_in.get(event.instrument_id, MarginMode.ISOLATED),
        margin_leverage=1,
        valid_until=None,
        exit_reason=event.reason,
    )


def _closable(state: ExecutionState, instrument_id: str) -> Decimal:
    """Return what is not ours in whole lots, no more than the venue holds on that side: closing never raises."""
    instrument, theirs = state.instruments.get(instrument_id), state.by_hand.get(instrument_id, ZERO)
    if instrument is None or not theirs:
        return ZERO
    trades = (state.trades[plan] for plan in state.active.get(instrument_id, ()))
    held = theirs + sum((trade.open_quantity * trade.sign for trade in trades), ZERO)
    lots = truncate_to(min(abs(theirs), abs(held)), instrument.lot_size)
    return lots if held * theirs > 0 and lots >= instrument.min_quantity else ZERO


def is_under_way(closing: Closing, instrument_id: str) -> bool:
    """Whether this one may still close something of the instrument."""
    return closing.instrument_id == instrument_id and closing.order.live


def filled(closing: Closing, fill: VenueFill) -> OrderPartiallyFilled | OrderFilled:
    """Return what a fill makes of the order."""
    order = closing.order
    names = (order.client_order_id, closing.plan_id, closing.account_id, closing.instrument_id)
    total = Quantity(order.filled + fill.last_quantity)
    if total < order.quantity:
        return OrderPartiallyFilled(*names, total, Quantity(order.quantity - total))
    return OrderFilled(*names, total)


def take_intent(state: ExecutionState, event: OrderIntended, order: OrderRecord) -> None:
    """Remember a close, and forget the oldest finished one beyond the bound."""
    state.closings[event.client_order_id] = Closing(event.account_id, event.instrument_id, order)
    over = [name for name, closing in state.closings.items() if not closing.order.live]
    for name in over[: max(0, len(over) - KEPT_MAX)]:
        del state.closings[name]


def take_move(state: ExecutionState, event: Any) -> None:
    """Fold an order event of a close."""
    order = state.closings[event.client_order_id].order
    order.state = next_state(order.state, event)
    order.filled = getattr(event, "filled_quantity", order.filled)
