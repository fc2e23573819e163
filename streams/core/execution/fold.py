"""How each event moves execution's state: ``decide`` folds into its draft as ``evolve`` folds into the state."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.common import EntryEnd, ExitReason, OrderPurpose, OrderType, TradingState
from schemas.events.control import SettingsChanged
from schemas.events.data import QualityChanged
from schemas.events.gateway import GatewayClaimed
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import InstrumentDefined, InstrumentKind, Trade, VenueBar
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    EntryEnded,
    FillBooked,
    NotSent,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderOperation,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    ProtectionMissing,
    ProtectionRestored,
    VenueFill,
    VenueLiquidated,
    VenueRejected,
)
from schemas.events.risk import LimitOverridden, PlanApproved, ReductionApproved, TradingStateChanged
from schemas.settings import TradingSettings, Venue
from streams.core.execution import by_hand, closing, exits
from streams.core.execution.orders import NEVER_SENDABLE, UNSETTLED, OrderRecord, next_state
from streams.core.execution.state import (
    DONE_MAX,
    EXPIRY_GRACE_US,
    NEVER,
    SEEN_MAX,
    ExecutionState,
    TradeRecord,
)

_REFUSED_CHANGE = (OrderOperation.AMEND,)


def apply(state: ExecutionState, event: Event, now: int) -> None:
    """Fold one event; types that mean nothing to execution's state are passed over."""
    rule = _RULES.get(type(event))
    if rule is not None:
        rule(state, event, now)


def fill_key(event: VenueFill) -> str:
    """Return what tells one execution from its repeats. Source: OKX facts, point 5 (dedupe by instId, tradeId)."""
    return f"{event.instrument_id}|{event.venue_trade_id}"


def index(state: ExecutionState, trade: TradeRecord) -> None:
    """Put a trade among the active or the finished ones, and find the next moment the clock matters."""
    plans = state.active.setdefault(trade.instrument_id, [])
    if _is_over(state, trade):
        if trade.plan_id in plans:
            plans.remove(trade.plan_id)
            state.done.append(trade.plan_id)
            _forget_oldest(state)
    elif trade.plan_id not in plans:
        plans.append(trade.plan_id)
        if trade.plan_id in state.done:
            state.done.remove(trade.plan_id)
    if not plans:
        del state.active[trade.instrument_id]
    deadlines = (deadline(state, state.trades[plan]) for group in state.active.values() for plan in group)
    state.next_deadline = min(deadlines, default=NEVER)


def _is_over(state: ExecutionState, trade: TradeRecord) -> bool:
    if not trade.entry_ended or any(order.live for order in trade.orders.values()):
        return False
    return not state.tradable(trade)


def _forget_oldest(state: ExecutionState) -> None:
    while len(state.done) > DONE_MAX:
        trade = state.trades.pop(state.done.pop(0))
        for client_order_id in trade.orders:
            state.plan_of.pop(client_order_id, None)


def deadline(state: ExecutionState, trade: TradeRecord) -> int:
    """Return when the clock next matters to a trade: an exit without an order of its own, or a forgotten entry."""
    moments = [NEVER, *(ts for ts, _ in exits.moments(state, trade))]
    if entry_is_forgotten(trade, NEVER):
        moments.append(trade.ts_valid_until + EXPIRY_GRACE_US)
    return min(moments)


def entry_is_forgotten(trade: TradeRecord, now: int) -> bool:
    """Whether the venue should have expired the entry by ``now`` and did not (a market entry meets the next open)."""
    entry = trade.orders.get(trade.entry_id)
    if entry is None or not entry.live or entry.cancel_requested or entry.type is OrderType.MARKET:
        return False
    return now >= trade.ts_valid_until + EXPIRY_GRACE_US


def _settings(state: ExecutionState, event: SettingsChanged, now: int) -> None:
    settings = TradingSettings.from_values(event.values)
    state.fee_buffer_pct, state.mark_substitute = settings.fee_buffer_pct, settings.mark_substitute
    state.regime_timeframe, state.regime_exit_enabled = settings.regime_timeframe, settings.regime_exit_enabled
    state.quality_exit_s, state.venue = settings.quality_exit_s, Venue(settings.venue)
    for plans in list(state.active.values()):
        for plan_id in list(plans):
            index(state, state.trades[plan_id])


def _overridden(state: ExecutionState, event: LimitOverridden, now: int) -> None:
    if event.name == "fee_buffer_pct":
        state.fee_buffer_pct = Decimal(event.value)


def _instrument(state: ExecutionState, event: InstrumentDefined, now: int) -> None:
    state.instruments[event.instrument_id] = event


def _approved(state: ExecutionState, event: PlanApproved, now: int) -> None:
    trade = TradeRecord(
        plan_id=event.plan_id,
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        position_side=event.position_side,
        strategy=event.strategy,
        origin=event.origin,
        stop=event.stop,
        targets=event.targets,
        entry_type=event.entry.type,
        ts_valid_until=event.ts_valid_until,
        max_holding_s=event.max_holding_s,
        quantity_unit=event.sizing.quantity_unit,
        margin_mode=event.sizing.margin_mode,
        margin_leverage=event.sizing.margin_leverage,
    )
    state.trades[event.plan_id] = trade


def _reduction(state: ExecutionState, event: ReductionApproved, now: int) -> None:
    for plan_id in state.active.get(event.instrument_id, ()):
        trade = state.trades[plan_id]
        if trade.account_id == event.account_id and trade.exiting is None:
            trade.exiting = event.reason
            index(state, trade)


def _state_changed(state: ExecutionState, event: TradingStateChanged, now: int) -> None:
    halted = event.state is TradingState.HALTED
    scopes = [cause.scope for cause in event.causes if cause.state is TradingState.HALTED]
    state.halted = (scopes or ["account"]) if halted else []
    for plans in list(state.active.values()):
        for plan_id in list(plans):
            index(state, state.trades[plan_id])


def _regime(state: ExecutionState, event: RegimeClassified, now: int) -> None:
    for trade in exits.take_regime(state, event, now):
        index(state, trade)


def _quality(state: ExecutionState, event: QualityChanged, now: int) -> None:
    for trade in exits.take_quality(state, event, now):
        index(state, trade)


def _intended(state: ExecutionState, event: OrderIntended, now: int) -> None:
    order = OrderRecord(
        client_order_id=event.client_order_id,
        purpose=event.purpose,
        type=event.type,
        target_index=event.target_index,
        side=event.side,
        quantity=event.quantity,
        filled=Decimal(0),
        trigger_price=event.trigger_price,
        exit_reason=event.exit_reason,
    )
    if not event.plan_id:
        return closing.take_intent(state, event, order)
    trade = state.trades[event.plan_id]
    trade.orders[event.client_order_id] = order
    state.plan_of[event.client_order_id] = event.plan_id
    if event.purpose is OrderPurpose.ENTRY:
        trade.entry_id = event.client_order_id
    elif event.purpose is OrderPurpose.STOP:
        trade.stop_id = event.client_order_id
    elif event.purpose is OrderPurpose.EXIT:
        trade.exiting = event.exit_reason
    return index(state, trade)


def _amend_intended(state: ExecutionState, event: AmendIntended, now: int) -> None:
    trade = state.trades[event.plan_id]
    order = trade.orders[event.client_order_id]
    if event.quantity is not None:
        order.pending_quantity = event.quantity
    if event.trigger_price is not None:
        order.pending_trigger, order.pending_reason = event.trigger_price, event.exit_reason
        trade.ts_trailed = now


def _cancel_intended(state: ExecutionState, event: CancelIntended, now: int) -> None:
    trade = state.trades[event.plan_id]
    trade.orders[event.client_order_id].cancel_requested = True
    index(state, trade)


def _moved(state: ExecutionState, event: Any, now: int) -> None:
    if not event.plan_id:
        return closing.take_move(state, event)
    trade = state.trades[event.plan_id]
    order = trade.orders[event.client_order_id]
    order.state = next_state(order.state, event)
    order.filled = getattr(event, "filled_quantity", order.filled)
    order.end = _end_of(event) or order.end
    return index(state, trade)


def _end_of(event: Event) -> EntryEnd | None:
    if isinstance(event, OrderRejected):
        return EntryEnd.REJECTED
    if isinstance(event, OrderExpired):
        return EntryEnd.EXPIRED
    if isinstance(event, OrderCanceled):
        return EntryEnd.ENTRY_PAST_STOP if event.reason == EntryEnd.ENTRY_PAST_STOP else EntryEnd.CANCELED
    return None


def _amended(state: ExecutionState, event: OrderAmended, now: int) -> None:
    _moved(state, event, now)
    order = state.trades[event.plan_id].orders[event.client_order_id]
    order.quantity = event.quantity
    if order.pending_quantity == event.quantity:
        order.pending_quantity = None
    if event.trigger_price is not None and order.pending_trigger == event.trigger_price:
        order.exit_reason = order.pending_reason or order.exit_reason
        order.pending_trigger = order.pending_reason = None
    order.trigger_price = event.trigger_price


def _refused(state: ExecutionState, event: VenueRejected, now: int) -> None:
    """A refused change leaves the order as it was."""
    plan_id = state.plan_of.get(event.client_order_id)
    if plan_id is None or event.operation not in _REFUSED_CHANGE:
        return
    order = state.trades[plan_id].orders[event.client_order_id]
    order.pending_quantity = order.pending_trigger = order.pending_reason = None
    order.amend_refused = order.live


def _claimed(state: ExecutionState, event: GatewayClaimed, now: int) -> None:
    state.claim_id = event.claim_id


def _snapshot(state: ExecutionState, event: AccountSnapshot, now: int) -> None:
    if state.venue is not Venue.PAPER:
        by_hand.take_snapshot(state, event)


def is_owners(state: ExecutionState, event: NotSent) -> bool:
    """Whether the gateway that owns the reports says so: a former owner knows too little. Source: kernel, section 7."""
    return event.claim_id == state.claim_id


def _not_sent(state: ExecutionState, event: NotSent, now: int) -> None:
    plan_id = state.plan_of.get(event.client_order_id)
    if plan_id is not None and is_owners(state, event):
        order = state.trades[plan_id].orders[event.client_order_id]
        order.not_sent = order.state in UNSETTLED and event.reason not in NEVER_SENDABLE


def _entry_ended(state: ExecutionState, event: EntryEnded, now: int) -> None:
    trade = state.trades[event.plan_id]
    trade.entry_ended = True
    index(state, trade)


def _missing(state: ExecutionState, event: ProtectionMissing, now: int) -> None:
    trade = state.trades[event.plan_id]
    trade.unprotected = True
    trade.exiting = trade.exiting or ExitReason.UNPROTECTED


def _restored(state: ExecutionState, event: ProtectionRestored, now: int) -> None:
    state.trades[event.plan_id].unprotected = False


def _booked(state: ExecutionState, event: FillBooked, now: int) -> None:
    trade = state.trades[event.plan_id]
    if event.purpose is OrderPurpose.ENTRY:
        gained = event.last_quantity - event.fee_base
        trade.entry_filled += event.last_quantity
        trade.entry_value += event.last_quantity * event.last_price
        trade.entered += gained
        trade.open_quantity += gained
        if trade.ts_first_fill is None:
            trade.ts_first_fill = now
            trade.best_price = trade.last_price
    else:
        trade.open_quantity -= event.last_quantity
        trade.exited += event.last_quantity
        spot = state.instruments[trade.instrument_id].kind is InstrumentKind.SPOT
        if spot and not state.tradable(trade):
            # Dust: the account closes the trade with it, so a late entry fill must not sell it again.
            trade.open_quantity = Decimal(0)
    index(state, trade)


def _seen(state: ExecutionState, event: VenueFill, now: int) -> None:
    if by_hand.is_theirs(state, event.client_order_id) and fill_key(event) not in state.seen:
        by_hand.take_fill(state, event)
    state.seen[fill_key(event)] = True
    if len(state.seen) > SEEN_MAX:
        del state.seen[next(iter(state.seen))]
    if event.liquidation:
        state.penalties.pop(event.venue_trade_id, None)


def _liquidated(state: ExecutionState, event: VenueLiquidated, now: int) -> None:
    state.penalties[event.venue_trade_id] = event.penalty


def last_price(trade: TradeRecord, price: Decimal) -> None:
    """Remember the market's last price for a trade, and the best one since its entry."""
    trade.last_price = price
    if trade.ts_first_fill is None:
        return
    if trade.best_price is None or (price - trade.best_price) * trade.sign > 0:
        trade.best_price = price


def _bar(state: ExecutionState, event: VenueBar, now: int) -> None:
    if not event.backfill:
        for plan_id in state.active.get(event.instrument_id, ()):
            last_price(state.trades[plan_id], event.close_price)


def _trade(state: ExecutionState, event: Trade, now: int) -> None:
    for plan_id in state.active.get(event.instrument_id, ()):
        last_price(state.trades[plan_id], event.last_price)


_RULES: dict[type[Event], Callable[[ExecutionState, Any, int], None]] = {
    Trade: _trade,
    VenueBar: _bar,
    SettingsChanged: _settings,
    LimitOverridden: _overridden,
    InstrumentDefined: _instrument,
    PlanApproved: _approved,
    ReductionApproved: _reduction,
    TradingStateChanged: _state_changed,
    RegimeClassified: _regime,
    QualityChanged: _quality,
    VenueFill: _seen,
    VenueLiquidated: _liquidated,
    GatewayClaimed: _claimed,
    NotSent: _not_sent,
    AccountSnapshot: _snapshot,
    VenueRejected: _refused,
    OrderIntended: _intended,
    AmendIntended: _amend_intended,
    CancelIntended: _cancel_intended,
    OrderSubmitted: _moved,
    OrderAccepted: _moved,
    OrderRejected: _moved,
    OrderUnknown: _moved,
    OrderPartiallyFilled: _moved,
    OrderFilled: _moved,
    OrderCanceled: _moved,
    OrderExpired: _moved,
    OrderAmended: _amended,
    EntryEnded: _entry_ended,
    ProtectionMissing: _missing,
    ProtectionRestored: _restored,
    FillBooked: _booked,
}
