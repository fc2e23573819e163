"""Books a fill on the account: ledger, excursion, review benchmarks, and the events that say so.

``settle`` is pure: ``decide`` takes its events and ``evolve`` its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from schemas.envelope import Event
from schemas.events.account import PositionChanged
from schemas.events.common import ExitReason, OrderPurpose, OrderType
from schemas.events.orders import FillBooked
from schemas.values import Money, Quantity, money, price
from streams.core.account.excursion import see_bar, see_exit, see_mark, see_price
from streams.core.account.ledger import Booking, Leg, book
from streams.core.account.review import close_trade
from streams.core.account.state import ZERO, AccountState, Desk, Order, Plan, Position, Track, View
from streams.core.twin import twin

FILLS_REMEMBERED = 512
"""How many fill ids are kept to book each fill once; execution has already dropped repeats by venue trade id."""

_RESTING = (OrderPurpose.STOP, OrderPurpose.TARGET)
_STOPPED = (ExitReason.STOP, ExitReason.BREAK_EVEN, ExitReason.TRAIL, ExitReason.LIQUIDATION)


@dataclass(frozen=True, slots=True)
class Settled:
    """The account after a fill, and the events that tell of it (equity comes after)."""

    state: AccountState
    events: tuple[Event, ...]


def settle(state: AccountState, fill: FillBooked, now: int) -> Settled | None:
    """Return the account after ``fill``; None if it was booked before. Raises LedgerError for an impossible fill."""
    if fill.fill_id in state.fill_ids:
        return None
    desk = state.desks.get(fill.instrument_id) or Desk()
    order = desk.orders.get(fill.client_order_id)
    booking = book(desk.position, fill, now=now, min_quantity=desk.view.min_quantity)
    closed, held = _with_benchmarks(desk, booking, fill, order, now)
    track = _track(desk, booking, order, now, stopped=_is_stop(fill))
    after = replace(
        desk,
        position=held,
        track=_opened_track(desk.view, held, order, now) if booking.opening and _is_new(desk, booking) else track,
        waiting=False,
        dust=desk.dust + (ZERO if closed is None else closed.base_quantity),
        dust_cost=desk.dust_cost + (ZERO if closed is None else closed.cost),
    )
    events: list[Event] = []
    if closed is not None:
        events += _closing_events(state, desk, fill, closed, track, now)
    if held is not None:
        events.append(position_changed(fill.account_id, fill.instrument_id, held))
    return Settled(
        replace(
            state,
            cash=state.cash + booking.cash,
            net_closed=state.net_closed + (ZERO if closed is None else closed.net),
            desks={**state.desks, fill.instrument_id: after},
        ),
        tuple(events),
    )


def position_changed(account_id: str, instrument_id: str, position: Position, *, flat: bool = False) -> PositionChanged:
    """Return the event that tells a position as it is now; ``flat``: it is over, dust or not."""
    base = ZERO if flat else position.base_quantity
    return PositionChanged(
        account_id=account_id,
        instrument_id=instrument_id,
        plan_id=position.plan_id,
        trade_id=position.trade_id,
        quantity=Quantity(ZERO if flat else position.quantity),
        base_quantity=Quantity(base),
        cost=Money(ZERO if flat else position.cost),
        avg_entry_price=price(abs(position.cost / base)) if base else None,
        margin=Money(ZERO if flat else position.margin),
        realized_pnl=Money(position.realized),
    )


def _closing_events(
    state: AccountState, desk: Desk, fill: FillBooked, closed: Position, track: Track, now: int
) -> Sequence[Event]:
    plan = desk.plans.get(closed.plan_id)
    return (
        position_changed(fill.account_id, fill.instrument_id, closed, flat=True),
        close_trade(closed, plan, track, fill, buffer_pct=state.slippage_buffer_pct, now=now),
    )


def _is_new(desk: Desk, booking: Booking) -> bool:
    return desk.position is None or booking.closed is not None


def _is_stop(fill: FillBooked) -> bool:
    return fill.purpose is OrderPurpose.STOP or fill.exit_reason in _STOPPED


def _with_benchmarks(
    desk: Desk, booking: Booking, fill: FillBooked, order: Order | None, now: int
) -> tuple[Position | None, Position | None]:
    """Return (closed, open) of a booking with what the review needs of this fill added."""
    closed, held = booking.closed, booking.open
    if booking.closing is not None:
        if closed is not None:
            closed = _exited(desk, closed, booking.closing, fill, order, now)
        elif held is not None:
            held = _exited(desk, held, booking.closing, fill, order, now)
    if booking.opening is not None and held is not None:
        held = _entered(held, booking.opening, fill, order)
    return closed, held


def _entered(position: Position, leg: Leg, fill: FillBooked, order: Order | None) -> Position:
    position = replace(position, slippage=position.slippage + _slippage(leg, fill))
    if position.entered_base != leg.base:
        return position
    p2 = fill.arrival_price if order is None or order.p2 is None else order.p2
    observed = order is not None and order.t2 is not None
    touch = order.t2 if observed and order is not None else p2
    return replace(position, entry_p2=p2, entry_t2=touch, spread_observed=observed)


def _exited(desk: Desk, position: Position, leg: Leg, fill: FillBooked, order: Order | None, now: int) -> Position:
    plan = desk.plans.get(position.plan_id)
    x0, p2, t2, observed = _exit_benchmarks(fill, order, plan)
    reason = fill.exit_reason or (ExitReason.LIQUIDATION if fill.penalty > 0 else position.exit_reason)
    return replace(
        position,
        slippage=position.slippage + _slippage(leg, fill),
        gap_loss=position.gap_loss + _gap(desk.view, position, leg, _trigger(fill, order, plan), now),
        exit_x0=position.exit_x0 + money(leg.base * x0),
        exit_p2=position.exit_p2 + money(leg.base * p2),
        exit_t2=position.exit_t2 + money(leg.base * t2),
        spread_observed=position.spread_observed and observed,
        exit_reason=reason,
    )


def _slippage(leg: Leg, fill: FillBooked) -> Decimal:
    return ZERO if fill.arrival_price is None else money(leg.sign * (leg.price - fill.arrival_price) * leg.base)


def _trigger(fill: FillBooked, order: Order | None, plan: Plan | None) -> Decimal | None:
    """Return the stop price an exit left at; None for an exit that was no stop."""
    if not _is_stop(fill):
        return None
    if order is not None and order.trigger_price is not None:
        return order.trigger_price
    return None if plan is None else plan.first_stop


def _exit_benchmarks(
    fill: FillBooked, order: Order | None, plan: Plan | None
) -> tuple[Decimal, Decimal, Decimal, bool]:
    """Return X0, P2, T2 of an exit fill and whether the touch was seen.

    A resting order's decision is its price, so it has no delay and no spread: what it lost is impact.
    """
    arrival = fill.last_price if fill.arrival_price is None else fill.arrival_price
    if fill.purpose in _RESTING:
        resting = _trigger(fill, order, plan) or (order.limit_price if order is not None else None) or fill.last_price
        return resting, resting, resting, True
    if order is None or order.decision_mid is None:
        return arrival, arrival, arrival, False
    p2 = arrival if order.p2 is None else order.p2
    return order.decision_mid, p2, p2 if order.t2 is None else order.t2, order.t2 is not None


def _gap(view: View, position: Position, leg: Leg, trigger: Decimal | None, now: int) -> Decimal:
    """Return what the market jumped past the stop before anything could trade, in quote currency.

    Measured at the bar's open, at the print of this moment on ticks, else at the fill.
    """
    if trigger is None:
        return ZERO
    met = leg.price
    if view.bar is not None and view.bar.ts == now:
        met = view.bar.open_price
    elif view.last is not None and view.last_ts == now:
        met = view.last
    return max(money(position.sign * (trigger - met) * leg.base), ZERO)


def _track(desk: Desk, booking: Booking, order: Order | None, now: int, *, stopped: bool) -> Track:
    """Return the excursion of the trade that was open before this fill, with the fill counted."""
    track = twin(desk.track)
    if desk.position is not None and booking.closing is not None:
        final = booking.closed is not None
        see_exit(track, booking.closing.price, desk.position.sign, ts=now, final=final, stopped=stopped)
    return track


def _opened_track(view: View, position: Position | None, order: Order | None, now: int) -> Track:
    """Return the excursion of a trade that starts with this fill: its bar, or the tick that filled it, counts."""
    track = Track()
    if position is None:
        return track
    at_open = order is not None and order.type is OrderType.MARKET
    if view.bar is not None and view.bar.ts == now:
        see_bar(track, view.bar, position.sign, favourable=at_open)
    elif view.last is not None and view.last_ts == now:
        see_price(track, view.last)
    if view.mark is not None and view.mark_ts == now:
        see_mark(track, view.mark)
    return track
