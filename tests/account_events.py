"""Builders of what the account stage takes: short, with the golden cases' BTC-USDT-SWAP as default."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

from schemas.events.common import (
    AccountMode,
    ExitReason,
    Liquidity,
    MarginMode,
    OrderPurpose,
    OrderType,
    PlanOrigin,
    PositionMode,
    PositionSide,
    PriceSource,
    Quality,
    QuantityUnit,
    Regime,
    Side,
)
from schemas.events.market import MarkPrice, Quote, Trade, VenueBar
from schemas.events.orders import AccountSnapshot, FillBooked, OrderAccepted, OrderFilled, OrderIntended, VenueFunding
from schemas.events.plan import Entry, MarketSnapshot, PlanProposed, Rationale, StopSpec, Target
from schemas.events.risk import PlanApproved, SizedBy, Sizing
from schemas.values import Micros, Money, Percent, Price, Quantity, Rate, Ratio, bps, money
from tests.builders import MINUTE, T0

BTC = "BTC-USDT-SWAP"
SPOT = "BTC-USDT"
PLAN = "a" * 32
ENTRY_ORDER, STOP_ORDER, TARGET_ORDER, EXIT_ORDER = "entry", "stop", "target", "exit"
CONTRACT = {BTC: Decimal("0.01"), "ETH-USDT-SWAP": Decimal("0.1"), SPOT: Decimal(1)}
TAKER, MAKER = Decimal("0.0005"), Decimal("0.0002")

_serial = count()


def snapshot(cash: str = "10000") -> AccountSnapshot:
    """The venue's opening word: this much cash, nothing held."""
    return AccountSnapshot("paper", Money(Decimal(cash)), (), (), AccountMode.FUTURES, PositionMode.NET)


def fill(
    side: str,
    quantity: str,
    price: str,
    *,
    fee_rate: Decimal | None = TAKER,
    instrument_id: str = BTC,
    purpose: OrderPurpose | None = None,
    reason: ExitReason | None = None,
    order: str | None = None,
    arrival: str | None = None,
    leverage: int = 10,
    plan_id: str = PLAN,
    **changes: Any,
) -> FillBooked:
    """A fill in the instrument's unit; ``fee_rate`` None: no fee. A buy is an entry unless said otherwise."""
    amount, at = Decimal(quantity), Decimal(price)
    base = amount * CONTRACT[instrument_id]
    spot = instrument_id == SPOT
    entering = purpose is OrderPurpose.ENTRY or (purpose is None and side == "BUY")
    role = purpose or (OrderPurpose.ENTRY if entering else OrderPurpose.EXIT)
    identity = f"fill-{next(_serial)}"
    ids = {OrderPurpose.ENTRY: ENTRY_ORDER, OrderPurpose.STOP: STOP_ORDER, OrderPurpose.TARGET: TARGET_ORDER}
    values: dict[str, Any] = {
        "fill_id": identity,
        "plan_id": plan_id,
        "account_id": "paper",
        "instrument_id": instrument_id,
        "client_order_id": order or ids.get(role, EXIT_ORDER),
        "venue_trade_id": identity,
        "purpose": role,
        "exit_reason": reason if reason or entering else ExitReason.OPERATOR,
        "side": Side(side),
        "last_quantity": Quantity(amount),
        "quantity_unit": QuantityUnit.BASE if spot else QuantityUnit.CONTRACT,
        "base_quantity": Quantity(base),
        "last_price": Price(at),
        "liquidity": Liquidity.MAKER if fee_rate == MAKER else Liquidity.TAKER,
        "fee": money(base * at * (fee_rate or 0)),
        "fee_base": Quantity(Decimal(0)),
        "arrival_price": None if arrival is None else Price(Decimal(arrival)),
        "slippage_bps": None if arrival is None else bps(Decimal(0)),
        "margin_mode": MarginMode.CASH if spot else MarginMode.ISOLATED,
        "margin_leverage": 1 if spot else leverage,
        "penalty": Money(Decimal(0)),
    }
    return FillBooked(**{**values, **changes})


def buy(quantity: str, price: str, **more: Any) -> FillBooked:
    """A buy fill, an entry by default."""
    return fill("BUY", quantity, price, **more)


def sell(quantity: str, price: str, **more: Any) -> FillBooked:
    """A sell fill, an exit by default."""
    return fill("SELL", quantity, price, **more)


def mark(price: str, instrument_id: str = BTC) -> MarkPrice:
    """A mark price."""
    return MarkPrice(instrument_id, Price(Decimal(price)))


def trade(price: str, instrument_id: str = BTC) -> Trade:
    """A public trade."""
    return Trade(instrument_id, f"t{next(_serial)}", Side.BUY, Price(Decimal(price)), Quantity(Decimal("0.5")))


def quote(bid: str, ask: str, instrument_id: str = BTC) -> Quote:
    """Best bid and ask."""
    one = Quantity(Decimal(1))
    return Quote(instrument_id, Price(Decimal(bid)), one, Price(Decimal(ask)), one)


def bar(ohlc: str, *, closes: int, instrument_id: str = BTC, timeframe: str = "1m", backfill: bool = False) -> VenueBar:
    """A bar from ``O/H/L/C``; ``closes`` is its close time (its message must carry the same)."""
    o, h, low, c = (Price(Decimal(part)) for part in ohlc.split("/"))
    opened = Micros(closes - MINUTE)
    return VenueBar(instrument_id, timeframe, opened, o, h, low, c, Quantity(Decimal(100)), backfill)


def funding(payment: str, *, rate: str = "0.0001", instrument_id: str = BTC, ts: int = T0) -> VenueFunding:
    """Funding as the venue booked it."""
    return VenueFunding(
        "paper",
        instrument_id,
        Money(Decimal(payment)),
        Rate(Decimal(rate)),
        Price(Decimal(80000)),
        Quantity(Decimal(10)),
        Micros(ts),
    )


def proposed(*, plan_id: str = PLAN, origin: PlanOrigin = PlanOrigin.RULES, last: str | None = None) -> PlanProposed:
    """A proposal whose author saw ``last``."""
    shown = None if last is None else Price(Decimal(last))
    return PlanProposed(
        plan_id=plan_id,
        account_id="paper",
        instrument_id=BTC,
        position_side=PositionSide.LONG,
        strategy="trend",
        origin=origin,
        execute=True,
        reference_price=Price(Decimal(80000)),
        reference_source=PriceSource.LAST,
        entry=Entry(OrderType.MARKET),
        stop=StopSpec(Price(Decimal(79640))),
        targets=(),
        valid_for_s=900,
        ts_valid_until=Micros(T0 + 15 * MINUTE),
        max_holding_s=3600,
        rationale=Rationale("test"),
        confidence=None,
        snapshot=MarketSnapshot(shown, None, None, Regime.RANGE, None, Quality.GOOD, {}),
        missing_sources=(),
    )


def approved(
    quantity: str = "10",
    *,
    stop: str = "79640",
    reference: str = "80000",
    side: PositionSide = PositionSide.LONG,
    unit_loss: str = "479.62009",
    worst: str = "47.962009",
    targets: tuple[str, ...] = (),
    plan_id: str = PLAN,
    instrument_id: str = BTC,
) -> PlanApproved:
    """A verdict for ``quantity``; the default is golden case G7's."""
    zero = Money(Decimal(0))
    sizing = Sizing(
        equity=Money(Decimal(10000)),
        reference_price=Price(Decimal(reference)),
        stop_distance_pct=Percent(Decimal(1)),
        budget_pct=Percent(Decimal(1)),
        formula_notional=zero,
        quantity=Quantity(Decimal(quantity)),
        quantity_unit=QuantityUnit.CONTRACT,
        base_quantity=Quantity(Decimal(quantity) * CONTRACT[instrument_id]),
        notional=zero,
        unit_loss=Price(Decimal(unit_loss)),
        worst_case_loss=Money(Decimal(worst)),
        sized_by=SizedBy.BUDGET,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=10,
        margin=zero,
        entry_fee=zero,
        liquidation_price=None,
        gap_loss_max=zero,
        leverage=Ratio(Decimal(1)),
        planned_r=None,
    )
    goals = tuple(Target(Price(Decimal(price)), Ratio(Decimal(1) / len(targets))) for price in targets)
    return PlanApproved(
        plan_id=plan_id,
        account_id="paper",
        instrument_id=instrument_id,
        position_side=side,
        strategy="trend",
        origin=PlanOrigin.RULES,
        entry=Entry(OrderType.MARKET),
        stop=StopSpec(Price(Decimal(stop))),
        targets=goals,
        ts_valid_until=Micros(T0 + 15 * MINUTE),
        max_holding_s=None,
        sizing=sizing,
        checks=(),
    )


def intended(
    purpose: OrderPurpose,
    side: str,
    *,
    type: OrderType = OrderType.MARKET,
    limit: str | None = None,
    trigger: str | None = None,
    order: str | None = None,
    plan_id: str = PLAN,
) -> OrderIntended:
    """An order of ours; its id follows from its purpose."""
    ids = {"ENTRY": ENTRY_ORDER, "STOP": STOP_ORDER, "TARGET": TARGET_ORDER, "EXIT": EXIT_ORDER}
    return OrderIntended(
        client_order_id=order or ids[purpose],
        plan_id=plan_id,
        account_id="paper",
        instrument_id=BTC,
        purpose=purpose,
        target_index=None,
        side=Side(side),
        position_side=PositionSide.LONG,
        type=type,
        quantity=Quantity(Decimal(10)),
        quantity_unit=QuantityUnit.CONTRACT,
        limit_price=None if limit is None else Price(Decimal(limit)),
        trigger_price=None if trigger is None else Price(Decimal(trigger)),
        trigger_price_type=None,
        post_only=False,
        reduce_only=purpose is not OrderPurpose.ENTRY,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=10,
        valid_until=None,
        exit_reason=None,
    )


def accepted(order: str) -> OrderAccepted:
    """The venue has the order."""
    return OrderAccepted(order, PLAN, "paper", BTC, f"v-{order}")


def filled(order: str) -> OrderFilled:
    """The order is done."""
    return OrderFilled(order, PLAN, "paper", BTC, Quantity(Decimal(1)))
