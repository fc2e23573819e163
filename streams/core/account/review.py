"""Turns a trade that just ended into its ``TradeClosed``: R, budget multiple and breach, excursions, shortfall.

Source: domain definitions, section 7.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.account import BreachCause, Excursion, Shortfall, TradeClosed
from schemas.events.common import ExitReason
from schemas.values import SECOND, Micros, Money, Price, Quantity, Ratio, money, price, ratio
from streams.core.account.excursion import excursion
from streams.core.account.shortfall import Amounts, amounts_at, shortfall
from streams.core.account.state import Plan, Position, Track


def close_trade(
    trade: Position,
    plan: Plan | None,
    track: Track,
    *,
    account_id: str,
    instrument_id: str,
    buffer_pct: Decimal,
    now: int,
) -> TradeClosed:
    """Return the record of a finished trade. ``buffer_pct``: slippage buffer of the verdict's worst case.

    A plan of the other side says nothing about this trade (it closed a position and went on past flat).
    """
    plan = plan if plan is not None and plan.side is trade.side else None
    avg_entry = price(trade.entry_value / trade.entered_base)
    avg_exit = price(trade.exit_value / trade.exited_base)
    stop = None if plan is None else plan.first_stop
    risk = None if stop is None else money(trade.entered_base * abs(avg_entry - stop))
    budget = None if plan is None else _budget_multiple(trade, plan)
    on_last = excursion(track.low, track.high, sign=trade.sign, avg_entry=avg_entry, first_stop=stop)
    return TradeClosed(
        trade_id=trade.trade_id,
        plan_id=trade.plan_id,
        account_id=account_id,
        instrument_id=instrument_id,
        position_side=trade.side,
        strategy="" if plan is None else plan.strategy,
        origin=None if plan is None else plan.origin,
        ts_opened=Micros(trade.ts_opened),
        ts_closed=Micros(now),
        entered_quantity=Quantity(trade.entered_quantity),
        avg_entry_price=avg_entry,
        avg_exit_price=avg_exit,
        first_stop_price=None if stop is None else Price(stop),
        exit_reason=trade.exit_reason or ExitReason.OPERATOR,
        gross_pnl=Money(trade.realized),
        fees=Money(trade.fees),
        funding=Money(trade.funding),
        liquidation_penalty=Money(trade.penalty),
        net_pnl=Money(trade.net),
        slippage=money(trade.slippage),
        initial_risk=risk,
        r_multiple=ratio(trade.net / risk) if risk else None,
        budget_multiple=budget,
        breach=None if plan is None else _breach(trade, plan, buffer_pct),
        excursion_last=on_last,
        excursion_mark=excursion(
            track.mark_low, track.mark_high, sign=trade.sign, avg_entry=avg_entry, first_stop=stop
        ),
        exit_efficiency=_efficiency(trade.sign * (avg_exit - avg_entry), on_last),
        shortfall=None if plan is None else _shortfall(trade, plan),
        holding_s=(now - trade.ts_opened) // SECOND,
    )


def _efficiency(gained: Decimal, on_last: Excursion | None) -> Ratio | None:
    return ratio(gained / on_last.mfe) if on_last is not None and on_last.mfe else None


def approved_loss(trade: Position, plan: Plan) -> Decimal:
    """Return the worst case the verdict allowed for what was entered (positive)."""
    return plan.worst_case_loss * trade.entered_quantity / plan.quantity


def _budget_multiple(trade: Position, plan: Plan) -> Ratio | None:
    allowed = approved_loss(trade, plan)
    return ratio(trade.net / allowed) if allowed else None


def _breach(trade: Position, plan: Plan, buffer_pct: Decimal) -> BreachCause | None:
    """Name what took most of the loss past the approved one; None within it.

    The verdict's worst case splits into price (entry at its reference, exit at the stop less the slippage buffer),
    fees and funding; each cause is what its part lost more. A gap is the market's jump past the stop, slippage the
    rest.
    """
    if -trade.net <= approved_loss(trade, plan):
        return None
    worst_stop = plan.first_stop * (1 - trade.sign * buffer_pct / 100)
    unit_price_loss = trade.sign * (plan.reference_price - worst_stop)
    base = trade.entered_base
    past_price = -trade.realized - base * unit_price_loss
    funding_buffer = (plan.worst_case_loss - plan.base_quantity * plan.unit_loss) * base / plan.base_quantity
    causes = {
        BreachCause.GAP: trade.gap_loss,
        BreachCause.SLIPPAGE: past_price - trade.gap_loss,
        BreachCause.FEE: trade.fees + trade.penalty - base * (plan.unit_loss - unit_price_loss),
        BreachCause.FUNDING: -trade.funding - funding_buffer,
    }
    return max(causes, key=lambda cause: causes[cause])


def _shortfall(trade: Position, plan: Plan) -> Shortfall | None:
    """Return the shortfall of what was entered and left again; None where no decision price was known."""
    if plan.p0 is None or plan.p1 is None:
        return None
    p2 = plan.p1 if trade.entry_p2 is None else trade.entry_p2
    t2 = p2 if trade.entry_t2 is None else trade.entry_t2
    entered = trade.exited_base
    return shortfall(
        sign=trade.sign,
        intended=plan.base_quantity,
        entered=entered,
        p0=plan.p0,
        entry=amounts_at(entered, plan.p0, plan.p1, p2, t2, filled=trade.entry_value - trade.cost),
        leave=Amounts(trade.exit_x0, trade.exit_x0, trade.exit_p2, trade.exit_t2, trade.exit_value),
        fees=trade.fees + trade.penalty,
        funding=trade.funding,
        spread_observed=trade.spread_observed,
    )
