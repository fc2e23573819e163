"""Bring a trade's orders to what its fills require: a stop over exactly what is open, targets, exits, and no leftovers.

One rule set looks at the trade as it is after each event and intends only the difference, so every path (partial fills,
late fills, refused stops, reductions) ends in the same place. Source: domain definitions, section 6; OKX facts 2 and 3
(an attached stop protects nothing before the entry is completely filled, and can outlive the position).
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.orders import EntryEnded, ProtectionMissing, ProtectionRestored
from schemas.values import Quantity, truncate_to
from streams.core.execution.draft import Draft
from streams.core.execution.follow import better_stop
from streams.core.execution.orders import AT_VENUE, OrderRecord, OrderState
from streams.core.execution.state import ZERO, TradeRecord

REFUSED_EXITS_MAX = 3
"""Refused market exits of one trade after which the operator is needed; what protects it stays."""
NOT_SENT_MAX = 3
"""Orders of one trade that never reached the venue after which its stop is not tried again: it is closed."""
_TARGET_REASONS = tuple(ExitReason(f"TARGET_{number}") for number in range(1, 6))


def settle(draft: Draft, plan_id: str) -> None:
    """Intend whatever the trade is missing, and take away what it no longer needs."""
    trade = draft.state.trades[plan_id]
    _end_entry(draft, trade)
    open_quantity = draft.state.tradable(trade)
    if open_quantity:
        _protect(draft, trade, open_quantity)
        if trade.exiting is not None:
            _exit(draft, trade, open_quantity, trade.exiting)
        else:
            if not draft.state.is_halted(trade):
                _place_targets(draft, trade)
            _follow(draft, trade)
    elif trade.exited or trade.exiting is not None:
        _sweep(draft, trade)
    if trade.unprotected and not open_quantity:
        draft.emit(ProtectionRestored(trade.plan_id, trade.account_id, trade.instrument_id, Quantity(ZERO)))


def _end_entry(draft: Draft, trade: TradeRecord) -> None:
    entry = trade.entry
    if not entry.live and not trade.entry_ended:
        end = None if entry.state is OrderState.FILLED else entry.end
        draft.emit(
            EntryEnded(
                trade.plan_id,
                trade.account_id,
                trade.instrument_id,
                entry.client_order_id,
                end,
                Quantity(entry.filled),
            )
        )


def _protect(draft: Draft, trade: TradeRecord, open_quantity: Decimal) -> None:
    """Keep one stop over exactly the open quantity; where it cannot be had, say so and close."""
    stop = trade.orders.get(trade.stop_id)
    if stop is None or _is_spent(trade, stop):
        price = trade.stop.trigger_price if stop is None or stop.trigger_price is None else stop.trigger_price
        reason = ExitReason.STOP if stop is None or stop.exit_reason is None else stop.exit_reason
        draft.close(trade, OrderPurpose.STOP, open_quantity, reason, trigger_price=price)
    elif not stop.live or stop.amend_refused:
        _report_missing(draft, trade, open_quantity)
    elif stop.wanted_quantity != stop.filled + open_quantity:
        draft.amend(trade, stop, quantity=stop.filled + open_quantity)


def _is_spent(trade: TradeRecord, stop: OrderRecord) -> bool:
    """Whether the stop did its work, was taken away by us, or never reached the venue: a new one is needed."""
    if stop.not_sent and not stop.live:
        return sum(order.not_sent for order in trade.orders.values()) < NOT_SENT_MAX
    return stop.state is OrderState.FILLED or (not stop.live and stop.cancel_requested)


def _report_missing(draft: Draft, trade: TradeRecord, open_quantity: Decimal) -> None:
    if not trade.unprotected:
        draft.emit(ProtectionMissing(trade.plan_id, trade.account_id, trade.instrument_id, Quantity(open_quantity)))


def _exit(draft: Draft, trade: TradeRecord, open_quantity: Decimal, reason: ExitReason) -> None:
    """Close at market what is open; the stop stays until the trade is flat."""
    draft.cancel(trade, trade.entry, reason.value)
    for target in list(trade.live(OrderPurpose.TARGET)):
        draft.cancel(trade, target, reason.value)
    covered = sum((order.leaves for order in trade.live(OrderPurpose.EXIT)), ZERO)
    instrument = draft.state.instruments[trade.instrument_id]
    missing = open_quantity - covered
    exits = (order for order in trade.orders.values() if order.purpose is OrderPurpose.EXIT)
    refused = sum(_was_lost(order) for order in exits)
    if missing >= instrument.min_quantity and refused < REFUSED_EXITS_MAX:
        draft.close(trade, OrderPurpose.EXIT, missing, reason)


def _sweep(draft: Draft, trade: TradeRecord) -> None:
    """Cancel everything that is left of a trade that is flat."""
    for order in list(trade.orders.values()):
        draft.cancel(trade, order, "TRADE_OVER")


def _place_targets(draft: Draft, trade: TradeRecord) -> None:
    for number, wanted in enumerate(target_quantities(draft, trade)):
        orders = [order for order in trade.orders.values() if order.target_index == number]
        done = sum((order.filled for order in orders), ZERO)
        live = next((order for order in orders if order.live), None)
        if live is not None:
            total = wanted - done + live.filled
            if total > live.filled and total != live.wanted_quantity and not live.amend_refused:
                draft.amend(trade, live, quantity=total)
        elif wanted - done >= _minimum(draft, trade) and not any(_was_lost(order) for order in orders):
            target = trade.targets[number]
            draft.close(
                trade,
                OrderPurpose.TARGET,
                wanted - done,
                _TARGET_REASONS[number],
                limit_price=target.limit_price,
                target_index=number,
            )


def _was_lost(order: OrderRecord) -> bool:
    """Whether the venue refused it or took it away: it is not asked again, the stop still covers the quantity."""
    return order.state is OrderState.REJECTED or (order.state is OrderState.CANCELED and not order.cancel_requested)


def _minimum(draft: Draft, trade: TradeRecord) -> Decimal:
    return draft.state.instruments[trade.instrument_id].min_quantity


def target_quantities(draft: Draft, trade: TradeRecord) -> list[Decimal]:
    """Return the slice of each target out of the entered quantity.

    Each is a fraction rounded down to the lot, the last takes the remainder if the fractions sum to 1; a slice below
    the minimum joins the next, and a last one below it the one before. What a stop closed before a late entry fill is
    not counted. Source: domain definitions, section 6 (targets).
    """
    instrument = draft.state.instruments[trade.instrument_id]
    targets = (order for order in trade.orders.values() if order.purpose is OrderPurpose.TARGET)
    taken = sum((order.filled for order in targets), ZERO)
    entered = truncate_to(trade.open_quantity + taken, instrument.lot_size)
    slices = [truncate_to(entered * target.fraction, instrument.lot_size) for target in trade.targets]
    if slices and sum(target.fraction for target in trade.targets) == 1:
        slices[-1] = entered - sum(slices[:-1], ZERO)
    for number in range(len(slices) - 1):
        if slices[number] < instrument.min_quantity:
            slices[number + 1] += slices[number]
            slices[number] = ZERO
    if len(slices) > 1 and slices[-1] < instrument.min_quantity and slices[-2]:
        slices[-2] += slices[-1]
        slices[-1] = ZERO
    return [part if part >= instrument.min_quantity else ZERO for part in slices]


def _follow(draft: Draft, trade: TradeRecord) -> None:
    """Move the stop after the market once the venue has it."""
    stop = trade.orders.get(trade.stop_id)
    if stop is None or stop.state not in AT_VENUE or trade.last_price is None or trade.best_price is None:
        return
    moved = better_stop(draft.state, trade, stop, trade.last_price, trade.best_price, draft.now)
    if moved is not None:
        draft.amend(trade, stop, trigger_price=moved.trigger_price, reason=moved.reason)
