"""The fake OKX through the real ccxt client: stops, targets, triggers, and what is refused of them."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest

from tests.contract.okx_client import BTC, SPOT, SWAP, drive, subscribed
from tests.fakes.okx import FakeOkx, Fault, Rules

ISOLATED = {"tdMode": "isolated"}
WHOLE_STOP = ISOLATED | {
    "ordType": "conditional",
    "instId": BTC,
    "side": "sell",
    "posSide": "net",
    "closeFraction": "1",
    "reduceOnly": True,
    "slTriggerPx": "49000",
    "slOrdPx": "-1",
    "slTriggerPxType": "mark",
}

TRIGGER = {"ordType": "trigger", "triggerPx": "49000", "orderPx": "-1"}


async def enter(client: Any, size: float = 2) -> None:
    """Open a long at market."""
    await client.create_order(SWAP, "market", "buy", size, None, ISOLATED)


async def place(client: Any, **changes: object) -> dict[str, Any]:
    """Send an algo order and return its row of the reply."""
    wanted = {name: value for name, value in (WHOLE_STOP | changes).items() if value is not None}
    row: dict[str, Any] = (await client.private_post_trade_order_algo(wanted))["data"][0]
    return row


async def algo(client: Any, algo_id: str) -> dict[str, Any]:
    """Look an algo order up."""
    row: dict[str, Any] = (await client.private_get_trade_order_algo({"algoId": algo_id}))["data"][0]
    return row


def test_a_whole_position_stop_fires_on_the_mark_price_and_closes_what_is_held() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        placed = await place(client, algoClOrdId="guard1")
        await enter(client, 3)
        watching = await subscribed(okx, "orders-algo", client.watch_orders(params={"trigger": True}))
        okx.venue.set_last(BTC, "48000")
        assert (await algo(client, placed["algoId"]))["state"] == "live"
        okx.venue.set_book(BTC, [("48900", "100")], [("48910", "100")])
        okx.venue.set_mark(BTC, "49000")
        assert [order["status"] for order in await watching] == ["closed"]
        row = await algo(client, placed["algoId"])
        assert (row["state"], row["actualSide"], row["actualSz"], row["actualPx"]) == ("effective", "sl", "5", "48900")
        order = (await client.fetch_order(row["ordId"], SWAP))["info"]
        assert (order["source"], order["algoId"], order["state"]) == ("7", placed["algoId"], "filled")
        assert await client.fetch_positions() == []

    drive(scenario)


def test_a_whole_position_order_dies_with_the_position_unless_the_rules_say_otherwise() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        placed = await place(client)
        await client.create_order(SWAP, "market", "sell", 2, None, ISOLATED)
        dies = okx.rules.close_fraction_dies_with_position
        assert (await algo(client, placed["algoId"]))["state"] == ("canceled" if dies else "live")

    drive(scenario)
    drive(scenario, rules=Rules(close_fraction_dies_with_position=False))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sz": "1"}, "50024"),
        ({"closeFraction": "0.5"}, "51000"),
        ({"reduceOnly": False}, "51328"),
        ({"slOrdPx": "48990"}, "51330"),
        ({"slTriggerPx": "51000"}, "51304"),
        ({"slTriggerPx": "51000", "slTriggerPxType": "last"}, "51280"),
        ({"side": "buy", "slTriggerPx": "49000", "slTriggerPxType": "last"}, "51278"),
        ({"slTriggerPx": "49000.05"}, "51000"),
        ({"slTriggerPxType": "mid"}, "51000"),
        ({"slTriggerPx": None}, "50014"),
        ({"ordType": "oco"}, "50014"),
        ({"algoClOrdId": "not-alphanumeric"}, "51000"),
        ({"instId": "BTC-EUR-SWAP"}, "51001"),
        ({"tdMode": "cash"}, "51000"),
        (TRIGGER | {"closeFraction": None, "sz": "1"}, "51205"),
        (TRIGGER | {"reduceOnly": False}, "51000"),
    ],
)
def test_a_refused_algo_order_says_so_in_its_row_only(changes: dict[str, object], code: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        assert (await place(client, **changes))["sCode"] == code
        assert okx.venue.algos.open_algos() == []

    drive(scenario)


def test_there_is_one_whole_position_order_and_one_holder_of_a_client_id() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        assert (await place(client, algoClOrdId="guard1"))["sCode"] == "0"
        assert (await place(client, algoClOrdId="guard2"))["sCode"] == "51088"
        sized = {"closeFraction": None, "sz": "1"}
        assert (await place(client, algoClOrdId="guard1", **sized))["sCode"] == "51065"
        attached = {"attachAlgoOrds": [{"attachAlgoClOrdId": "guard1", "slTriggerPx": "49000", "slOrdPx": "-1"}]}
        with pytest.raises(ccxt.ExchangeError, match="51068"):
            await client.create_order(SWAP, "limit", "buy", 1, 49900, ISOLATED | attached)

    drive(scenario)


def test_one_cancels_the_other() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        target = {"tpTriggerPx": "51000", "tpOrdPx": "-1"}
        placed = await place(client, ordType="oco", closeFraction=None, sz="2", **target)
        okx.venue.set_price(BTC, "51000")
        row = await algo(client, placed["algoId"])
        assert (row["state"], row["actualSide"]) == ("effective", "tp")
        okx.venue.set_price(BTC, "48000")
        assert len(okx.venue.trading.orders) == 2

    drive(scenario)


def test_a_stop_with_nothing_to_reduce_fails() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        placed = await place(client, closeFraction=None, sz="2")
        await client.create_order(SWAP, "market", "sell", 2, None, ISOLATED)
        okx.venue.set_mark(BTC, "48000")
        row = await algo(client, placed["algoId"])
        assert (row["state"], row["failCode"]) == ("order_failed", "51169")

    drive(scenario)


def test_a_refusal_in_the_row_under_a_good_envelope_can_hide_a_stop_that_lives() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        okx.faults.plan("trade/order-algo", Fault.ROW_AFTER, code="51149")
        assert (await place(client))["sCode"] == "51149"
        assert len(okx.venue.algos.open_algos()) == 1

    drive(scenario)


def test_amending_and_canceling_an_algo_order() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        placed = await place(client)
        ids = {"instId": BTC, "algoId": placed["algoId"]}
        moved = ids | {"newSlTriggerPx": "49500", "newSlOrdPx": "-1", "newSlTriggerPxType": "mark"}
        await client.private_post_trade_amend_algos(moved)
        assert (await algo(client, placed["algoId"]))["slTriggerPx"] == "49500"
        refused = (await client.private_post_trade_amend_algos(ids | {"newSz": "1"}))["data"][0]
        assert refused["sCode"] == "51524"
        canceled = await client.cancel_order(placed["algoId"], SWAP, {"trigger": True})
        assert canceled["info"]["sCode"] == "0"
        again = (await client.private_post_trade_cancel_algos([ids]))["data"][0]
        assert again["sCode"] == "51400"

    drive(scenario)


def test_a_trailing_stop_follows_the_best_price() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await enter(client)
        none = dict.fromkeys(("closeFraction", "slTriggerPx", "slOrdPx", "slTriggerPxType"))
        placed = await place(client, ordType="move_order_stop", sz="2", callbackSpread="500", **none)
        okx.venue.set_price(BTC, "52000")
        okx.venue.set_price(BTC, "51600")
        assert (await algo(client, placed["algoId"]))["state"] == "live"
        okx.venue.set_price(BTC, "51500")
        row = await algo(client, placed["algoId"])
        assert (row["state"], row["moveTriggerPx"]) == ("effective", "52000")

    drive(scenario)


def test_a_trigger_order_enters_once_the_price_comes_by() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        placed = await client.create_order(SWAP, "market", "buy", 1, None, ISOLATED | {"triggerPrice": 50500})
        okx.venue.set_price(BTC, "50499")
        assert okx.venue.account.open_positions() == []
        okx.venue.set_price(BTC, "50500")
        assert (await algo(client, placed["id"]))["state"] == "effective"
        assert (await client.fetch_positions())[0]["contracts"] == 1

    drive(scenario)


def test_an_attached_order_can_fail_after_the_fill() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.venue.algos.attach_failures.append(("51280", "SL trigger price cannot be higher than the last price"))
        stop = {"stopLoss": {"triggerPrice": 49000}, "clOrdId": "entry1"}
        await client.create_order(SWAP, "market", "buy", 1, None, ISOLATED | stop)
        row = (await client.fetch_order("", SWAP, {"clOrdId": "entry1"}))["info"]
        assert (row["state"], row["attachAlgoOrds"][0]["failCode"]) == ("filled", "51280")
        assert okx.venue.algos.open_algos() == []

    drive(scenario)


def test_an_entry_filled_in_part_and_canceled_is_naked_unless_the_rules_say_otherwise() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        stop = {"stopLoss": {"triggerPrice": 49000}}
        placed = await client.create_order(SWAP, "limit", "buy", 2, 49900, ISOLATED | stop)
        okx.venue.print_trade(BTC, "49900", "0.5", "sell")
        await client.cancel_order(placed["id"], SWAP)
        sizes = [algo.asked("sz") for algo in okx.venue.algos.open_algos()]
        assert sizes == (["0.5"] if okx.rules.attach_after_partial_fill else [])

    drive(scenario)
    drive(scenario, rules=Rules(attach_after_partial_fill=True))


def test_an_attached_stop_outlives_the_position_and_opens_the_opposite_one() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        await client.create_order(SWAP, "market", "buy", 1, None, ISOLATED | {"stopLoss": {"triggerPrice": 49000}})
        await client.create_order(SWAP, "market", "sell", 1, None, ISOLATED)
        okx.venue.set_price(BTC, "48900")
        held = okx.venue.account.open_positions()
        assert [position.direction for position in held] == ([] if okx.rules.attached_reduce_only else [-1])

    drive(scenario)
    drive(scenario, rules=Rules(attached_reduce_only=True))


@pytest.mark.parametrize(
    ("attached", "code"),
    [
        ({"stopLoss": {"triggerPrice": 49900}}, "51047"),
        ({"takeProfit": {"triggerPrice": 49900}}, "51046"),
        ({"attachAlgoOrds": [{"slTriggerPx": "49000"}]}, "51000"),
        ({"reduceOnly": True, "stopLoss": {"triggerPrice": 49000}}, "51333"),
    ],
)
def test_attached_prices_on_the_wrong_side_are_refused(attached: dict[str, object], code: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        with pytest.raises(ccxt.ExchangeError, match=code):
            await client.create_order(SWAP, "limit", "buy", 1, 49900, ISOLATED | attached)

    drive(scenario)


def test_spot_triggers_watch_the_last_price_only() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.control.transfer("BTC", "1")
        spot = {"instId": "BTC-USDT", "tdMode": "cash", "closeFraction": None, "reduceOnly": None, "sz": "0.5"}
        assert (await place(client, **spot))["sCode"] == "51415"
        assert (await place(client, slTriggerPxType="last", **spot))["sCode"] == "0"
        okx.venue.set_price("BTC-USDT", "49000")
        assert (await client.fetch_my_trades(SPOT))[0]["amount"] == 0.5

    drive(scenario)
