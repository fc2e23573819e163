"""Keeps what the review will need of plans and orders: decision prices, first stop, and when the venue had an order.

A plan and its orders are kept until the next approval for the instrument, so that a late fill still finds them.
"""

from __future__ import annotations

from schemas.events.common import PlanOrigin, Side
from schemas.events.orders import OrderAccepted, OrderAmended, OrderIntended
from schemas.events.plan import PlanProposed
from schemas.events.risk import PlanApproved
from streams.core.account.equity import mid_of
from streams.core.account.state import Desk, Order, Plan


def note_proposal(desk: Desk, event: PlanProposed) -> None:
    """Keep P0: the mid now, where plan and input share a step; for a model what its snapshot showed."""
    shown = event.snapshot.last_price
    from_model = event.origin is PlanOrigin.MODEL and shown is not None
    desk.proposal = (event.plan_id, shown if from_model else mid_of(desk.view))


def note_approval(desk: Desk, event: PlanApproved) -> None:
    """Keep the verdict and P1, the mid now; forget plans and orders that no open trade needs."""
    open_plan = "" if desk.position is None else desk.position.plan_id
    p1 = mid_of(desk.view)
    proposed, p0 = desk.proposal
    desk.orders = {key: order for key, order in desk.orders.items() if order.plan_id == open_plan}
    desk.plans = {key: plan for key, plan in desk.plans.items() if key == open_plan}
    desk.plans[event.plan_id] = Plan(
        plan_id=event.plan_id,
        side=event.position_side,
        strategy=event.strategy,
        origin=event.origin,
        first_stop=event.stop.trigger_price,
        reference_price=event.sizing.reference_price,
        unit_loss=event.sizing.unit_loss,
        worst_case_loss=event.sizing.worst_case_loss,
        quantity=event.sizing.quantity,
        base_quantity=event.sizing.base_quantity,
        targets=tuple(target.limit_price for target in event.targets),
        p0=p0 if proposed == event.plan_id else p1,
        p1=p1,
    )


def note_intent(desk: Desk, event: OrderIntended, ts: int) -> None:
    """Keep an order and the mid at its decision."""
    desk.orders[event.client_order_id] = Order(
        plan_id=event.plan_id,
        purpose=event.purpose,
        type=event.type,
        side=event.side,
        ts=ts,
        limit_price=event.limit_price,
        trigger_price=event.trigger_price,
        decision_mid=mid_of(desk.view),
    )


def note_accepted(desk: Desk, event: OrderAccepted) -> None:
    """Keep P2 and T2: mid and near touch when the venue has the order; without a quote: the fill's arrival price."""
    order, view = desk.orders.get(event.client_order_id), desk.view
    if order is None or view.bid is None or view.ask is None:
        return
    order.p2 = mid_of(view)
    order.t2 = view.ask if order.side is Side.BUY else view.bid


def note_amended(desk: Desk, event: OrderAmended) -> None:
    """Keep a stop's new trigger."""
    order = desk.orders.get(event.client_order_id)
    if order is not None and event.trigger_price is not None:
        order.trigger_price = event.trigger_price


def note_ended(desk: Desk, client_order_id: str) -> None:
    """Mark an order that can fill no more; a fill already on its way still finds it."""
    order = desk.orders.get(client_order_id)
    if order is not None:
        order.live = False
