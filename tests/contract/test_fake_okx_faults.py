"""What goes wrong at the fake OKX, seen through the real ccxt client: lost answers, storms, cuts, vanished orders."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import pytest

from tests.contract.okx_client import BTC, SWAP, drive, subscribed, until
from tests.fakes.okx import FakeOkx, Fault, Frame, Rules

ISOLATED = {"tdMode": "isolated"}
PLACE = "trade/order"


async def send(client: Any, client_id: str = "entry1", size: float = 1, **more: object) -> Any:
    """Place a resting buy."""
    return await client.create_order(SWAP, "limit", "buy", size, 49900, ISOLATED | {"clOrdId": client_id} | more)


async def is_known(client: Any, client_id: str = "entry1") -> bool:
    """Does the venue know the order?"""
    try:
        await client.fetch_order("", SWAP, {"clOrdId": client_id})
    except ccxt.OrderNotFound:
        return False
    return True


@pytest.mark.parametrize("fault", list(Fault))
def test_the_answer_is_lost_and_the_order_is_there_or_not(fault: Fault) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        client.timeout = 500
        okx.faults.plan(PLACE, fault, code="50026", delay_s=0.01)
        if fault is Fault.DELAY:
            await send(client)
        elif fault.name.startswith("GARBAGE"):
            # ccxt takes an answer that does not parse for an order without an id.
            assert (await send(client))["id"] is None
        else:
            with pytest.raises((ccxt.NetworkError, ccxt.ExchangeError)):
                await send(client)
        assert await is_known(client) == fault.executes
        assert okx.faults.struck == [(PLACE, fault)]
        await send(client, "entry2")

    drive(scenario)


def test_a_timeout_in_words_says_nothing_about_the_outcome() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.faults.plan(PLACE, Fault.ANSWER_AFTER, code="50004")
        with pytest.raises(ccxt.RequestTimeout, match="50004"):
            await send(client)
        assert await is_known(client)
        with pytest.raises(ccxt.InvalidOrder, match="51016"):
            await send(client)

    drive(scenario)


def test_a_refusal_in_the_row_can_hide_an_order_too() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.faults.plan(PLACE, Fault.ROW_AFTER, code="51149")
        with pytest.raises(ccxt.ExchangeError, match="51149"):
            await send(client)
        assert await is_known(client)
        okx.faults.plan("ws batch-orders", Fault.ROW_BEFORE, code="51149")
        with pytest.raises(ccxt.ExchangeError, match="51149"):
            await client.create_order_ws(SWAP, "limit", "buy", 1, 49900, ISOLATED | {"clOrdId": "entry2"})
        assert not await is_known(client, "entry2")

    drive(scenario)


def test_an_answer_on_the_socket_can_be_late_or_lost() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        for number, fault in enumerate((Fault.DELAY, Fault.HANG_AFTER, Fault.HANG_BEFORE)):
            okx.faults.plan("ws batch-orders", fault, delay_s=0.01)
            params = ISOLATED | {"clOrdId": f"entry{number}"}
            sending = asyncio.ensure_future(client.create_order_ws(SWAP, "limit", "buy", 1, 49900, params))
            await until(lambda: len(okx.faults.struck) > number)  # noqa: B023
            if fault is Fault.DELAY:
                assert (await sending)["clientOrderId"] == "entry0"
            sending.cancel()
            assert await is_known(client, f"entry{number}") == fault.executes

    drive(scenario)


def test_faults_wait_their_turn() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.faults.plan(PLACE, Fault.ANSWER_BEFORE, skip=1, times=2, code="50013")
        outcomes = []
        for number in range(4):
            try:
                await send(client, f"entry{number}")
                outcomes.append("placed")
            except ccxt.ExchangeNotAvailable:
                outcomes.append("busy")
        assert outcomes == ["placed", "busy", "busy", "placed"]

    drive(scenario)


def test_sixty_orders_in_two_seconds_and_then_no_more() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        for number in range(60):
            await send(client, f"entry{number}", 0.01)
        # The HTTP status 429 comes first for ccxt, so it is not its RateLimitExceeded.
        with pytest.raises(ccxt.NetworkError, match="50011"):
            await send(client, "entry60", 0.01)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order("1", SWAP)
        okx.clock.advance(seconds=2)
        await send(client, "entry60", 0.01)
        assert len(okx.venue.trading.open_orders()) == 61

    drive(scenario)


def test_the_account_has_a_limit_of_its_own() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await send(client, "entry1")
        await send(client, "entry2")
        with pytest.raises(ccxt.ExchangeError, match="50061"):
            await send(client, "entry3")

    drive(scenario, rules=Rules(sub_account_orders_per_2s=2))


def test_an_expired_order_is_not_carried_out() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        client.headers = {"expTime": str(client.milliseconds() - 1)}
        with pytest.raises(ccxt.ExchangeError, match="50036"):
            await send(client)
        client.headers = {"expTime": str(client.milliseconds() + 10_000)}
        await send(client)

    drive(scenario)


def test_a_connection_cut_during_a_fill_hides_the_fill_from_the_stream_only() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        watching = await subscribed(okx, "orders", client.watch_orders())
        await send(client)
        await watching
        okx.faults.plan("orders", Frame.DROP_CONNECTION)
        okx.venue.print_trade(BTC, "49900", "1", "sell")
        with pytest.raises(ccxt.NetworkError):
            await client.watch_orders()
        assert [fill["amount"] for fill in await client.fetch_my_trades(SWAP)] == [1]

    drive(scenario)


def test_a_fill_frame_can_come_twice() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        seen: list[str] = []
        okx.venue.listeners.append(lambda push: seen.append(push.channel))
        watching = await subscribed(okx, "orders", client.watch_orders())
        await send(client)
        await watching
        okx.faults.plan("orders", Frame.DUPLICATE)
        okx.venue.print_trade(BTC, "49900", "1", "sell")
        assert [order["status"] for order in await client.watch_orders()] == ["closed"]
        assert okx.faults.struck == [("orders", Frame.DUPLICATE)]
        assert seen.count("orders") == 2

    drive(scenario)


def test_a_fill_can_come_after_the_cancel() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await send(client)
        await client.cancel_order(placed["id"], SWAP)
        okx.venue.fill(okx.venue.order(placed["id"]), "0.4")
        row = (await client.fetch_order(placed["id"], SWAP))["info"]
        assert (row["state"], row["accFillSz"]) == ("canceled", "0.4")
        okx.venue.fill(okx.venue.order(placed["id"]), "0.6")
        row = (await client.fetch_order(placed["id"], SWAP))["info"]
        assert (row["state"], row["accFillSz"]) == ("filled", "1")
        assert (await client.fetch_positions())[0]["contracts"] == 1

    drive(scenario)


def test_two_hours_after_the_cancel_an_unfilled_order_never_was() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await send(client)
        touched = await send(client, "touched")
        okx.venue.fill(okx.venue.order(touched["id"]), "0.4")
        for order in (placed, touched):
            await client.cancel_order(order["id"], SWAP)
        okx.clock.advance(seconds=2 * 3600 - 20)
        history = {"instType": "SWAP"}
        assert len((await client.private_get_trade_orders_history(history))["data"]) == 2
        okx.clock.advance(seconds=20)
        rows = (await client.private_get_trade_orders_history(history))["data"]
        assert [row["clOrdId"] for row in rows] == ["touched"]
        assert not await is_known(client)

    drive(scenario)


def test_an_order_vanishes_and_a_position_appears_by_hand() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await send(client)
        okx.control.forget(placed["id"])
        assert await client.fetch_open_orders(SWAP) == []
        okx.control.trade_by_hand(BTC, "sell", "3", "50000")
        held = (await client.fetch_positions())[0]
        assert (held["side"], held["contracts"]) == ("short", 3)
        assert (await client.fetch_my_trades(SWAP))[0]["info"]["clOrdId"] == ""

    drive(scenario)


def test_the_venue_liquidates() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.set_leverage(50, SWAP, {"mgnMode": "isolated"})
        await client.create_order(SWAP, "market", "buy", 10, None, ISOLATED)
        await send(client)
        watching = await subscribed(okx, "orders", client.watch_orders())
        okx.control.liquidate(BTC, "49100")
        await watching
        assert await client.fetch_positions() == []
        assert await client.fetch_open_orders(SWAP) == []
        rows = (await client.private_get_trade_orders_history({"instType": "SWAP"}))["data"]
        forced = next(row for row in rows if row["category"] == "full_liquidation")
        # Bought at 50,000.1: 10 x 0.01 x (49,100 - 50,000.1).
        assert (forced["side"], forced["accFillSz"], forced["pnl"]) == ("sell", "10", "-90.01")
        kinds = [(bill["type"], bill["subType"]) for bill in (await client.private_get_account_bills())["data"]]
        assert kinds[:2] == [("5", "104"), ("5", "104")]

    drive(scenario)


@pytest.mark.parametrize(("mode", "mark"), [("isolated", "49200"), ("cross", "40040")])
def test_a_position_is_due_when_its_margin_is_down_to_maintenance(mode: str, mark: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        # 100 contracts, 1 BTC at 50,000: isolated at 50x holds 1,000; maintenance is 0.4 % of the value at mark.
        # Isolated: 1,000 - 800 = 200 > 196.8, and 4 lower 196 < 196.784. Cross: 9,975 - 9,960 = 15 is far below 160.16.
        await client.set_leverage(50, SWAP, {"mgnMode": mode})
        okx.venue.set_book(BTC, [("49999.9", "1000")], [("50000", "1000")])
        await client.create_order(SWAP, "market", "buy", 100, None, {"tdMode": mode})
        if mode == "isolated":
            okx.venue.set_mark(BTC, mark)
            assert okx.control.liquidate_due() == []
        okx.venue.set_mark(BTC, str(int(mark) - 4))
        (order,) = okx.control.liquidate_due()
        assert (order.category, str(order.average)) == ("full_liquidation", str(int(mark) - 4))
        assert await client.fetch_positions() == []

    drive(scenario)


def test_lists_page_by_id() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.create_order(SWAP, "limit", "buy", 2.5, 49900, ISOLATED)
        for _ in range(250):
            okx.venue.print_trade(BTC, "49900", "0.01", "sell")
        query, pages = {"instType": "SWAP"}, []
        for _ in range(4):
            rows = (await client.private_get_trade_fills(query))["data"]
            pages.append(len(rows))
            query = {"instType": "SWAP", "after": rows[-1]["billId"]} if rows else query
        assert pages == [100, 100, 50, 0]
        newer = {"instType": "SWAP", "before": okx.venue.account.bills[-3]["billId"]}
        assert len((await client.private_get_trade_fills(newer))["data"]) == 2

    drive(scenario)


def test_the_venue_deleverages_a_part() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.create_order(SWAP, "market", "sell", 4, None, ISOLATED)
        order = okx.control.deleverage(BTC, "3", "50100")
        assert (await client.fetch_order(order.ord_id, SWAP))["info"]["category"] == "adl"
        assert (await client.fetch_positions())[0]["contracts"] == 1
        bill = (await client.private_get_account_bills())["data"][0]
        assert (bill["type"], bill["subType"]) == ("9", "126")

    drive(scenario)


def test_maintenance_stops_trading_and_says_so() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.control.start_maintenance()
        assert (await client.fetch_status())["status"] == "maintenance"
        with pytest.raises(ccxt.OnMaintenance, match="50001"):
            await send(client)
        okx.control.end_maintenance()
        assert (await client.fetch_status())["status"] == "ok"
        await send(client)

    drive(scenario)


def test_a_notice_comes_before_the_cut_and_clients_come_back() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        watching = await subscribed(okx, "trades", client.watch_trades(SWAP))
        okx.hub.notice()
        assert okx.hub.drop() == 1
        with pytest.raises(ccxt.NetworkError):
            await watching
        await until(lambda: not okx.hub.connections)
        again = await subscribed(okx, "trades", client.watch_trades(SWAP))
        okx.venue.print_trade(BTC, "50000", "1", "buy")
        assert len(await again) == 1

    drive(scenario)


def test_a_stalled_connection_stays_open_and_silent() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        watching = await subscribed(okx, "trades", client.watch_trades(SWAP))
        okx.hub.stall()
        okx.venue.print_trade(BTC, "50000", "1", "buy")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await watching
        assert len(okx.hub.connections) == 1

    drive(scenario)


def test_the_dead_mans_switch_cancels_orders_but_no_stops() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await send(client, "tagged", tag="entries")
        await send(client, "other", tag="rest")
        await client.create_order(SWAP, "market", "buy", 1, None, ISOLATED | {"stopLoss": {"triggerPrice": 49000}})
        armed = await client.cancel_all_orders_after(10_000, {"tag": "entries"})
        assert int(armed["data"][0]["triggerTime"]) - int(armed["data"][0]["ts"]) == 10_000
        okx.clock.advance(seconds=10)
        await until(lambda: len(okx.venue.trading.open_orders()) == 1)
        row = (await client.fetch_order("", SWAP, {"clOrdId": "tagged"}))["info"]
        assert (row["state"], row["cancelSource"]) == ("canceled", "20")
        assert len(okx.venue.algos.open_algos()) == 1
        with pytest.raises(ccxt.BadRequest, match="51000"):
            await client.cancel_all_orders_after(9_000)

    drive(scenario)
