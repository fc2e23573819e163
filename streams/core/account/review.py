"""Turns a trade that just ended into its ``TradeClosed``: R, budget multiple and breach, excursions, shortfall; and an
entry that never filled into its ``EntryMissed``.

Source: domain definitions, section 7.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import NamedTuple

from schemas.events.account import BreachCause, EntryMissed, Excursion, Shortfall, TradeClosed
from schemas.events.common import ExitReason, PlanOrigin, PositionSide
from schemas.events.orders import EntryEnded, FillBooked
from schemas.values import SECOND, Micros, Money, Price, Quantity, Ratio, bps, money, price, ratio
from streams.core.account.excursion import excursion
from streams.core.account.shortfall import Amounts, amounts_at, opportunity, shortfall
from streams.core.account.state import Plan, Position, Track


class Judgement(NamedTuple):
    """What the verdict and the market make of a trade: the fields of ``TradeClosed`` that are not bookkeeping."""

    strategy: str = ""
    origin: PlanOrigin | None = None
    first_stop_price: Price | None = None
    initial_risk: Money | None = None
    r_multiple: Ratio | None = None
    budget_multiple: Ratio | None = None
    breach: BreachCause | None = None
    shortfall: Shortfall | None = None


def close_trade(
    trade: Position, plan: Plan | None, track: Track, last_fill: FillBooked, *, buffer_pct: Decimal, now: int
) -> TradeClosed:
    """Return the record of a finished trade. ``buffer_pct``: slippage buffer of the verdict's worst case."""
    avg_entry = price(trade.entry_value / trade.entered_base)
    avg_exit = price(trade.exit_value / trade.exited_base)
    judged = judge(trade, plan, avg_entry=avg_entry, buffer_pct=buffer_pct)
    seen = partial(excursion, sign=trade.sign, avg_entry=avg_entry, first_stop=judged.first_stop_price)
    on_last = seen(track.low, track.high)
    return TradeClosed(
        trade_id=trade.trade_id,
        plan_id=trade.plan_id,
        account_id=last_fill.account_id,
        instrument_id=last_fill.instrument_id,
        position_side=trade.side,
        ts_opened=Micros(trade.ts_opened),
        ts_closed=Micros(now),
        entered_quantity=Quantity(trade.entered_quantity),
        avg_entry_price=avg_entry,
        avg_exit_price=avg_exit,
        exit_reason=trade.exit_reason or ExitReason.OPERATOR,
        gross_pnl=Money(trade.realized),
        fees=Money(trade.fees),
        funding=Money(trade.funding),
        liquidation_penalty=Money(trade.penalty),
        net_pnl=Money(trade.net),
        slippage=money(trade.slippage),
        excursion_last=on_last,
        excursion_mark=seen(track.mark_low, track.mark_high),
        exit_efficiency=_efficiency(trade.sign * (avg_exit - avg_entry), on_last),
        holding_s=(now - trade.ts_opened) // SECOND,
        **judged._asdict(),
    )


def missed_entry(event: EntryEnded, plan: Plan, end_mid: Decimal | None) -> EntryMissed:
    """Return what an entry without a fill missed. ``end_mid``: X0, the mid when it ended; None: no price known."""
    cost = rate = None
    if plan.p0 is not None and end_mid is not None:
        sign = 1 if plan.side is PositionSide.LONG else -1
        cost = opportunity(sign=sign, missed=plan.base_quantity, p0=plan.p0, x0=end_mid)
        rate = bps(cost / (plan.base_quantity * plan.p0) * 10000)
    return EntryMissed(
        plan_id=event.plan_id,
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        position_side=plan.side,
        strategy=plan.strategy,
        origin=plan.origin,
        end=event.end,
        intended_quantity=Quantity(plan.base_quantity),
        decision_price=None if plan.p0 is None else price(plan.p0),
        end_price=None if end_mid is None else price(end_mid),
        opportunity=cost,
        opportunity_bps=rate,
    )


def judge(trade: Position, plan: Plan | None, *, avg_entry: Decimal, buffer_pct: Decimal) -> Judgement:
    """Measure a trade against its verdict; nothing to say without one.

    A plan of the other side says nothing about this trade (it closed a position and went on past flat).
    """
    if plan is None or plan.side is not trade.side:
        return Judgement()
    risk = money(trade.entered_base * abs(avg_entry - plan.first_stop))
    return Judgement(
        strategy=plan.strategy,
        origin=plan.origin,
        first_stop_price=Price(plan.first_stop),
        initial_risk=risk,
        r_multiple=ratio(trade.net / risk) if risk else None,
        budget_multiple=_budget_multiple(trade, plan),
        breach=_breach(trade, plan, buffer_pct),
        shortfall=_shortfall(trade, plan),
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
