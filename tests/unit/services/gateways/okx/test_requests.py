"""Intents in OKX's words: exact text, the right endpoint, and nothing that OKX would read another way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events.common import MarginMode, OrderPurpose, PositionSide, QuantityUnit, Side, TriggerPriceType
from schemas.events.orders import OrderIntended
from services.gateways.okx import requests
from services.gateways.okx.facts import PositionMode
from services.gateways.okx.requests import NotSendable, Request
from tests.builders import btc_spot, btc_swap
from tests.orders_at_okx import SPOT, amended, intended, market, order_id, stop, stop_entry, target

NET, LONG_SHORT = PositionMode.NET, PositionMode.LONG_SHORT


def swap(order: OrderIntended, mode: PositionMode = NET) -> dict[str, Any]:
    request = requests.place(order, btc_swap(), mode)
    assert isinstance(request.parameters, dict)
    return {"path": request.path, **request.parameters}


def spot(order: OrderIntended) -> dict[str, Any]:
    request = requests.place(order, btc_spot(), NET)
    assert isinstance(request.parameters, dict)
    return {"path": request.path, **request.parameters}


def test_a_limit_entry() -> None:
    assert swap(intended("a", quantity="10.860", limit_price="79999.9")) == {
        "path": "trade/order",
        "instId": "BTC-USDT-SWAP",
        "tdMode": "isolated",
        "side": "buy",
        "posSide": "net",
        "ordType": "limit",
        "sz": "10.86",
        "px": "79999.9",
        "clOrdId": order_id("a"),
        "tag": "tapelineentry",
    }


def test_post_only_and_cross() -> None:
    order = swap(intended(post_only=True, margin_mode=MarginMode.CROSS))
    assert (order["ordType"], order["tdMode"]) == ("post_only", "cross")


def test_a_market_order_has_no_price() -> None:
    order = swap(market(side=Side.SELL, position_side=PositionSide.SHORT))
    assert (order["ordType"], order["side"], "px" in order) == ("market", "sell", False)


def test_a_spot_market_buy_says_that_its_size_is_base() -> None:
    order = spot(market(**SPOT, quantity="0.12493753"))
    assert order["tgtCcy"] == "base_ccy"
    assert (order["banAmend"], order["slippagePct"], order["tradeQuoteCcy"]) == (True, "0.02", "USDT")
    assert (order["tdMode"], order["sz"]) == ("cash", "0.12493753")
    assert "posSide" not in order
    assert "reduceOnly" not in order
    sale = spot(market(**SPOT, quantity="0.1", side=Side.SELL))
    assert sale["tgtCcy"] == "base_ccy"
    assert not {"banAmend", "slippagePct"} & set(sale)
    assert not {"banAmend", "slippagePct", "tradeQuoteCcy"} & set(swap(market()))


def test_a_target_is_a_reduce_only_limit_without_the_entries_tag() -> None:
    order = swap(target())
    assert (order["reduceOnly"], order["px"], order["side"]) == (True, "82000", "sell")
    assert "tag" not in order
    assert "reduceOnly" not in spot(target(**SPOT))


def test_a_protective_stop_is_a_reduce_only_algo_order_at_market() -> None:
    assert swap(stop("s")) == {
        "path": "trade/order-algo",
        "instId": "BTC-USDT-SWAP",
        "tdMode": "isolated",
        "side": "sell",
        "posSide": "net",
        "reduceOnly": True,
        "ordType": "conditional",
        "sz": "0.5",
        "slTriggerPx": "79000",
        "slTriggerPxType": "mark",
        "slOrdPx": "-1",
        "algoClOrdId": order_id("s"),
        "clOrdId": order_id("s"),
    }


@pytest.mark.parametrize(("source", "text"), [("MARK", "mark"), ("LAST", "last"), ("INDEX", "index")])
def test_a_stop_watches_the_price_the_intent_names(source: str, text: str) -> None:
    assert swap(stop(trigger_price_type=TriggerPriceType(source)))["slTriggerPxType"] == text


def test_a_spot_stop_watches_last_and_has_no_reduce_only() -> None:
    order = spot(stop(**SPOT, trigger_price_type=TriggerPriceType.LAST))
    assert (order["side"], order["slTriggerPxType"]) == ("sell", "last")
    assert not {"reduceOnly", "tgtCcy", "posSide"} & set(order)


def test_a_stop_entry_into_a_swap_is_a_trigger_order() -> None:
    order = swap(stop_entry("e"))
    assert order["path"] == "trade/order-algo"
    assert (order["ordType"], order["triggerPx"], order["triggerPxType"], order["orderPx"]) == (
        "trigger", "81000", "last", "-1"
    )  # fmt: skip
    assert order["algoClOrdId"] == order_id("e")
    assert "reduceOnly" not in order


def test_a_stop_entry_into_spot_keeps_its_unit_as_a_conditional_order() -> None:
    order = spot(stop_entry(**SPOT))
    assert (order["ordType"], order["slTriggerPx"], order["tgtCcy"]) == ("conditional", "81000", "base_ccy")


@pytest.mark.parametrize(
    ("order", "side", "position_side"),
    [
        (intended(), "buy", "long"),
        (intended(side=Side.SELL, position_side=PositionSide.SHORT), "sell", "short"),
        (stop(), "sell", "long"),
        (stop(side=Side.BUY, position_side=PositionSide.SHORT), "buy", "short"),
        (target(), "sell", "long"),
    ],
)
def test_long_short_mode_names_the_position_and_knows_no_reduce_only(
    order: OrderIntended, side: str, position_side: str
) -> None:
    sent = swap(order, LONG_SHORT)
    assert (sent["side"], sent["posSide"], "reduceOnly" in sent) == (side, position_side, False)


@pytest.mark.parametrize(
    "order", [stop(side=Side.BUY), intended(side=Side.SELL), target(position_side=PositionSide.SHORT)]
)
def test_in_long_short_mode_an_order_that_would_open_by_mistake_is_not_sent(order: OrderIntended) -> None:
    with pytest.raises(NotSendable, match="reduce_only"):
        swap(order, LONG_SHORT)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quantity": "0.005"}, "quantity=0.005: no positive multiple of the lot 0.01"),
        ({"quantity": "0"}, "no positive multiple"),
        ({"quantity": "-1"}, "no positive multiple"),
        ({"limit_price": "80000.05"}, "limit_price=80000.05: no positive multiple of the tick 0.1"),
        ({"limit_price": None}, "limit_price=missing"),
        ({"limit_price": "0"}, "limit_price=0"),
        ({"client_order_id": "a-b"}, "client_order_id='a-b'"),
        ({"client_order_id": "x" * 33}, "1 to 32 letters and digits"),
        ({"client_order_id": ""}, "client_order_id=''"),
        ({"client_order_id": "ordré"}, "1 to 32 letters and digits"),
        ({"quantity_unit": QuantityUnit.BASE}, "quantity_unit=BASE: BTC-USDT-SWAP counts CONTRACT"),
        ({"margin_mode": MarginMode.CASH}, "margin_mode=CASH: not for SWAP"),
        ({"instrument_id": "ETH-USDT-SWAP"}, "the instrument given is BTC-USDT-SWAP"),
        ({"side": Side.UNKNOWN}, "side=UNKNOWN"),
    ],
)
def test_what_cannot_be_written_exactly_is_not_sent(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(NotSendable) as refused:
        swap(intended(**changes))
    assert says in str(refused.value)


def test_more_that_is_not_sent() -> None:
    with pytest.raises(NotSendable, match="a market order takes"):
        swap(market(post_only=True))
    with pytest.raises(NotSendable, match=r"below the minimum 0\.00001"):
        spot(intended(**SPOT, quantity="0.00000999"))
    with pytest.raises(NotSendable, match="QUOTE"):
        spot(market(**{**SPOT, "quantity_unit": QuantityUnit.QUOTE}))
    with pytest.raises(NotSendable, match="spot has LAST only"):
        spot(stop(**SPOT))
    with pytest.raises(NotSendable, match="must say what it watches"):
        swap(stop(trigger_price_type=None))
    with pytest.raises(NotSendable, match=r"trigger_price=79000\.05"):
        swap(stop(trigger_price="79000.05"))


@given(lots=st.integers(min_value=1, max_value=10**9), ticks=st.integers(min_value=1, max_value=10**8))
def test_every_multiple_of_lot_and_tick_is_written_exactly(lots: int, ticks: int) -> None:
    quantity, price = Decimal(lots) * Decimal("0.01"), Decimal(ticks) * Decimal("0.1")
    order = swap(intended(quantity=str(quantity), limit_price=str(price)))
    assert Decimal(order["sz"]) == quantity
    assert Decimal(order["px"]) == price
    assert not {"e", "E", "+"} & set(order["sz"] + order["px"])


def amend(order: OrderIntended, **change: str) -> Request:
    return requests.amend(amended(order, **change), order, btc_swap())


def test_amendments_carry_the_new_total_and_the_kind_of_the_order() -> None:
    assert amend(target("t"), quantity="0.30") == Request(
        "trade/amend-order", {"instId": "BTC-USDT-SWAP", "newSz": "0.3", "clOrdId": order_id("t")}, algo=False
    )
    assert amend(stop("s"), quantity="0.3", trigger_price="79500.0") == Request(
        "trade/amend-algos",
        {
            "instId": "BTC-USDT-SWAP",
            "newSz": "0.3",
            "newSlTriggerPx": "79500",
            "newSlTriggerPxType": "mark",
            "newSlOrdPx": "-1",
            "algoClOrdId": order_id("s"),
        },
        algo=True,
    )
    assert amend(stop_entry("e"), trigger_price="81500").parameters == {
        "instId": "BTC-USDT-SWAP", "newTriggerPx": "81500", "newTriggerPxType": "last", "newOrdPx": "-1",
        "algoClOrdId": order_id("e"),
    }  # fmt: skip


def test_an_amendment_that_makes_no_sense_is_not_sent() -> None:
    with pytest.raises(NotSendable, match="nothing to change"):
        amend(stop())
    with pytest.raises(NotSendable, match="only a stop has one"):
        amend(target(), trigger_price="79500")
    with pytest.raises(NotSendable, match="no positive multiple of the lot"):
        amend(stop(), quantity="0.305")
    with pytest.raises(NotSendable, match="the change is for"):
        requests.amend(amended(stop("s")), stop("other"), btc_swap())


def test_cancels_go_where_the_order_lives() -> None:
    assert requests.cancel(target("t")) == Request(
        "trade/cancel-order", {"instId": "BTC-USDT-SWAP", "clOrdId": order_id("t")}, algo=False
    )
    assert requests.cancel(stop("s")) == Request(
        "trade/cancel-algos", [{"instId": "BTC-USDT-SWAP", "algoClOrdId": order_id("s")}], algo=True
    )
    assert requests.cancel(stop_entry("e", purpose=OrderPurpose.ENTRY)).algo
