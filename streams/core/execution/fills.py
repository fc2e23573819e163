"""Canonical fills: what the venue reported, joined with what the order was for, in units one can add up."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import ExitReason, OrderPurpose, Side
from schemas.events.orders import FillBooked, VenueFill
from schemas.ids import derive_id
from schemas.values import Bps, Money, Quantity, bps, money, quantity
from streams.core.execution.orders import OrderRecord
from streams.core.execution.state import ZERO, ExecutionState, TradeRecord

_BPS = Decimal(10000)


def book(state: ExecutionState, trade: TradeRecord, order: OrderRecord | None, report: VenueFill) -> FillBooked:
    """Return the booked fill. ``order`` None: no order of ours did it, but the venue by force or somebody by hand."""
    instrument = state.instruments[report.instrument_id]
    base = report.last_quantity * instrument.contract_value * instrument.contract_multiplier
    in_base = report.fee_currency == instrument.base_currency
    fee = money(report.fee * report.last_price) if in_base else money(report.fee)
    return FillBooked(
        fill_id=derive_id(report.instrument_id, report.venue_trade_id, "fill"),
        plan_id=trade.plan_id,
        account_id=report.account_id,
        instrument_id=report.instrument_id,
        client_order_id=report.client_order_id,
        venue_trade_id=report.venue_trade_id,
        purpose=OrderPurpose.EXIT if order is None else order.purpose,
        exit_reason=_forced(report) if order is None else order.exit_reason,
        side=report.side,
        last_quantity=report.last_quantity,
        quantity_unit=trade.quantity_unit,
        base_quantity=quantity(base),
        last_price=report.last_price,
        liquidity=report.liquidity,
        fee=fee,
        fee_base=Quantity(report.fee if in_base else ZERO),
        arrival_price=report.arrival_price,
        slippage_bps=slippage(report),
        margin_mode=trade.margin_mode,
        margin_leverage=trade.margin_leverage,
        penalty=Money(state.penalties.get(report.venue_trade_id, ZERO)),
        trigger_source=report.trigger_source,
    )


def _forced(report: VenueFill) -> ExitReason:
    if report.adl:
        return ExitReason.ADL
    return ExitReason.LIQUIDATION if report.liquidation else ExitReason.RECONCILED


def slippage(report: VenueFill) -> Bps | None:
    """Return ``s_order * (fill - arrival) / arrival`` in bps, positive = worse; None without an arrival."""
    if not report.arrival_price:
        return None
    sign = 1 if report.side is Side.BUY else -1
    return bps(sign * (report.last_price - report.arrival_price) / report.arrival_price * _BPS)
