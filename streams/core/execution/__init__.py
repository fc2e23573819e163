"""Execution: takes an approved plan into the market and out again, and never leaves filled quantity without a stop.

It decides which orders exist and when they change. It does not decide whether or how much to trade: it acts on
``PlanApproved`` (enter once, protect, exit) and ``ReductionApproved`` (close what is there), and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.common import TradingState
from schemas.events.control import SettingsChanged, TimerFired
from schemas.events.data import QualityChanged
from schemas.events.gateway import GatewayClaimed, SubmitInDoubt
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import FeedStatus, IndexPrice, InstrumentDefined, MarkPrice, Trade, VenueBar
from schemas.events.orders import (
    AccountSnapshot,
    NotSent,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderOperation,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueLiquidated,
    VenueRejected,
)
from schemas.events.risk import LimitOverridden, PlanApproved, ReductionApproved, TradingStateChanged
from schemas.values import Quantity
from streams.core.execution import by_hand, closing, exits, fills, fold, watch
from streams.core.execution.draft import STAGE_NAME, Draft
from streams.core.execution.follow import better_stop, may_follow
from streams.core.execution.orders import (
    AT_VENUE,
    NEVER_SENDABLE,
    UNSETTLED,
    Closing,
    InvalidTransition,
    OrderRecord,
    OrderState,
)
from streams.core.execution.settle import settle
from streams.core.execution.state import ZERO, ExecutionState, TradeRecord
from streams.core.stage import Stage

__all__ = ["STAGE", "ExecutionState", "InvalidTransition", "UnknownOrder"]


class UnknownOrder(Exception):
    """The venue reports on an order that this trader never intended; orders are no place to guess."""


def decide(state: ExecutionState, message: Message) -> Sequence[Event]:
    """Return the intents and order events that follow from a message."""
    rule = _DECIDE.get(type(message.event))
    return () if rule is None else rule(state, message, message.event)


def evolve(state: ExecutionState, message: Message) -> ExecutionState:
    """Fold a message, or one of execution's own events."""
    fold.apply(state, message.event, message.now)
    watch.note(state.prices, state.instruments, message.event, message.now)
    return state


def _approved(state: ExecutionState, message: Message, event: PlanApproved) -> Sequence[Event]:
    draft = Draft(state, message)
    draft.enter(draft.state.trades[event.plan_id], event.entry, event.sizing.quantity)
    return draft.outputs


def _reduction(state: ExecutionState, message: Message, event: ReductionApproved) -> Sequence[Event]:
    draft = Draft(state, message)
    for plan_id in list(draft.state.active.get(event.instrument_id, ())):
        trade = draft.state.trades[plan_id]
        if trade.account_id == event.account_id:
            draft.cancel(trade, trade.entry, event.reason.value)
            settle(draft, plan_id)
    order = closing.order_of(draft.state, event, draft.next_order_id())
    if order is not None:
        draft.emit(order)
    return draft.outputs


def _state_changed(state: ExecutionState, message: Message, event: TradingStateChanged) -> Sequence[Event]:
    """Anything but ACTIVE takes working entries away, within a cause's scope; what HALTED held back goes on."""
    if not state.active:
        return ()
    draft = Draft(state, message)
    for trade in [draft.state.trades[plan] for plans in draft.state.active.values() for plan in plans]:
        if trade.account_id != event.account_id:
            continue
        if event.state is not TradingState.ACTIVE and _in_scope(trade, event):
            draft.cancel(trade, trade.entry, event.state.value)
        if trade.entry_id:
            settle(draft, trade.plan_id)
    _deadlines(draft)
    return draft.outputs


def _in_scope(trade: TradeRecord, event: TradingStateChanged) -> bool:
    return not event.causes or any(cause.scope in trade.scopes for cause in event.causes)


def _trade(state: ExecutionState, message: Message, event: Trade) -> Sequence[Event]:
    plans = state.active.get(event.instrument_id)
    if plans is None:
        return _clock(state, message)
    return _market(state, message, plans, event.last_price)


def _bar(state: ExecutionState, message: Message, event: VenueBar) -> Sequence[Event]:
    plans = state.active.get(event.instrument_id)
    if plans is None or event.backfill:
        return _clock(state, message)
    return _market(state, message, plans, event.close_price)


def _market(state: ExecutionState, message: Message, plans: list[str], price: Decimal) -> Sequence[Event]:
    """Let the trades of one instrument follow its price, then see to the clock."""
    moving = [plan for plan in plans if _moves_stop(state, state.trades[plan], price, message.now)]
    if not moving:
        return _clock(state, message)
    draft = Draft(state, message)
    for plan_id in moving:
        settle(draft, plan_id)
    _deadlines(draft)
    return draft.outputs


def _moves_stop(state: ExecutionState, trade: TradeRecord, price: Decimal, now: int) -> bool:
    """Whether this price lets the stop follow: a look at numbers only, before anything is copied."""
    if trade.exiting is not None or trade.best_price is None or not may_follow(trade):
        return False
    stop = trade.orders.get(trade.stop_id)
    if stop is None or stop.state not in AT_VENUE or now >= fold.deadline(state, trade):
        return False
    best = max(trade.best_price * trade.sign, price * trade.sign) * trade.sign
    return better_stop(state, trade, stop, price, best, now) is not None


def _clock(state: ExecutionState, message: Message, event: Event | None = None) -> Sequence[Event]:
    if message.now < state.next_deadline:
        return ()
    draft = Draft(state, message)
    _deadlines(draft)
    return draft.outputs


def _regime(state: ExecutionState, message: Message, event: RegimeClassified) -> Sequence[Event]:
    if event.instrument_id not in state.active:
        return _clock(state, message)
    draft = Draft(state, message)
    _deadlines(draft)
    return draft.outputs


def _deadlines(draft: Draft) -> None:
    """Close what its time, the market's label or its data closes; cancel entries the venue should have expired."""
    if draft.now < draft.state.next_deadline:
        return
    for trade in [draft.state.trades[plan] for plans in draft.state.active.values() for plan in plans]:
        if draft.now < fold.deadline(draft.state, trade):
            continue
        if fold.entry_is_forgotten(trade, draft.now):
            draft.cancel(trade, trade.entry, "EXPIRED")
        trade.exiting = exits.reason_due(draft.state, trade, draft.now) or trade.exiting
        if trade.exiting is not None:
            draft.cancel(trade, trade.entry, trade.exiting.value)
            settle(draft, trade.plan_id)


def _known(state: ExecutionState, client_order_id: str) -> tuple[TradeRecord | Closing, OrderRecord]:
    if client_order_id in state.closings:
        return state.closings[client_order_id], state.closings[client_order_id].order
    plan_id = state.plan_of.get(client_order_id)
    if plan_id is None:
        raise UnknownOrder(f"client_order_id={client_order_id}: no plan of this trader has it")
    trade = state.trades[plan_id]
    return trade, trade.orders[client_order_id]


def _report(
    state: ExecutionState, message: Message, event: Any, moved: Callable[..., Event], *details: Any
) -> Sequence[Event]:
    """Say what a venue report made of one of our orders, then settle its trade."""
    owner, order = _known(state, event.client_order_id)
    draft = Draft(state, message, owner.plan_id)
    names = (order.client_order_id, owner.plan_id, owner.account_id, owner.instrument_id)
    draft.emit(moved(*names, *details))
    if isinstance(owner, TradeRecord):
        settle(draft, owner.plan_id)
    return draft.outputs


def _attempted(state: ExecutionState, message: Message, event: SubmitAttempted) -> Sequence[Event]:
    if _known(state, event.client_order_id)[1].state is not OrderState.INTENDED:
        return ()  # Sent again after a refusal for load, or the late word of a gateway that lost its claim.
    return _report(state, message, event, OrderSubmitted)


def _in_doubt(state: ExecutionState, message: Message, event: SubmitInDoubt) -> Sequence[Event]:
    if _known(state, event.client_order_id)[1].state is not OrderState.SUBMITTED:
        return ()  # The venue's word overtook the doubt.
    return _report(state, message, event, OrderUnknown, event.reason)


def _accepted(state: ExecutionState, message: Message, event: VenueAccepted) -> Sequence[Event]:
    if _known(state, event.client_order_id)[1].state is OrderState.ACCEPTED:
        return ()  # The ack and the answer to a query say the same.
    return _report(state, message, event, OrderAccepted, event.venue_order_id)


def _not_sent(state: ExecutionState, message: Message, event: NotSent) -> Sequence[Event]:
    if not fold.is_owners(state, event) or _known(state, event.client_order_id)[1].state not in UNSETTLED:
        return ()
    if event.reason not in NEVER_SENDABLE:
        return _report(state, message, event, OrderExpired, Quantity(ZERO))
    return _report(state, message, event, OrderRejected, event.reason)


def _rejected(state: ExecutionState, message: Message, event: VenueRejected) -> Sequence[Event]:
    if event.operation is OrderOperation.SUBMIT:
        if _known(state, event.client_order_id)[1].state is OrderState.REJECTED:
            return ()  # The refusal and the answer to a query say the same.
        return _report(state, message, event, OrderRejected, event.code)
    trade, order = _known(state, event.client_order_id)
    if event.operation is OrderOperation.CANCEL or not order.live or isinstance(trade, Closing):
        return ()  # The order ended before the change reached it: its end is on the log or on its way.
    draft = Draft(state, message, trade.plan_id)
    settle(draft, trade.plan_id)
    return draft.outputs


def _amended(state: ExecutionState, message: Message, event: VenueAmended) -> Sequence[Event]:
    _, order = _known(state, event.client_order_id)
    if not order.live:
        return ()
    return _report(state, message, event, OrderAmended, event.quantity, event.trigger_price)


def _canceled(state: ExecutionState, message: Message, event: VenueCanceled) -> Sequence[Event]:
    _, order = _known(state, event.client_order_id)
    if not order.live:
        return ()  # Filled before the cancel arrived.
    filled = Quantity(order.filled)
    if event.code == "EXPIRED":
        return _report(state, message, event, OrderExpired, filled)
    return _report(state, message, event, OrderCanceled, filled, event.code)


def _filled(state: ExecutionState, message: Message, event: VenueFill) -> Sequence[Event]:
    if fold.fill_key(event) in state.seen:
        return ()
    if event.client_order_id in state.closings:
        moved = closing.filled(state.closings[event.client_order_id], event)
        return (moved, *_not_ours(state, message, event))
    if by_hand.is_theirs(state, event.client_order_id):
        return _not_ours(state, message, event)
    if event.liquidation:
        return _liquidation(state, message, event)
    trade, order = _known(state, event.client_order_id)
    assert isinstance(trade, TradeRecord)
    draft = Draft(state, message, trade.plan_id)
    names = (order.client_order_id, trade.plan_id, trade.account_id, trade.instrument_id)
    filled = Quantity(order.filled + event.last_quantity)
    if filled < order.quantity:
        draft.emit(OrderPartiallyFilled(*names, filled, Quantity(order.quantity - filled)))
    else:
        draft.emit(OrderFilled(*names, filled))
    draft.emit(fills.book(state, trade, order, event))
    settle(draft, trade.plan_id)
    return draft.outputs


def _not_ours(state: ExecutionState, message: Message, event: VenueFill) -> Sequence[Event]:
    """Book what an order that is not ours closed of a trade, fee and all; its stop and targets follow."""
    trade, reduced, _ = by_hand.split(state, event)
    if trade is None or not reduced:
        return ()
    draft = Draft(state, message, trade.plan_id)
    fee = Quantity(event.fee * reduced / event.last_quantity)
    booked = replace(event, last_quantity=Quantity(reduced), fee=fee)
    draft.emit(fills.book(state, trade, None, booked))
    settle(draft, trade.plan_id)
    return draft.outputs


def _liquidation(state: ExecutionState, message: Message, event: VenueFill) -> Sequence[Event]:
    """Book a forced close on the trade that holds the position; its order is the venue's own."""
    holding = [plan for plan in state.active.get(event.instrument_id, ()) if state.trades[plan].open_quantity]
    if not holding:
        raise UnknownOrder(f"{event.instrument_id}: liquidated, but no trade holds a position there")
    draft = Draft(state, message)
    draft.emit(fills.book(state, state.trades[holding[0]], None, event))
    settle(draft, holding[0])
    return draft.outputs


Rule = Callable[[ExecutionState, Message, Any], Sequence[Event]]


def _ours(rule: Rule) -> Rule:
    """Return the rule for orders of ours only: of others, and of long forgotten ones, a venue may say anything."""

    def ruled(state: ExecutionState, message: Message, event: Any) -> Sequence[Event]:
        theirs = by_hand.is_theirs(state, event.client_order_id) and event.client_order_id not in state.closings
        return () if theirs else rule(state, message, event)

    return ruled


_DECIDE: dict[type[Event], Rule] = {
    PlanApproved: _approved,
    ReductionApproved: _reduction,
    TradingStateChanged: _state_changed,
    RegimeClassified: _regime,
    QualityChanged: _clock,
    Trade: _trade,
    VenueBar: _bar,
    MarkPrice: _clock,
    IndexPrice: _clock,
    TimerFired: _clock,
    SubmitAttempted: _ours(_attempted),
    SubmitInDoubt: _ours(_in_doubt),
    NotSent: _ours(_not_sent),
    VenueAccepted: _ours(_accepted),
    VenueRejected: _ours(_rejected),
    VenueAmended: _ours(_amended),
    VenueCanceled: _ours(_canceled),
    VenueFill: _filled,
}

STAGE = Stage(
    name=STAGE_NAME,
    takes=(
        *_DECIDE,
        SettingsChanged,
        LimitOverridden,
        InstrumentDefined,
        FeedStatus,
        VenueLiquidated,
        GatewayClaimed,
        AccountSnapshot,
    ),
    state_type=ExecutionState,
    initial=ExecutionState,
    decide=decide,
    evolve=evolve,
)
