"""The stream of private updates at the fake OKX: complete while connected, honest about the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from decimal import Decimal

import pytest

from schemas.events.common import PositionSide, Side
from services.gateways.okx import stream
from services.gateways.okx.facts import AmendResult, Category, OrderStatus, VenueBalance, VenueHolding
from services.gateways.okx.venue import BillsDue, Link, LinkChanged, UpdateUnreadable
from tests.fakes.okx import DEMO_KEY, Frame
from tests.fakes.okx.push import Push
from tests.okx_desk import BTC, Desk, at_desk, d
from tests.orders_at_okx import amended, intended, market, order_id, stop, stop_entry, target


@pytest.fixture(autouse=True)
def quick_to_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BACKOFF_S", (0.05, 0.4))


def test_an_orders_life_arrives_step_by_step_fills_before_states() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(intended("a", limit_price="79900", quantity="2"))
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")
        desk.okx.venue.print_trade(BTC, "79890", "9", "sell")
        await desk.until(lambda: [order.status for order in desk.orders(order_id("a"))][-1:] == [OrderStatus.FILLED])
        assert [(order.status, order.filled_quantity) for order in desk.orders(order_id("a"))] == [
            (OrderStatus.RESTING, d(0)),
            (OrderStatus.PARTIALLY_FILLED, d("0.5")),
            (OrderStatus.FILLED, d(2)),
        ]
        assert [fill.last_quantity for fill in desk.fills()] == [d("0.5"), d("1.5")]
        first_fill, part = desk.seen.index(desk.fills()[0]), desk.seen.index(desk.orders(order_id("a"))[1])
        assert first_fill < part
        assert desk.fills()[0].fee == d("0.0799")
        assert await desk.client.fills(desk.now() - 60_000_000) == desk.fills()

    at_desk(scenario)


def test_positions_and_balances_follow_a_trade() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(market("m", side=Side.SELL, position_side=PositionSide.SHORT))

        def held() -> list[Decimal]:
            return [update.quantity for update in desk.seen if isinstance(update, VenueHolding)]

        await desk.until(lambda: held()[-1:] == [d("-0.5")])
        await desk.until(lambda: any(isinstance(update, VenueBalance) for update in desk.seen))
        await desk.submit(market("x", reduce_only=True))
        await desk.until(lambda: held()[-1:] == [d(0)])
        usdt = [update for update in desk.seen if isinstance(update, VenueBalance) and update.currency == "USDT"]
        assert usdt[-1].cash == (await desk.client.balances())[0].cash

    at_desk(scenario)


def test_what_arrives_while_connecting_follows_connected() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        await desk.listen()
        await desk.until(lambda: any(isinstance(update, VenueHolding) for update in desk.seen))
        assert isinstance(desk.seen[0], LinkChanged)
        assert any(isinstance(update, VenueBalance) for update in desk.seen)

    at_desk(scenario)


def test_a_stop_fires_and_its_fill_carries_the_stops_id() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(market("m"))
        await desk.submit(stop("s"))
        desk.okx.venue.set_mark(BTC, "78999")
        await desk.until(lambda: len(desk.fills()) == 2)
        assert desk.fills()[1].client_order_id == order_id("s")
        await desk.until(lambda: OrderStatus.TRIGGERED in [order.status for order in desk.orders(order_id("s"))])
        states = [(order.is_algo, order.status) for order in desk.orders(order_id("s"))]
        assert states[0] == (True, OrderStatus.RESTING)
        assert (False, OrderStatus.FILLED) in states
        triggered = next(order for order in desk.orders(order_id("s")) if order.status is OrderStatus.TRIGGERED)
        assert desk.fills()[1].venue_order_id in triggered.child_order_ids

    at_desk(scenario)


def test_a_stop_entry_and_amendments_are_told() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        order = stop_entry("e")
        await desk.submit(order)
        await desk.client.amend(amended(order, trigger_price="81500"), order, desk.instrument(order))
        await desk.until(lambda: [row.trigger_price for row in desk.orders(order_id("e"))] == [d(81000), d(81500)])
        resting = target("t", reduce_only=False)
        await desk.submit(resting)
        await desk.client.amend(amended(resting, quantity="0.2"), resting, desk.instrument(resting))
        await desk.until(lambda: [row.quantity for row in desk.orders(order_id("t"))] == [d("0.5"), d("0.2")])
        assert desk.orders(order_id("t"))[-1].amend_result is AmendResult.DONE
        await desk.client.cancel(resting)
        await desk.until(lambda: desk.orders(order_id("t"))[-1].status is OrderStatus.CANCELED)

    at_desk(scenario)


def test_a_late_fill_of_a_canceled_order_is_a_fill() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        order = intended("a", limit_price="79900")
        accepted = await desk.submit(order)
        await desk.client.cancel(order)
        await desk.until(lambda: [row.status for row in desk.orders()][-1:] == [OrderStatus.CANCELED])
        desk.okx.venue.fill(desk.okx.venue.order(accepted.venue_order_id), "0.2")
        await desk.until(lambda: [fill.last_quantity for fill in desk.fills()] == [d("0.2")])

    at_desk(scenario)


def test_a_doubled_frame_is_one_fill_and_a_repeated_state() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        desk.okx.faults.plan("orders", Frame.DUPLICATE, times=10)
        await desk.submit(market("m"))
        await desk.until(lambda: len([row for row in desk.orders() if row.status is OrderStatus.FILLED]) == 2)
        assert len(desk.fills()) == 1

    at_desk(scenario)


def test_frames_in_another_order_keep_every_fill() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(intended("a", limit_price="79900", quantity="2"))
        desk.okx.faults.plan("orders", Frame.SWAP)
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")
        await desk.until(lambda: len(desk.fills()) == 2)
        assert sum((fill.last_quantity for fill in desk.fills()), Decimal(0)) == 1

    at_desk(scenario)


def test_the_venues_own_acts_are_told_apart() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(market("m", quantity="2"))
        desk.okx.control.deleverage(BTC, "0.5", "80100")
        desk.okx.control.liquidate(BTC, "72300")
        await desk.until(lambda: len(desk.fills()) == 3)
        assert [fill.category for fill in desk.fills()] == [Category.NORMAL, Category.ADL, Category.LIQUIDATION]
        assert [fill.client_order_id for fill in desk.fills()] == [order_id("m"), None, None]

    at_desk(scenario)


def test_funding_and_transfers_say_that_the_ledger_has_news() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(market("m"))
        desk.okx.control.settle_funding(BTC)
        desk.okx.control.transfer("USDT", "100")

        def due() -> list[str]:
            return [update.event_type for update in desk.seen if isinstance(update, BillsDue)]

        await desk.until(lambda: due() == ["funding_fee", "transferred"])

    at_desk(scenario)


@pytest.mark.parametrize("url", ["private", "business", ""])
def test_a_lost_connection_is_told_and_made_again_and_the_gap_is_for_queries(url: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(intended("a", limit_price="79900", quantity="2"))
        await desk.until(lambda: desk.orders(order_id("a")))
        desk.okx.hub.drop(url)
        await desk.until(lambda: desk.links()[1:] == [Link.LOST])
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")  # nobody hears it
        await desk.until(lambda: desk.links()[1:] == [Link.LOST, Link.CONNECTED])
        await desk.until(lambda: len(desk.okx.hub.connections) == 2)  # the other one was given up, too
        assert desk.fills() == []
        assert len(await desk.client.fills(desk.now() - 60_000_000)) == 1
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")
        await desk.until(lambda: len(desk.fills()) == 1)

    at_desk(scenario)


def test_a_connection_lost_while_the_other_is_confirmed_is_not_taken_for_connected() -> None:
    async def scenario(desk: Desk) -> None:
        exchange, tries = desk.client._queries, []
        watch, url = exchange.watch, exchange.get_url("users", "private")

        async def confirmed_too_late(confirmation: Awaitable[object]) -> None:
            await confirmation
            desk.okx.hub.drop("private")
            await desk.until(lambda: url not in exchange.clients)

        def unlucky(there: str, name: str, *rest: object) -> Awaitable[object]:
            confirmation = watch(there, name, *rest)
            tries.append(name)
            return confirmed_too_late(confirmation) if tries.count(name) == 1 and "algo" in name else confirmation

        exchange.watch = unlucky
        listening = asyncio.create_task(desk.listen())
        await desk.until(lambda: desk.links() == [Link.LOST, Link.CONNECTED])
        await desk.submit(market("m"))
        await desk.until(lambda: desk.fills())
        listening.cancel()

    at_desk(scenario)


def test_a_service_upgrade_notice_makes_it_reconnect() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        desk.okx.hub.notice()
        await desk.until(lambda: desk.links() == [Link.CONNECTED, Link.LOST, Link.CONNECTED])
        lost = next(update for update in desk.seen if isinstance(update, LinkChanged) and update.link is Link.LOST)
        assert "64008" in lost.detail

    at_desk(scenario)


def test_a_connection_that_goes_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        desk.client._queries.streaming["keepAlive"] = 100
        await desk.listen()
        desk.okx.hub.stall()
        await desk.until(lambda: desk.links() == [Link.CONNECTED, Link.LOST, Link.CONNECTED])

    monkeypatch.setattr(stream, "DROP_S", 0.2)
    at_desk(scenario)


def test_a_venue_that_is_down_at_first_is_reached_later() -> None:
    async def scenario(desk: Desk) -> None:
        port = desk.okx.port
        await desk.okx.stop()
        listening = asyncio.create_task(desk.listen())
        await desk.until(lambda: desk.links() == [Link.LOST])
        await desk.okx.start(port)
        await desk.until(lambda: desk.links() == [Link.LOST, Link.CONNECTED])
        listening.cancel()

    at_desk(scenario)


def test_a_refused_login_is_said_once_and_tried_again() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.doorman.keys.clear()
        listening = asyncio.create_task(desk.listen())
        await desk.until(lambda: desk.links() == [Link.LOST])
        (lost,) = [update for update in desk.seen if isinstance(update, LinkChanged)]
        assert "60005" in lost.detail
        await desk.until(lambda: desk.okx.hub._serial >= 3)
        assert desk.links() == [Link.LOST]
        listening.cancel()

    at_desk(scenario)


def test_what_cannot_be_read_is_handed_on_and_the_rest_goes_on() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        desk.okx.venue.tell(Push("orders", [{"ordId": "1", "state": "melting"}], BTC, "SWAP"))
        desk.okx.venue.tell(Push("positions", [{"posSide": 7}], BTC, "SWAP"))
        await desk.submit(market("m"))
        await desk.until(lambda: desk.fills())
        unread = [update for update in desk.seen if isinstance(update, UpdateUnreadable)]
        assert [update.channel for update in unread] == ["orders", "positions"]
        assert "ordType is missing" in unread[0].reason
        assert "melting" in unread[0].raw

    at_desk(scenario)


def test_a_consumer_that_is_too_slow_costs_the_connection_not_single_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        updates: AsyncIterator[object] = desk.client.updates()
        first = await anext(updates)
        assert isinstance(first, LinkChanged)
        for n in range(30):
            await desk.submit(intended(f"n{n}", limit_price="79000", quantity="0.01"))
        seen: list[object] = []
        while not (isinstance(update := await anext(updates), LinkChanged) and update.link is Link.LOST):
            seen.append(update)
        assert "too slow" in update.detail
        assert len(seen) == 21
        again = await anext(updates)
        assert isinstance(again, LinkChanged)
        assert again.link is Link.CONNECTED

    monkeypatch.setattr(stream, "BACKLOG_MAX", 20)
    at_desk(scenario)


def test_demo_trading_has_its_own_key_orders_and_updates() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.submit(market("m"))
        await desk.until(lambda: desk.fills())

    at_desk(scenario, key=DEMO_KEY)


def test_closing_ends_the_stream() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        await desk.stop_listening()
        assert desk._listener is not None
        assert desk._listener.done()

    at_desk(scenario)


def test_the_clock_is_measured_again_while_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.listen()
        desk.okx.clock.skew_ms = 4000
        await desk.until(lambda: abs((desk.client.clock.offset_us or 0) - 4_000_000) < 500_000)

    monkeypatch.setattr(stream, "IDLE_S", 0.1)
    at_desk(scenario)
