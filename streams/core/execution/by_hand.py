"""Executions of orders that are not ours: what somebody did at the venue by hand, or the venue itself by force.

What reduces a trade of ours closes that much of it (RECONCILED, LIQUIDATION, ADL). The rest is a position of somebody
else's in the same account: it is only counted, so that its way back is not taken for ours; while there is one, the
account does not agree with the log and risk holds trading.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from schemas.events.common import PositionSide, Side
from schemas.events.orders import AccountSnapshot, VenueFill
from schemas.settings import Venue
from streams.core.execution.state import ZERO, ExecutionState, TradeRecord


class Split(NamedTuple):
    """What an execution means: ``reduced`` of a trade's quantity, and what becomes of the position that is not ours."""

    trade: TradeRecord | None
    reduced: Decimal
    theirs: Decimal


def is_theirs(state: ExecutionState, client_order_id: str) -> bool:
    """Whether an order is not of this trader: without an id of ours, or, at a real venue, of a trade long forgotten.

    On paper every order is ours: one that is not known is a bug there.
    """
    if not client_order_id:
        return True
    return state.venue is not Venue.PAPER and client_order_id not in state.plan_of


def split(state: ExecutionState, event: VenueFill) -> Split:
    """Take an execution apart: first it closes what is not ours, then what is; what is left is not ours."""
    sign = 1 if event.side is Side.BUY else -1
    theirs = state.by_hand.get(event.instrument_id, ZERO)
    netted = min(event.last_quantity, abs(theirs)) if theirs * sign < 0 else ZERO
    left = event.last_quantity - netted
    trade = _holding(state, event)
    reduced = ZERO if trade is None else min(left, trade.open_quantity)
    return Split(trade, reduced, theirs + sign * (event.last_quantity - reduced))


def _holding(state: ExecutionState, event: VenueFill) -> TradeRecord | None:
    trades = (state.trades[plan] for plan in state.active.get(event.instrument_id, ()))
    sides = tuple(PositionSide) if event.position_side is None else (event.position_side,)
    reducible = (t for t in trades if t.open_quantity and t.exit_side is event.side)
    return next((trade for trade in reducible if trade.position_side in sides), None)


def take_fill(state: ExecutionState, event: VenueFill) -> None:
    """Count what of an execution is not ours."""
    state.by_hand[event.instrument_id] = split(state, event).theirs


def take_snapshot(state: ExecutionState, event: AccountSnapshot) -> None:
    """Learn from the venue what is held there that is not ours: whatever was there before this log began, too."""
    held: dict[str, Decimal] = {}
    for position in event.positions:  # an instrument may have two: isolated and cross, long and short
        held[position.instrument_id] = held.get(position.instrument_id, ZERO) + position.quantity
    largest = sorted(event.positions, key=lambda position: abs(position.quantity))
    state.held_in = {each.instrument_id: each.margin_mode for each in largest if each.margin_mode is not None}
    for trade in state.trades.values():
        held[trade.instrument_id] = held.get(trade.instrument_id, ZERO) - trade.open_quantity * trade.sign
    state.by_hand = {name: quantity for name, quantity in held.items() if not _is_dust(state, name, quantity)}


def _is_dust(state: ExecutionState, instrument_id: str, quantity: Decimal) -> bool:
    """Whether it is nothing, or too little to be traded: what a closed spot trade leaves."""
    instrument = state.instruments.get(instrument_id)
    return abs(quantity) < (instrument.min_quantity if instrument is not None else 0) or not quantity
