"""The fake OKX in its account modes: net and long/short, margin modes, leverage, spot; and what each refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.contract.okx_client import BTC, SPOT, SWAP, drive, subscribed
from tests.fakes.okx import FakeOkx, Rules

LONG_SHORT = "long_short_mode"


async def order(client: Any, side: str, size: float, price: float | None = None, **more: object) -> Any:
    """Send an isolated swap order, at market unless priced."""
    kind = "limit" if price else "market"
    return await client.create_order(SWAP, kind, side, size, price, {"tdMode": "isolated"} | more)


async def refusal(client: Any, side: str, size: float, price: float | None = None, **more: object) -> str:
    """Send an order that is refused and return its code."""
    with pytest.raises((ccxt.ExchangeError, ccxt.BadRequest)) as caught:
        await order(client, side, size, price, **more)
    reply = client.parse_json(str(caught.value).partition(" ")[2])
    return str(reply["data"][0]["sCode"] if reply["data"] else reply["code"])


def test_long_and_short_stand_side_by_side() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.set_position_mode(True)
        await order(client, "buy", 3, posSide="long")
        await order(client, "sell", 2, posSide="short")
        rows = (await client.private_get_account_positions())["data"]
        assert [(row["posSide"], row["pos"]) for row in rows] == [("long", "3"), ("short", "2")]
        await order(client, "buy", 2, posSide="short")
        await order(client, "sell", 1, posSide="long")
        assert [(p["side"], p["contracts"]) for p in await client.fetch_positions()] == [("long", 2)]
        assert await refusal(client, "sell", 3, posSide="long") == "51112"
        assert await refusal(client, "buy", 1, posSide="short") == "51169"
        assert await refusal(client, "buy", 1) == "51000"
        assert await refusal(client, "buy", 1, posSide="net") == "51000"
        assert await refusal(client, "sell", 1, posSide="long", reduceOnly=True) == "51205"
        with pytest.raises(ccxt.ExchangeError, match="59000"):
            await client.set_position_mode(False)

    drive(scenario)


def test_net_mode_nets_and_turns() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await order(client, "buy", 3)
        await order(client, "sell", 5)
        row = (await client.private_get_account_positions())["data"][0]
        assert (row["posSide"], row["pos"], row["avgPx"]) == ("net", "-2", "49999.9")
        assert await refusal(client, "buy", 1, posSide="long") == "51000"
        closed = (await client.private_get_account_positions_history())["data"]
        assert closed == []

    drive(scenario)


def test_reduce_only_never_turns_a_position() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        assert await refusal(client, "sell", 1, reduceOnly=True) == "51169"
        await order(client, "buy", 2)
        assert await refusal(client, "buy", 1, reduceOnly=True) == "51170"
        await order(client, "sell", 5, reduceOnly=True, clOrdId="closing1")
        assert await client.fetch_positions() == []
        row = (await client.fetch_order("", SWAP, {"clOrdId": "closing1"}))["info"]
        assert (row["state"], row["accFillSz"]) == ("canceled", "2")

    drive(scenario)


@pytest.mark.parametrize(
    ("side", "size", "price", "more", "code"),
    [
        ("buy", 0.015, 49900, {"sz": "0.015"}, "51121"),
        ("buy", 1, 49900, {"sz": "0"}, "51000"),
        ("buy", 1, 49900, {"sz": "many"}, "51000"),
        ("buy", 1, 49900, {"px": "49900.05"}, "51000"),
        ("buy", 1, 49900, {"px": "55000.1"}, "51137"),
        ("sell", 1, 49900, {"px": "44999.9"}, "51138"),
        ("buy", 1, None, {"sz": "30001"}, "51202"),
        ("buy", 1, 49900, {"sz": "1000"}, "51008"),
        ("buy", 1, 49900, {"clOrdId": "with-dash"}, "51000"),
        ("buy", 1, 49900, {"clOrdId": "x" * 33}, "51000"),
        ("buy", 1, 49900, {"tag": "x" * 17}, "51000"),
        ("buy", 1, 49900, {"tdMode": "cash"}, "51000"),
        ("buy", 1, 49900, {"instId": "BTC-EUR-SWAP"}, "51001"),
        ("buy", 1, 49900, {"ordType": "iceberg"}, "51000"),
    ],
)
def test_a_refused_order_carries_its_code(side: str, size: float, price: float, more: Any, code: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        assert await refusal(client, side, size, price, **more) == code
        assert okx.venue.trading.orders == {}

    drive(scenario)


def test_leverage_is_set_confirmed_and_bounded_by_the_tier() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        isolated = {"mgnMode": "isolated"}
        assert (await client.fetch_leverage(SWAP, isolated))["longLeverage"] == 3
        await client.set_leverage(100, SWAP, isolated)
        assert (await client.fetch_leverage(SWAP, isolated))["longLeverage"] == 100
        okx.control.transfer("USDT", "1000000")
        # 1,001 contracts lie in the second tier, which allows 66.66.
        assert await refusal(client, "buy", 1001, 49900) == "51004"
        await order(client, "buy", 999)
        await order(client, "buy", 1, 49900)
        with pytest.raises(ccxt.ExchangeError, match="59101"):
            await client.set_leverage(50, SWAP, isolated)
        await client.set_leverage(100, SWAP, isolated)
        await client.cancel_order(okx.venue.trading.open_orders()[0].ord_id, SWAP)
        with pytest.raises(ccxt.BadRequest):
            await client.set_leverage(126, SWAP, isolated)
        with pytest.raises(ccxt.ExchangeError, match="59102"):
            await client.set_leverage(101, SWAP, isolated)

    drive(scenario)


def test_isolated_margin_leaves_cash_and_comes_back() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.set_leverage(10, SWAP, {"mgnMode": "isolated"})
        okx.venue.set_book(BTC, [("50000", "100")], [("50000.1", "100")])
        await order(client, "sell", 2)
        detail = (await client.private_get_account_balance())["data"][0]["details"][0]
        # Notional 1,000: margin 100 and a fee of 0.5 left the cash balance.
        assert (detail["cashBal"], detail["isoEq"], detail["eq"]) == ("9899.5", "100", "9999.5")
        await client.set_leverage(20, SWAP, {"mgnMode": "isolated"})
        row = (await client.private_get_account_positions())["data"][0]
        assert (row["margin"], row["lever"], row["upl"]) == ("50", "20", "0")
        okx.venue.set_book(BTC, [("49899.9", "100")], [("49900", "100")])
        await order(client, "buy", 2, reduceOnly=True)
        detail = (await client.private_get_account_balance())["data"][0]["details"][0]
        # 2 x 0.01 x 100 earned, 998 x 0.05 % paid.
        assert Decimal(detail["cashBal"]) == Decimal("9999.5") + 2 - Decimal("0.499")
        assert detail["isoEq"] == "0"
        closed = (await client.private_get_account_positions_history())["data"][0]
        assert (closed["pnl"], closed["fee"], closed["realizedPnl"]) == ("2", "-0.999", "1.001")

    drive(scenario)


def test_a_cross_position_ties_up_margin_but_no_cash() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.set_book(BTC, [("49999.9", "100")], [("50000", "100")])
        await client.create_order(SWAP, "market", "buy", 6, None, {"tdMode": "cross"})
        okx.venue.set_mark(BTC, "50100")
        detail = (await client.private_get_account_balance())["data"][0]["details"][0]
        # Notional at mark 3,006, leverage 3: margin 1,002; profit 6; fee 1.5.
        assert (detail["cashBal"], detail["upl"], detail["imr"]) == ("9998.5", "6", "1002")
        assert detail["availEq"] == "9002.5"

    drive(scenario)


def test_spot_buys_count_quote_coin_and_pay_their_fee_in_base_coin() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.set_book("BTC-USDT", [("49999.9", "10")], [("50000", "10")])
        await client.create_order(
            SPOT, "market", "buy", 0.1, None, {"tgtCcy": "quote_ccy", "cost": 5000, "clOrdId": "s1"}
        )
        row = (await client.fetch_order("", SPOT, {"clOrdId": "s1"}))["info"]
        assert (row["state"], row["accFillSz"], row["fee"], row["feeCcy"]) == ("filled", "0.1", "-0.0001", "BTC")
        balance = await client.fetch_balance()
        assert (balance["USDT"]["total"], balance["BTC"]["total"]) == (5000, 0.0999)
        await client.create_order(SPOT, "limit", "sell", 0.05, 50100)
        assert (await client.fetch_balance())["BTC"]["free"] == 0.0499
        with pytest.raises(ccxt.InsufficientFunds, match="51008"):
            await client.create_order(SPOT, "limit", "sell", 0.05, 50100)

    drive(scenario)


def test_the_account_level_decides_what_may_be_traded() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.account.level = "1"
        assert await refusal(client, "buy", 1) == "51010"
        okx.venue.account.level = "3"
        assert await refusal(client, "buy", 1) == "51010"
        await order(client, "buy", 1, tdMode="cross")
        config = (await client.private_get_account_config())["data"][0]
        assert (config["acctLv"], config["posMode"]) == ("3", "net_mode")

    drive(scenario)


@pytest.mark.parametrize(("state", "code"), [("suspend", "51022"), ("preopen", "51021"), ("settling", "51030")])
def test_an_instrument_that_is_not_live_takes_no_orders(state: str, code: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.control.set_instrument(BTC, state=state)
        assert await refusal(client, "buy", 1) == code

    drive(scenario)


@pytest.mark.parametrize(
    ("kind", "price", "state", "source"),
    [
        ("post_only", "50000.1", "canceled", "31"),
        ("fok", "50000.1", "canceled", "13"),
        ("ioc", "50000.1", "canceled", "14"),
    ],
)
def test_order_types_end_by_their_own_rule(kind: str, price: str, state: str, source: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.set_book(BTC, [("49999.9", "100")], [("50000.1", "1")])
        await order(client, "buy", 2, 49900, ordType=kind, px=price, clOrdId="typed1")
        row = (await client.fetch_order("", SWAP, {"clOrdId": "typed1"}))["info"]
        assert (row["state"], row["cancelSource"]) == (state, source)
        assert row["accFillSz"] == ("1" if kind == "ioc" else "0")

    drive(scenario)


def test_a_batch_answers_row_by_row() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        good = {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "limit", "px": "49900", "sz": "1"}
        rows = [good | {"clOrdId": "b1"}, good | {"clOrdId": "b2", "sz": "0.001"}, {"clOrdId": "b3"}]
        reply = await client.private_post_trade_batch_orders(rows)
        assert (reply["code"], [row["sCode"] for row in reply["data"]]) == ("2", ["0", "51121", "50014"])
        assert int(reply["outTime"]) >= int(reply["inTime"]) > 10**15
        with pytest.raises(ccxt.ExchangeError, match="51121"):
            await client.private_post_trade_batch_orders(rows[1:])

    drive(scenario)


def test_orders_over_the_websocket() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await client.create_order_ws(SWAP, "limit", "buy", 1, 49900, {"tdMode": "isolated", "clOrdId": "w1"})
        await client.edit_order_ws(placed["id"], SWAP, "limit", "buy", 2, 49800)
        row = (await client.fetch_order(placed["id"], SWAP))["info"]
        assert (row["sz"], row["px"], row["clOrdId"]) == ("2", "49800", "w1")
        await client.cancel_order_ws(placed["id"], SWAP)
        # Over the socket ccxt has no class for a refusal: the code is in the words.
        with pytest.raises(ccxt.ExchangeError, match="51400"):
            await client.cancel_order_ws(placed["id"], SWAP)

    drive(scenario)


def test_an_amendment_that_fails_can_cancel_the_order() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await order(client, "buy", 2, 49900)
        watching = await subscribed(okx, "orders", client.watch_orders())
        ids = {"instId": BTC, "ordId": placed["id"], "cxlOnFail": True, "reqId": "r1"}
        with pytest.raises(ccxt.InvalidOrder, match="51121"):
            await client.private_post_trade_amend_order(ids | {"newSz": "0.001"})
        info = (await watching)[0]["info"]
        assert (info["state"], info["amendResult"], info["reqId"]) == ("canceled", "-1", "r1")

    drive(scenario)


def test_resting_orders_wait_for_the_test_when_matching_is_off() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await order(client, "buy", 2)
        assert (await client.fetch_order(placed["id"], SWAP))["info"]["state"] == "live"
        okx.venue.fill(okx.venue.order(placed["id"]), "2", "50010", taker=True)
        assert (await client.fetch_order(placed["id"], SWAP))["info"]["avgPx"] == "50010"

    drive(scenario, rules=Rules(matching=False))


def test_positions_and_balances_are_pushed_together_with_the_fill() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        watching = await subscribed(okx, "positions", client.watch_positions([SWAP]))
        await order(client, "buy", 2)
        assert [(p["side"], p["contracts"]) for p in await watching] in ([], [("long", 2)])
        await order(client, "sell", 2)
        last = await client.watch_positions([SWAP])
        assert [position["contracts"] for position in last] == [0, 0]

    drive(scenario)
