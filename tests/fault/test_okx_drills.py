"""Fault drills on the whole chain: after each, log and venue agree, no order is there twice, no position is naked.

Real trader stages, gateway, client and ccxt; the venue is the fake OKX. Every drill ends with a verified log.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from schemas.events.account import FundingPaid, TradeClosed
from schemas.events.common import EntryEnd, ExitReason, OrderPurpose, Repair
from schemas.events.control import ClosePosition
from schemas.events.orders import (
    EntryEnded,
    FillBooked,
    NotSent,
    OrderUnknown,
    SubmitAttempted,
    VenueAccepted,
    VenueCanceled,
)
from services.gateways.okx.owner import GatewayStopped
from tests.fakes.okx import Fault
from tests.okx_drill import SIZE, agreed, differed, entered, held, of_purpose, stops
from tests.okx_floor import BTC, REPORTS, Floor, on_the_floor

pytestmark = pytest.mark.slow
LIMIT = '{"type": "LIMIT", "limit_price": "79990.0"}'
ENTRY, ALGO = "trade/order", "trade/order-algo"
LOST_BUT_DONE = [Fault.HANG_AFTER, Fault.DROP_AFTER, Fault.GARBAGE_AFTER]
LOST = [Fault.HANG_BEFORE, Fault.DROP_BEFORE, Fault.GARBAGE_BEFORE]


@pytest.mark.parametrize("margin_mode", ["ISOLATED", "CROSS"])
def test_a_trade_from_plan_to_stop(margin_mode: str) -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute()
        await floor.until(lambda: len(stops(floor)) == 1)
        await floor.settle()
        assert [held.margin_mode for held in floor.okx.venue.account.open_positions(BTC)] == [margin_mode.lower()]
        agreed(floor)
        floor.price("79100")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        await floor.settle()
        (closed,) = floor.of("accounts", TradeClosed)
        assert closed.exit_reason is ExitReason.STOP
        agreed(floor)
        told = {line["report"]: line["correlation_id"] for line in said if line["event"] == "reported"}
        assert {told["SubmitAttempted"], told["VenueFill"]} == {closed.plan_id}, "log lines lead to the trade"

    with capture_logs() as said:
        on_the_floor(scenario, margin_mode=margin_mode)


def test_a_clock_that_is_set_while_trading_is_measured_again() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.clock.skew_ms = 90_000
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize("fault", LOST_BUT_DONE)
@pytest.mark.parametrize("path", [ENTRY, ALGO])
def test_no_answer_to_a_send_that_did_execute(path: str, fault: Fault) -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.faults.plan(path, fault)
        await entered(floor)
        assert len(floor.of("orders", OrderUnknown)) <= 1  # where the private updates speak first, there is no doubt
        assert len(floor.of(REPORTS, SubmitAttempted)) == 2
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize("fault", LOST)
def test_no_answer_to_an_entry_that_did_not_execute(fault: Fault) -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.faults.plan(ENTRY, fault)
        floor.execute()
        await floor.until(lambda: floor.of("orders", OrderUnknown))
        assert floor.of(REPORTS, NotSent) == []
        await floor.later(16)
        await floor.until(lambda: floor.of("orders", EntryEnded))
        assert [end.end for end in floor.of("orders", EntryEnded)] == [EntryEnd.EXPIRED]
        await floor.settle()
        assert held(floor) == 0
        agreed(floor)

    on_the_floor(scenario)


def test_no_answer_to_a_stop_that_did_not_execute_and_the_next_one_protects() -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.faults.plan(ALGO, Fault.HANG_BEFORE)
        floor.execute()
        await floor.until(lambda: len(floor.of("orders", OrderUnknown)) == 1)
        await floor.later(16)
        await floor.until(lambda: stops(floor) == [SIZE])
        await floor.settle()
        first, second = of_purpose(floor, OrderPurpose.STOP)
        assert first.client_order_id != second.client_order_id
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize("fault", [Fault.HANG_AFTER, Fault.HANG_BEFORE])
def test_a_crash_between_attempt_and_answer(fault: Fault) -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.faults.plan(ENTRY, fault)
        floor.execute()
        await floor.until(lambda: floor.of(REPORTS, SubmitAttempted) and floor.okx.faults.struck)
        await floor.kill_gateway()
        await floor.start_gateway()
        await floor.later(16)  # past the deadline of whatever was under way: the entry, or already its stop
        done = fault is Fault.HANG_AFTER
        await floor.until(lambda: stops(floor) == [SIZE] if done else floor.of("orders", EntryEnded))
        await floor.settle()
        assert held(floor) == (SIZE if fault is Fault.HANG_AFTER else 0)
        attempts = Counter(event.client_order_id for event in floor.of(REPORTS, SubmitAttempted))
        assert set(attempts.values()) == {1}
        agreed(floor)

    on_the_floor(scenario)


def test_fills_while_nothing_is_heard() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        floor.okx.hub.drop()
        floor.okx.venue.print_trade(BTC, "79980", "4", "sell")
        floor.okx.venue.print_trade(BTC, "79980", "100", "sell")
        await floor.until(lambda: stops(floor) == [of_purpose(floor, OrderPurpose.ENTRY)[0].quantity])
        await floor.settle()
        trades = [fill.venue_trade_id for fill in floor.of("fills", FillBooked)]
        assert len(trades) == len(set(trades)) == 2
        agreed(floor)

    on_the_floor(scenario)


def test_fills_while_no_gateway_lives() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        await floor.kill_gateway()
        floor.okx.venue.print_trade(BTC, "79980", "100", "sell")
        await floor.start_gateway()
        await floor.until(lambda: stops(floor) == [of_purpose(floor, OrderPurpose.ENTRY)[0].quantity])
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_a_silent_gateway_leaves_no_entry_behind_and_every_stop() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        floor.okx.venue.print_trade(BTC, "79980", "4", "sell")
        await floor.until(lambda: stops(floor) == [4])
        await floor.until(lambda: "trade/cancel-all-after" in [name for name, _ in floor.okx.requests])
        await floor.kill_gateway()
        floor.okx.clock.advance(seconds=31)
        floor.okx.venue.run_timers()
        assert (floor.okx.venue.trading.open_orders(BTC), stops(floor)) == ([], [4])
        await floor.start_gateway()
        await floor.until(lambda: floor.of("orders", EntryEnded))
        await floor.settle()
        assert [end.end for end in floor.of("orders", EntryEnded)] == [EntryEnd.CANCELED]
        agreed(floor)

    on_the_floor(scenario)


def test_two_gateways_at_once_and_the_older_one_ends() -> None:
    async def scenario(floor: Floor) -> None:
        older = floor.leave_gateway()
        await floor.start_gateway()
        await entered(floor)
        with pytest.raises(GatewayStopped, match="another gateway owns them"):
            await older
        agreed(floor)

    on_the_floor(scenario)


def test_the_venue_liquidates() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.liquidate(BTC, "78900")
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        await floor.settle()
        assert [closed.exit_reason for closed in floor.of("accounts", TradeClosed)] == [ExitReason.LIQUIDATION]
        assert floor.of("accounts", TradeClosed)[0].liquidation_penalty > 0
        agreed(floor)

    on_the_floor(scenario)


def test_the_venue_deleverages_a_part() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.control.deleverage(BTC, "4", "80000")
        await floor.until(lambda: stops(floor) == [Decimal("6.86")])
        await floor.settle()
        assert floor.of("fills", FillBooked)[-1].exit_reason is ExitReason.ADL
        agreed(floor)

    on_the_floor(scenario)


def test_an_order_vanishes() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        (order,) = floor.okx.venue.trading.open_orders(BTC)
        floor.okx.control.forget(order.ord_id)
        await floor.settle()
        await floor.later(12)
        await floor.until(lambda: floor.of(REPORTS, VenueCanceled))
        assert [event.code for event in floor.of(REPORTS, VenueCanceled)] == ["VANISHED"]
        await floor.settle()
        (told,) = differed(floor, "order ")
        assert (told.venue, told.log.split()[0], told.repair) == ("none", "AT_VENUE", Repair.GATEWAY)
        agreed(floor)

    on_the_floor(scenario)


def test_a_rate_limit_storm() -> None:
    async def scenario(floor: Floor) -> None:
        for path in (ENTRY, ALGO):
            floor.okx.faults.plan(path, Fault.ANSWER_BEFORE, code="50011", http=429, times=2)
        await entered(floor)
        first, second = of_purpose(floor, OrderPurpose.ENTRY)[0], of_purpose(floor, OrderPurpose.STOP)[0]
        attempts = Counter(event.client_order_id for event in floor.of(REPORTS, SubmitAttempted))
        assert attempts == {first.client_order_id: 3, second.client_order_id: 3}
        agreed(floor)

    on_the_floor(scenario)


@pytest.mark.parametrize("code", ["50036", "50037"])
def test_an_order_that_came_too_late_is_sent_again_while_it_is_valid(code: str) -> None:
    async def scenario(floor: Floor) -> None:
        floor.okx.faults.plan(ENTRY, Fault.ANSWER_BEFORE, code=code)
        await entered(floor)
        entry = of_purpose(floor, OrderPurpose.ENTRY)[0]
        attempts = [e for e in floor.of(REPORTS, SubmitAttempted) if e.client_order_id == entry.client_order_id]
        assert len(attempts) == 2
        agreed(floor)

    on_the_floor(scenario)


def test_funding_is_booked_once() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        moved = floor.okx.control.settle_funding(BTC)
        await floor.until(lambda: floor.of("accounts", FundingPaid))
        await floor.settle()
        assert [paid.payment for paid in floor.of("accounts", FundingPaid)] == [round(moved, 8)]
        agreed(floor)

    on_the_floor(scenario)


def test_the_leverage_is_in_force_before_the_entry_is_sent() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        paths = [name for name, _ in floor.okx.requests]
        assert paths.index("account/set-leverage") < paths.index(ENTRY)
        (position,) = floor.okx.venue.account.open_positions(BTC)
        assert position.lever == of_purpose(floor, OrderPurpose.ENTRY)[0].margin_leverage

    on_the_floor(scenario)


def test_away_for_longer_than_the_venue_remembers() -> None:
    async def scenario(floor: Floor) -> None:
        floor.execute(entry=LIMIT)
        await floor.until(lambda: floor.of(REPORTS, VenueAccepted))
        await floor.kill_gateway()
        floor.okx.clock.advance(seconds=31)
        floor.okx.venue.run_timers()  # the switch takes the entry, and two hours later nobody knows of it
        floor.okx.clock.advance(seconds=2 * 3600 + 60)
        floor.price("80000")
        await floor.start_gateway()
        await floor.settle()
        await floor.later(12)
        await floor.until(lambda: floor.of("orders", EntryEnded))
        assert [event.code for event in floor.of(REPORTS, VenueCanceled)] == ["VANISHED"]
        await floor.settle()
        agreed(floor)

    on_the_floor(scenario)


def test_maintenance_in_the_middle_of_a_trade() -> None:
    async def scenario(floor: Floor) -> None:
        await entered(floor)
        floor.okx.hub.notice()
        floor.okx.venue.maintenance = True
        floor.okx.hub.drop()
        floor.put("commands", ClosePosition("okx", BTC))
        await floor.until(lambda: floor.of("orders", OrderUnknown))
        assert stops(floor) == [SIZE], "what protects stays at the venue"
        floor.okx.venue.maintenance = False
        await floor.later(16)  # past the deadline of the exit that nobody answered: the next one is sent
        await floor.until(lambda: floor.of("accounts", TradeClosed))
        await floor.settle()
        exits = of_purpose(floor, OrderPurpose.EXIT)
        assert len({order.client_order_id for order in exits}) == len(exits) >= 2
        agreed(floor)

    on_the_floor(scenario)
