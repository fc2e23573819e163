"""One message at work: the intents and order events it causes so far, and the state as those leave it."""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import ExitReason, OrderPurpose, OrderType, TriggerPriceType
from schemas.events.market import InstrumentKind
from schemas.events.orders import AmendIntended, CancelIntended, OrderIntended, VenueFill
from schemas.events.plan import Entry
from schemas.ids import client_order_id, output_id
from schemas.settings import Venue
from schemas.values import Micros, Price, Quantity
from streams.core.execution import fold, watch
from streams.core.execution.orders import OrderRecord
from streams.core.execution.state import ExecutionState, TradeRecord

STAGE_NAME = "execution"


class Draft:
    """Collects what execution does about one message; each event is folded at once, so the next rule sees it."""

    def __init__(self, state: ExecutionState, message: Message, plan_id: str = "") -> None:
        self.state = state.copy(plan_id)
        self.message = message
        self.now = message.now
        self.outputs: list[Event] = []
        if not isinstance(message.event, VenueFill):
            # A fill is remembered as seen by ``evolve`` alone: that memory is not copied for a draft.
            fold.apply(self.state, message.event, message.now)

    def emit(self, event: Event) -> None:
        """Add an event."""
        self.outputs.append(event)
        fold.apply(self.state, event, self.now)

    def next_order_id(self) -> str:
        """Return the client order id of the order intended next: it follows from that event's own id."""
        return client_order_id(output_id(self.message.envelope.event_id, STAGE_NAME, len(self.outputs)))

    def enter(self, trade: TradeRecord, entry: Entry, quantity: Decimal) -> None:
        """Intend the entry of an approved plan."""
        self.emit(
            OrderIntended(
                client_order_id=self.next_order_id(),
                plan_id=trade.plan_id,
                account_id=trade.account_id,
                instrument_id=trade.instrument_id,
                purpose=OrderPurpose.ENTRY,
                target_index=None,
                side=trade.entry_side,
                position_side=trade.position_side,
                type=entry.type,
                quantity=Quantity(quantity),
                quantity_unit=trade.quantity_unit,
                limit_price=entry.limit_price,
                trigger_price=entry.trigger_price,
                trigger_price_type=TriggerPriceType.LAST if entry.type is OrderType.STOP else None,
                trigger_source=TriggerPriceType.LAST if entry.type is OrderType.STOP else None,
                post_only=entry.post_only,
                reduce_only=False,
                margin_mode=trade.margin_mode,
                margin_leverage=trade.margin_leverage,
                valid_until=Micros(trade.ts_valid_until),
                exit_reason=None,
                plan_stop_price=trade.stop.trigger_price,
            )
        )

    def close(
        self,
        trade: TradeRecord,
        purpose: OrderPurpose,
        quantity: Decimal,
        reason: ExitReason,
        *,
        limit_price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        target_index: int | None = None,
    ) -> None:
        """Intend an order that can only lower the trade's exposure; it has no expiry."""
        kinds = {OrderPurpose.STOP: OrderType.STOP, OrderPurpose.TARGET: OrderType.LIMIT}
        asked = self._asked(trade) if purpose is OrderPurpose.STOP else None
        self.emit(
            OrderIntended(
                client_order_id=self.next_order_id(),
                plan_id=trade.plan_id,
                account_id=trade.account_id,
                instrument_id=trade.instrument_id,
                purpose=purpose,
                target_index=target_index,
                side=trade.exit_side,
                position_side=trade.position_side,
                type=kinds.get(purpose, OrderType.MARKET),
                quantity=Quantity(quantity),
                quantity_unit=trade.quantity_unit,
                limit_price=None if limit_price is None else Price(limit_price),
                trigger_price=None if trigger_price is None else Price(trigger_price),
                trigger_price_type=asked,
                trigger_source=None if asked is None else self._watched(trade, asked),
                post_only=False,
                reduce_only=True,
                margin_mode=trade.margin_mode,
                margin_leverage=trade.margin_leverage,
                valid_until=None,
                exit_reason=reason,
            )
        )

    def _watched(self, trade: TradeRecord, asked: TriggerPriceType) -> TriggerPriceType:
        """The price that is watched now for a stop that asks for this one."""
        state = self.state
        if state.venue is not Venue.PAPER:
            return asked
        instrument = state.instruments[trade.instrument_id]
        return watch.source(state.prices, instrument, asked, self.now, mark_substitute=state.mark_substitute)

    def _asked(self, trade: TradeRecord) -> TriggerPriceType:
        """The price the stop asks for; spot has no mark."""
        spot = self.state.instruments[trade.instrument_id].kind is InstrumentKind.SPOT
        return TriggerPriceType.LAST if spot else trade.stop.trigger_price_type

    def amend(
        self,
        trade: TradeRecord,
        order: OrderRecord,
        *,
        quantity: Decimal | None = None,
        trigger_price: Decimal | None = None,
        reason: ExitReason | None = None,
    ) -> None:
        """Intend a change of a resting order."""
        self.emit(
            AmendIntended(
                order.client_order_id,
                trade.plan_id,
                trade.account_id,
                trade.instrument_id,
                None if quantity is None else Quantity(quantity),
                None if trigger_price is None else Price(trigger_price),
                reason,
            )
        )

    def cancel(self, trade: TradeRecord, order: OrderRecord, reason: str) -> None:
        """Intend to take a resting order away, once."""
        if order.live and not order.cancel_requested:
            self.emit(
                CancelIntended(order.client_order_id, trade.plan_id, trade.account_id, trade.instrument_id, reason)
            )
