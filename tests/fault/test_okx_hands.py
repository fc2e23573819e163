"""Hands at the venue, in either position mode: after each drill log and venue agree, and nothing of ours is naked.

Real trader stages, gateway, client and ccxt; the venue is the fake OKX. Every drill ends with a verified log.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.account import CashFlowed, FlowKind, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose, TradingState
from schemas.events.control import ClosePosition, TransferCash
from schemas.events.orders import (
    FillBooked,
    OrderFilled,
)
from schemas.events.risk import ReconciliationDiffered, TradingStateChanged
from schemas.values import Money
from services.gateways.okx.facts import PositionMode
from tests.okx_drill import agreed, booked, different, entered, held, of_purpose, stops
from tests.okx_floor import BTC, Floor, on_the_floor

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_trade_in_long_short_mode_and_a_hand_on_the_other_side(side: str) -> None:
    sign, opened = (1, "sell") if side == "LONG" else (-1, "buy")

    async def scenario(floor: Floor) -> None:
        floor.execute(side=side)
        await floor.until(lambda: len(stops(floor)) == 1)
        size = of_purpose(floor, OrderPurpose.ENTRY)[0].quantity
        await floor.settle()
        assert booked(floor) == sign * size
        assert floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.ACTIVE
        other = "short" if side == "LONG" else "long"
        floor.okx.control.trade_by_hand(BTC, opened, "3", "80000", position_side=other)
        await floor.until(lambda: f"hedge {BTC}" in different(floor))
        assert (booked(floor), stops(floor)) == (sign * size, [size]), "ours is not taken for closed"
        floor.okx.control.trade_by_hand(BTC, "buy" if opened == "sell" else "sell", "3", "80000", position_side=other)
        await floor.until(lambda: different(floor) == ["cash"])
        floor.price("79100" if side == "LONG" else "80900")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        assert floor.of("accounts", TradeClosed)[0].exit_reason is ExitReason.STOP
        await floor.settle()
        assert (booked(floor), stops(floor), floor.okx.venue.account.open_positions(BTC)) == (0, [], [])

    on_the_floor(scenario, mode=PositionMode.LONG_SHORT)


def test_a_part_is_closed_by_hand() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.trade_by_hand(BTC, "sell", "4", "80000")
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        assert floor.of("fills", FillBooked)[-1].exit_reason is ExitReason.RECONCILED
        agreed(floor)

    on_the_floor(scenario)


def test_a_position_opened_by_hand_holds_trading_until_it_is_gone() -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.control.trade_by_hand(BTC, "buy", "3", "80000")
        await floor.until(lambda: floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.HALTED)
        floor.okx.control.trade_by_hand(BTC, "sell", "3", "80000")
        await floor.until(lambda: floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.ACTIVE)
        assert floor.of("fills", FillBooked) == []
        agreed(floor, but=("cash",))  # the fees of what was done by hand

    on_the_floor(scenario)


def test_a_position_opened_by_hand_is_closed_at_the_operators_word() -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.control.trade_by_hand(BTC, "sell", "3", "80000")
        await floor.until(lambda: floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.HALTED)
        floor.put("commands", ClosePosition("okx", BTC))
        await floor.until(lambda: floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.ACTIVE)
        assert (held(floor), floor.of("fills", FillBooked)) == (0, [])
        assert [end.filled_quantity for end in floor.of("orders", OrderFilled)] == [3]
        agreed(floor, but=("cash",))  # what it cost is nobody's trade: the operator books it as a flow
        told = [e for e in floor.of("verdicts", ReconciliationDiffered) if e.subject == "cash"][-1]
        floor.put("commands", TransferCash("okx", Money(Decimal(told.venue) - Decimal(told.log))))
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize(("amount", "kind"), [("500", FlowKind.DEPOSIT), ("-500", FlowKind.WITHDRAWAL)])
def test_money_moved_at_the_venue_is_a_flow_and_neither_profit_nor_loss(amount: str, kind: FlowKind) -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.transfer("USDT", amount)
        await floor.until(lambda: len(floor.of("accounts", CashFlowed)) == 2)
        await floor.settle()
        flow = floor.of("accounts", CashFlowed)[-1]
        assert (flow.kind, flow.amount) == (kind, Decimal(amount))
        agreed(floor)

    on_the_floor(scenario)


def test_an_order_placed_by_hand_holds_trading_until_it_is_gone() -> None:
    async def scenario(floor: Floor) -> None:
        order = floor.okx.venue.trading.place(
            {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "limit", "px": "70000", "sz": "1"}
        )
        await floor.until(lambda: different(floor) == [f"order {order.ord_id}"])
        assert floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.HALTED
        floor.okx.venue.trading.end(order, "1")
        await floor.until(lambda: different(floor) == [])
        agreed(floor)

    on_the_floor(scenario)
