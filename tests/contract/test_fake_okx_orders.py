"""The fake OKX through the real ccxt client: the life of an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from tests.contract.okx_client import BTC, SWAP, drive, subscribed
from tests.fakes.okx import FakeOkx, Rules

ISOLATED = {"tdMode": "isolated"}


def test_a_limit_order_rests_fills_in_parts_and_pays_the_maker_fee() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        watching = await subscribed(okx, "orders", client.watch_orders())
        await client.create_order(SWAP, "limit", "buy", 2, 49900, ISOLATED | {"clOrdId": "entry1"})
        assert [order["status"] for order in await watching] == ["open"]
        okx.venue.print_trade(BTC, "49900", "0.5", "sell")
        await client.watch_orders()
        part = (await client.fetch_open_orders(SWAP))[0]["info"]
        assert (part["state"], part["accFillSz"], part["avgPx"]) == ("partially_filled", "0.5", "49900")
        okx.venue.print_trade(BTC, "49890", "9", "sell")
        whole = (await client.fetch_order("", SWAP, {"clOrdId": "entry1"}))["info"]
        # 2 contracts x 0.01 BTC x 49,900 = 998 USDT, 2 bps of it paid.
        assert (whole["state"], whole["fee"], whole["feeCcy"]) == ("filled", "-0.1996", "USDT")
        fills = await client.fetch_my_trades(SWAP)
        assert [(fill["amount"], fill["takerOrMaker"]) for fill in fills] == [(0.5, "maker"), (1.5, "maker")]

    drive(scenario)


def test_a_market_order_takes_the_book_level_by_level() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.set_book(BTC, [("49999", "1")], [("50001", "1"), ("50002", "3")])
        await client.create_order(SWAP, "market", "buy", 2, None, ISOLATED | {"clOrdId": "taker1"})
        row = (await client.fetch_order("", SWAP, {"clOrdId": "taker1"}))["info"]
        # (50,001 + 50,002) / 2; fee 0.05 % of 1,000.03.
        assert (row["state"], row["avgPx"], row["fee"]) == ("filled", "50001.5", "-0.500015")
        assert (await client.fetch_order_book(SWAP))["asks"][0][:2] == [50002, 2]

    drive(scenario)


def test_amending_counts_what_is_filled_and_canceling_ends_the_rest() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await client.create_order(SWAP, "limit", "buy", 2, 49900, ISOLATED)
        okx.venue.print_trade(BTC, "49900", "1", "sell")
        await client.edit_order(placed["id"], SWAP, "limit", "buy", 3, 49800)
        row = (await client.fetch_order(placed["id"], SWAP))["info"]
        assert (row["sz"], row["px"], row["accFillSz"]) == ("3", "49800", "1")
        await client.cancel_order(placed["id"], SWAP)
        row = (await client.fetch_order(placed["id"], SWAP))["info"]
        assert (row["state"], row["accFillSz"], row["cancelSource"]) == ("canceled", "1", "1")
        with pytest.raises(ccxt.OrderNotFound, match="51400"):
            await client.cancel_order(placed["id"], SWAP)
        with pytest.raises(ccxt.OrderNotFound, match="51503"):
            await client.edit_order(placed["id"], SWAP, "limit", "buy", 4, 49800)

    drive(scenario)


def test_balances_are_the_sum_of_bills() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.create_order(SWAP, "market", "buy", 3, None, ISOLATED)
        await client.create_order(SWAP, "market", "sell", 5, None, ISOLATED)
        okx.venue.market(BTC).set_funding("0.0002")
        okx.control.settle_funding(BTC)
        bills = (await client.private_get_account_bills())["data"]
        balance = (await client.private_get_account_balance())["data"][0]["details"][0]
        assert sum(Decimal(bill["balChg"]) for bill in bills) == Decimal(balance["cashBal"])
        funding = bills[0]
        # Short 2 contracts at mark 50,000: 1,000 USDT x 0.02 % received.
        assert (funding["type"], funding["subType"], funding["balChg"]) == ("8", "174", "0.2")
        held = (await client.private_get_account_positions())["data"][0]
        assert (held["pos"], held["fundingFee"]) == ("-2", "0.2")

    drive(scenario)


def test_an_attached_stop_exists_only_once_the_entry_is_filled_whole() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        stop = {"attachAlgoOrds": [{"attachAlgoClOrdId": "stop1", "slTriggerPx": "49000", "slOrdPx": "-1"}]}
        await client.create_order(SWAP, "limit", "buy", 2, 49900, ISOLATED | stop)
        pending = {"trigger": True, "ordType": "conditional"}
        okx.venue.print_trade(BTC, "49900", "1.99", "sell")
        assert await client.fetch_open_orders(SWAP, params=pending) == []
        okx.venue.print_trade(BTC, "49900", "0.01", "sell")
        row = (await client.fetch_open_orders(SWAP, params=pending))[0]["info"]
        assert (row["algoClOrdId"], row["side"], row["sz"], row["slTriggerPx"]) == ("stop1", "sell", "2", "49000")

    drive(scenario)


def test_a_duplicate_client_id_is_refused_while_the_order_is_open() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.create_order(SWAP, "limit", "buy", 1, 49900, ISOLATED | {"clOrdId": "same"})
        with pytest.raises(ccxt.InvalidOrder, match="51016"):
            await client.create_order(SWAP, "limit", "buy", 1, 49900, ISOLATED | {"clOrdId": "same"})

    drive(scenario)
    drive(scenario, rules=Rules(duplicate_ids_forever=True))


def test_one_print_fills_several_orders_under_ids_of_their_own_best_price_first() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        for price in (49890, 49900, 49880):
            await client.create_order(SWAP, "limit", "buy", 1, price, ISOLATED | {"clOrdId": f"at{price}"})
        okx.venue.print_trade(BTC, "49885", "1.5", "sell")
        fills = [fill["info"] for fill in await client.fetch_my_trades(SWAP)]
        assert {(fill["clOrdId"], fill["fillSz"], fill["fillPx"]) for fill in fills} == {
            ("at49900", "1", "49900"),
            ("at49890", "0.5", "49890"),
        }
        assert len({fill["tradeId"] for fill in fills}) == 2

    drive(scenario)
