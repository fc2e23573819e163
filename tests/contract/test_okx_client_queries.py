"""What the venue holds, asked of the fake OKX: orders, fills, ledger, positions, account; and the dead man's switch."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from schemas.events.common import Liquidity, Side
from schemas.events.market import InstrumentKind
from services.gateways.okx.facts import BillKind, Category, OrderStatus, PositionMode
from services.gateways.okx.venue import VenueUnavailable
from tests.okx_desk import BTC, Desk, at_desk, d
from tests.orders_at_okx import SPOT, intended, market, order_id, stop, stop_entry, target

MINUTE_US = 60_000_000


def test_open_orders_are_orders_and_algo_orders_ours_and_others() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        for order in (intended("a", limit_price="79000"), stop("s"), stop_entry("e"), target("t")):
            await desk.submit(order)
        by_hand = {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "limit", "sz": "1", "px": "78000"}
        desk.okx.venue.trading.place(by_hand)
        found = await desk.client.open_orders()
        assert {order.client_order_id for order in found} == {*map(order_id, "aset"), None}
        assert {order.client_order_id for order in found if order.is_algo} == {order_id("s"), order_id("e")}
        assert [order.ts_created for order in found] == sorted(order.ts_created for order in found)

    at_desk(scenario)


def test_many_orders_and_fills_come_page_by_page_each_once() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.rules.rate_limits = False
        orders = [intended(f"n{n}", limit_price="79900", quantity="0.01") for n in range(230)]
        for order in orders:
            await desk.submit(order)
        assert {order.client_order_id for order in await desk.client.open_orders()} == {
            order.client_order_id for order in orders
        }
        for order in orders:
            desk.okx.venue.fill(desk.okx.venue.order(client_id=order.client_order_id), "0.01")
        fills = await desk.client.fills(desk.now() - MINUTE_US)
        assert [len(fills), len({fill.trade_id for fill in fills})] == [230, 230]
        assert sum((fill.last_quantity for fill in fills), Decimal(0)) == d("2.3")
        assert [fill.ts_event for fill in fills] == sorted(fill.ts_event for fill in fills)
        bills = await desk.client.bills(desk.now() - MINUTE_US)
        assert len({bill.bill_id for bill in bills}) == len(bills) >= 230

    at_desk(scenario)


def test_old_fills_and_bills_come_from_the_archives() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        await desk.submit(market("s", **SPOT, quantity="0.1"))
        desk.okx.clock.advance(hours=24 * 8)
        await desk.client.server_time()
        assert await desk.client.fills(desk.now() - MINUTE_US) == []
        since = desk.now() - 9 * 86_400_000_000
        fills = await desk.client.fills(since)
        assert {fill.client_order_id for fill in fills} == {order_id("m"), order_id("s")}
        assert len(await desk.client.bills(since)) >= 2
        asked = [name for name, _ in desk.okx.requests]
        assert asked.count("trade/fills-history") == 2
        assert asked.count("account/bills-archive") == 1

    at_desk(scenario)


def test_the_venue_forgets_canceled_orders_and_we_do_not_guess() -> None:
    async def scenario(desk: Desk) -> None:
        order = intended("a", limit_price="79000")
        await desk.submit(order)
        await desk.client.cancel(order)
        found = await desk.client.find_order(order_id("a"), BTC, is_algo=False)
        assert found is not None
        assert found.status is OrderStatus.CANCELED
        desk.okx.clock.advance(hours=3)
        assert await desk.client.find_order(order_id("a"), BTC, is_algo=False) is None

    at_desk(scenario)


def test_an_order_that_vanished_is_simply_not_known() -> None:
    async def scenario(desk: Desk) -> None:
        accepted = await desk.submit(intended("a", limit_price="79000"))
        desk.okx.control.forget(accepted.venue_order_id)
        assert await desk.client.find_order(order_id("a"), BTC, is_algo=False) is None
        assert await desk.client.open_orders() == []

    at_desk(scenario)


def test_a_fill_of_a_stop_found_after_a_restart_still_names_the_stop() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        await desk.submit(stop("s"))
        desk.client._reader.owners.clear()  # a new process remembers nothing
        desk.client._makers.clear()
        desk.okx.venue.set_mark(BTC, "78999")
        fills = await desk.client.fills(desk.now() - MINUTE_US)
        assert [(fill.client_order_id, fill.side) for fill in fills] == [
            (order_id("m"), Side.BUY),
            (order_id("s"), Side.SELL),
        ]
        asked = [query for name, query in desk.okx.requests if name == "GET trade/order"]
        await desk.client.fills(desk.now() - MINUTE_US)
        assert asked == [query for name, query in desk.okx.requests if name == "GET trade/order"]

    at_desk(scenario)


def test_a_trade_by_hand_belongs_to_nobody() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.control.trade_by_hand(BTC, "buy", "2", "80010")
        (fill,) = await desk.client.fills(desk.now() - MINUTE_US)
        assert (fill.client_order_id, fill.last_quantity, fill.category) == (None, d(2), Category.NORMAL)
        assert [held.quantity for held in await desk.client.positions()] == [d(2)]

    at_desk(scenario)


def test_a_liquidation_shows_in_fills_ledger_and_closed_positions() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="2"))
        desk.okx.control.liquidate(BTC, "72300")
        assert await desk.client.positions() == []
        forced = (await desk.client.fills(desk.now() - MINUTE_US))[-1]
        assert (forced.client_order_id, forced.side, forced.last_price) == (None, Side.SELL, d(72300))
        assert forced.category is Category.LIQUIDATION
        kinds = {bill.kind for bill in await desk.client.bills(desk.now() - MINUTE_US)}
        assert BillKind.LIQUIDATION in kinds
        (closed,) = await desk.client.closed_positions(desk.now() - MINUTE_US)
        assert closed.closed_quantity == d(2)
        assert closed.gross_pnl == d("-154.002")  # 2 x 0.01 x (72,300 - 80,000.1)
        assert closed.unexplained == 0

    at_desk(scenario)


def test_an_adl_takes_part_of_a_position() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="2"))
        desk.okx.control.deleverage(BTC, "0.5", "80100")
        assert [held.quantity for held in await desk.client.positions()] == [d("1.5")]
        assert (await desk.client.fills(desk.now() - MINUTE_US))[-1].category is Category.ADL

    at_desk(scenario)


@pytest.mark.parametrize(("rate", "number"), [("0.0001", "8/173"), ("-0.0001", "8/174")])
def test_funding_is_a_line_of_the_ledger_with_its_sign(rate: str, number: str) -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="10.86"))
        desk.okx.venue.market(BTC).set_funding(rate)
        desk.okx.control.settle_funding(BTC)
        (line,) = [b for b in await desk.client.bills(desk.now() - MINUTE_US) if b.kind is BillKind.FUNDING]
        # A long pays a positive rate: 10.86 x 0.01 x 80,000 x 0.0001 = 0.8688.
        assert line.amount == (d("-0.8688") if rate == "0.0001" else d("0.8688"))
        assert (line.venue_type, line.instrument_id, line.currency) == (number, BTC, "USDT")
        assert (line.quantity, line.price) == (d("10.86"), d(80000))

    at_desk(scenario)


def test_balances_add_up_to_the_ledger() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="10"))
        await desk.submit(market("x", quantity="10", side=Side.SELL, reduce_only=True))
        await desk.submit(market("s", **SPOT, quantity="0.1"))
        held = {row.currency: row.cash for row in await desk.client.balances()}
        bills = await desk.client.bills(desk.now() - MINUTE_US)  # from the first transfer on
        booked = {name: sum((bill.amount for bill in bills if bill.currency == name), Decimal(0)) for name in held}
        assert held == booked
        assert set(held) == {"USDT", "BTC"}

    at_desk(scenario)


def test_account_key_and_fees() -> None:
    async def scenario(desk: Desk) -> None:
        config = await desk.client.account_config()
        assert (config.account_level, config.position_mode) == (2, PositionMode.NET)
        assert config.permissions == {"read_only", "trade"}
        assert config.ip_addresses == ()
        fees = desk.client.fee_rates
        swap = await fees(InstrumentKind.SWAP, ["BTC-USDT-SWAP", "ETH-USDT-SWAP"])
        spot = await fees(InstrumentKind.SPOT, ["BTC-USDT"])
        assert (swap.maker, swap.taker) == (d("0.0002"), d("0.0005"))
        assert (spot.maker, spot.taker) == (d("0.0008"), d("0.001"))
        desk.okx.venue.instruments["ETH-USDT-SWAP"].group = "2"
        of_both = await fees(InstrumentKind.SWAP, ["BTC-USDT-SWAP", "ETH-USDT-SWAP"])
        assert (of_both.maker, of_both.taker) == (d("0.001"), d("0.0015"))
        assert await fees(InstrumentKind.SWAP) == of_both  # no instrument named: the worst there are
        assert abs(await desk.client.server_time() - desk.now()) < 1_000_000

    at_desk(scenario)


def test_the_dead_mans_switch_takes_entries_and_leaves_protection() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="2"))
        for order in (intended("a", limit_price="79000"), target("t"), stop("s", quantity="2"), stop_entry("e")):
            await desk.submit(order)
        fires = await desk.client.cancel_all_after(10)
        assert fires is not None
        assert 8_000_000 < fires - desk.now() < 12_000_000
        desk.okx.clock.advance(seconds=11)

        async def left() -> set[str | None]:
            return {order.client_order_id for order in await desk.client.open_orders()}

        while order_id("a") in await left():
            await asyncio.sleep(0.02)
        assert await left() == {order_id("t"), order_id("s"), order_id("e")}

    at_desk(scenario)


def test_the_dead_mans_switch_is_disarmed_and_refuses_what_okx_would() -> None:
    async def scenario(desk: Desk) -> None:
        assert await desk.client.cancel_all_after(0) is None
        with pytest.raises(ValueError, match="between 10 and 120"):
            await desk.client.cancel_all_after(5)
        await desk.okx.stop()
        with pytest.raises(VenueUnavailable, match="cancel-all-after"):
            await desk.client.cancel_all_after(60)

    at_desk(scenario)


def test_maker_and_taker_are_told_apart() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(intended("a", limit_price="79900"))
        desk.okx.venue.print_trade(BTC, "79899", "9", "sell")
        await desk.submit(market("m"))
        fills = {fill.client_order_id: fill.liquidity for fill in await desk.client.fills(desk.now() - MINUTE_US)}
        assert fills == {order_id("a"): Liquidity.MAKER, order_id("m"): Liquidity.TAKER}

    at_desk(scenario)
