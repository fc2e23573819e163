"""One stage that answers every trade with an order: the write path alone, without what the real stages compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import MarginMode, OrderPurpose, OrderType, PositionSide, QuantityUnit, Side
from schemas.events.control import SettingsChanged
from schemas.events.market import Trade
from schemas.events.orders import OrderIntended
from schemas.ids import client_order_id, output_id
from schemas.values import Quantity
from streams.core.stage import Stage


@dataclass(slots=True)
class Orders:
    """How many were sent."""

    sent: int = 0


def _decide(_state: Orders, message: Message) -> Sequence[Event]:
    trade = message.event
    if not isinstance(trade, Trade):
        return ()
    return (
        OrderIntended(
            client_order_id=client_order_id(output_id(message.envelope.event_id, "order_per_trade", 0)),
            plan_id="",
            account_id="paper",
            instrument_id=trade.instrument_id,
            purpose=OrderPurpose.ENTRY,
            target_index=None,
            side=Side.BUY,
            position_side=PositionSide.LONG,
            type=OrderType.LIMIT,
            quantity=Quantity(Decimal(1)),
            quantity_unit=QuantityUnit.CONTRACT,
            limit_price=trade.last_price,
            trigger_price=None,
            trigger_price_type=None,
            post_only=False,
            reduce_only=False,
            margin_mode=MarginMode.ISOLATED,
            margin_leverage=1,
            valid_until=None,
            exit_reason=None,
        ),
    )


def _evolve(state: Orders, message: Message) -> Orders:
    return Orders(state.sent + 1) if isinstance(message.event, OrderIntended) else state


ORDER_PER_TRADE: tuple[Stage[Orders], ...] = (
    Stage("order_per_trade", (SettingsChanged, Trade), Orders, Orders, _decide, _evolve),
)
