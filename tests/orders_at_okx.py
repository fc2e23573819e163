"""Order intents for tests of the OKX gateway: valid ones, of which a test changes what it is about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from schemas.events.common import (
    ExitReason,
    MarginMode,
    OrderPurpose,
    OrderType,
    PositionSide,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.events.orders import AmendIntended, OrderIntended
from schemas.ids import client_order_id, derive_id
from schemas.values import Price, Quantity


def order_id(name: str) -> str:
    """Return a client order id as the trader derives one."""
    return client_order_id(derive_id("okx test", name))


def intended(name: str = "a", **changes: Any) -> OrderIntended:
    """Return a limit buy of 0.5 contracts BTC-USDT-SWAP at 80000, isolated 10x."""
    values: dict[str, Any] = {
        "client_order_id": order_id(name),
        "plan_id": "p1",
        "account_id": "acc",
        "instrument_id": "BTC-USDT-SWAP",
        "purpose": OrderPurpose.ENTRY,
        "target_index": None,
        "side": Side.BUY,
        "position_side": PositionSide.LONG,
        "type": OrderType.LIMIT,
        "quantity": "0.5",
        "quantity_unit": QuantityUnit.CONTRACT,
        "limit_price": "80000",
        "trigger_price": None,
        "trigger_price_type": None,
        "post_only": False,
        "reduce_only": False,
        "margin_mode": MarginMode.ISOLATED,
        "margin_leverage": 10,
        "valid_until": None,
        "exit_reason": None,
        **changes,
    }
    values["quantity"] = Quantity(Decimal(values["quantity"]))
    for field in ("limit_price", "trigger_price"):
        if values[field] is not None:
            values[field] = Price(Decimal(values[field]))
    return OrderIntended(**values)


def market(name: str = "m", **changes: Any) -> OrderIntended:
    """Return a market entry."""
    return intended(name, type=OrderType.MARKET, limit_price=None, **changes)


def stop(name: str = "s", **changes: Any) -> OrderIntended:
    """Return the protective stop of a long: sell at market once the mark is 79000."""
    values: dict[str, Any] = {
        "purpose": OrderPurpose.STOP,
        "side": Side.SELL,
        "type": OrderType.STOP,
        "limit_price": None,
        "trigger_price": "79000",
        "trigger_price_type": TriggerPriceType.MARK,
        "reduce_only": True,
        "exit_reason": ExitReason.STOP,
    }
    return intended(name, **{**values, **changes})


def stop_entry(name: str = "e", **changes: Any) -> OrderIntended:
    """Return a long entry that waits for last to reach 81000."""
    values: dict[str, Any] = {
        "type": OrderType.STOP,
        "limit_price": None,
        "trigger_price": "81000",
        "trigger_price_type": TriggerPriceType.LAST,
    }
    return intended(name, **{**values, **changes})


def target(name: str = "t", **changes: Any) -> OrderIntended:
    """Return the target of a long: a reduce-only limit sell at 82000."""
    values: dict[str, Any] = {
        "purpose": OrderPurpose.TARGET,
        "target_index": 0,
        "side": Side.SELL,
        "limit_price": "82000",
        "reduce_only": True,
        "exit_reason": ExitReason.TARGET_1,
    }
    return intended(name, **{**values, **changes})


SPOT: dict[str, Any] = {
    "instrument_id": "BTC-USDT",
    "quantity_unit": QuantityUnit.BASE,
    "margin_mode": MarginMode.CASH,
    "margin_leverage": 1,
}
"""The changes that make an order one of BTC-USDT."""


def amended(order: OrderIntended, *, quantity: str | None = None, trigger_price: str | None = None) -> AmendIntended:
    """Return a change of an order."""
    return AmendIntended(
        order.client_order_id,
        order.plan_id,
        order.account_id,
        order.instrument_id,
        None if quantity is None else Quantity(Decimal(quantity)),
        None if trigger_price is None else Price(Decimal(trigger_price)),
        None,
    )
