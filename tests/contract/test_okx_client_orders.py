"""The trading client places, changes and cancels every kind of order at the fake OKX, in both position modes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.events.common import Liquidity, MarginMode, OrderType, PositionSide, Side, TriggerPriceType
from services.gateways.okx.facts import OrderStatus, PositionMode
from services.gateways.okx.venue import Accepted, Refused
from tests.fakes.okx import Rules
from tests.okx_desk import BTC, Desk, at_desk, d
from tests.orders_at_okx import SPOT, amended, intended, market, order_id, stop, stop_entry, target

LONG_SHORT = PositionMode.LONG_SHORT


def sent(desk: Desk, path: str) -> list[Any]:
    """Return the bodies of the requests to a path."""
    return [json.loads(body) for name, body in desk.okx.requests if name == path]


def test_a_limit_entry_rests_with_id_tag_and_exact_numbers() -> None:
    async def scenario(desk: Desk) -> None:
        accepted = await desk.submit(intended("a", limit_price="79000.1"))
        assert accepted.ts_in is not None
        assert accepted.ts_out is not None
        assert abs(accepted.ts_in - desk.now()) < 5_000_000
        order = await desk.client.find_order(order_id("a"), BTC, is_algo=False)
        assert order is not None
        assert (order.venue_order_id, order.status, order.type) == (
            accepted.venue_order_id,
            OrderStatus.RESTING,
            OrderType.LIMIT,
        )
        assert (order.limit_price, order.quantity, order.tag) == (d("79000.1"), d("0.5"), "tapelineentry")
        assert (order.side, order.reduce_only, order.is_algo) == (Side.BUY, False, False)

    at_desk(scenario)


def test_a_partial_fill_then_the_rest() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(intended("a", limit_price="79900", quantity="2"))
        desk.okx.venue.print_trade(BTC, "79900", "0.5", "sell")
        part = await desk.client.find_order(order_id("a"), BTC, is_algo=False)
        assert part is not None
        assert (part.status, part.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, d("0.5"))
        desk.okx.venue.print_trade(BTC, "79890", "9", "sell")
        whole = await desk.client.find_order(order_id("a"), BTC, is_algo=False)
        assert whole is not None
        assert (whole.status, whole.filled_quantity, whole.avg_price) == (OrderStatus.FILLED, d(2), d(79900))
        fills = await desk.client.fills(desk.now() - 60_000_000)
        assert [fill.last_quantity for fill in fills] == [d("0.5"), d("1.5")]
        # 0.5 contracts x 0.01 BTC x 79,900 = 399.5 USDT; 2 bps maker fee = 0.0799, paid.
        assert (fills[0].fee, fills[0].fee_currency, fills[0].liquidity) == (d("0.0799"), "USDT", Liquidity.MAKER)
        assert {fill.client_order_id for fill in fills} == {order_id("a")}

    at_desk(scenario)


def test_a_market_entry_its_position_and_a_market_exit() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="3"))
        (held,) = await desk.client.positions()
        assert (held.quantity, held.avg_entry_price, held.margin_mode) == (d(3), d("80000.1"), MarginMode.ISOLATED)
        assert held.position_side is None
        exit_order = market("x", quantity="3", side=Side.SELL, reduce_only=True)
        await desk.submit(exit_order)
        assert await desk.client.positions() == []
        order = await desk.client.find_order(order_id("x"), BTC, is_algo=False)
        assert order is not None
        assert order.reduce_only

    at_desk(scenario)


def test_a_short_position_is_negative() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", side=Side.SELL, position_side=PositionSide.SHORT))
        assert [held.quantity for held in await desk.client.positions()] == [d("-0.5")]

    at_desk(scenario)


def test_post_only_that_would_take_is_taken_off_by_the_venue() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(intended("p", limit_price="81000", post_only=True))
        order = await desk.client.find_order(order_id("p"), BTC, is_algo=False)
        assert order is not None
        assert (order.status, order.cancel_code, order.filled_quantity) == (OrderStatus.CANCELED, "31", d(0))

    at_desk(scenario)


def test_a_spot_market_buy_spends_what_it_says_and_pays_in_base() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("s", **SPOT, quantity="0.1"))
        (fill,) = await desk.client.fills(desk.now() - 60_000_000)
        assert (fill.last_quantity, fill.fee_currency) == (d("0.1"), "BTC")
        assert fill.fee == d("0.0001")  # 0.1 % taker, in base
        order = await desk.client.find_order(order_id("s"), "BTC-USDT", is_algo=False)
        assert order is not None
        assert (order.quantity, order.filled_quantity) == (d("0.1"), d("0.1"))
        await desk.submit(market("t", **SPOT, quantity="0.0999", side=Side.SELL))
        sold = (await desk.client.fills(desk.now() - 60_000_000))[-1]
        assert (sold.side, sold.fee_currency, sold.last_quantity) == (Side.SELL, "USDT", d("0.0999"))

    at_desk(scenario)


def test_a_spot_market_buy_takes_more_than_the_best_level_but_not_more_than_its_slippage() -> None:
    async def scenario(desk: Desk) -> None:
        market_of_pair = desk.okx.venue.market("BTC-USDT")
        market_of_pair.replace_book([("79999.9", "1")], [("80000.1", "0.05"), ("80100", "0.05"), ("82000", "5")])
        await desk.submit(market("a", **SPOT, quantity="0.08"))
        order = market("b", **SPOT, quantity="0.04")
        refused = await desk.client.submit(order, desk.instrument(order))
        assert isinstance(refused, Refused)
        assert (refused.code, refused.retryable) == ("54084", False)

    at_desk(scenario)


def test_a_spot_market_buy_above_the_cash_is_refused_and_not_cut() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.venue.account.cash["USDT"] = d("8000")
        order = market("a", **SPOT, quantity="0.2")
        refused = await desk.client.submit(order, desk.instrument(order))
        assert isinstance(refused, Refused)
        assert refused.code == "51008"

    at_desk(scenario)


def test_a_spot_order_names_its_quote_currency_where_that_is_mandatory() -> None:
    async def scenario(desk: Desk) -> None:
        desk.okx.venue.rules.quote_currency_named = True
        orders = [market("a", **SPOT, quantity="0.1"), stop_entry("e", **SPOT, quantity="0.01"),
                  intended("l", **SPOT, quantity="0.01", limit_price="79000")]  # fmt: skip
        for order in (*orders, market("s")):  # a swap has none to name
            await desk.submit(order)
        paths = ("trade/order", "trade/order-algo")
        assert [body.get("tradeQuoteCcy") for path in paths for body in sent(desk, path)] == [
            "USDT",
            "USDT",
            None,
            "USDT",
        ]

    at_desk(scenario)


def test_a_protective_stop_rests_is_amended_fires_on_the_mark_and_closes() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        await desk.submit(stop("s"))
        resting = await desk.client.find_order(order_id("s"), BTC, is_algo=True)
        assert resting is not None
        assert (resting.status, resting.is_algo, resting.reduce_only) == (OrderStatus.RESTING, True, True)
        assert (resting.trigger_price, resting.trigger_price_type) == (d(79000), TriggerPriceType.MARK)
        change = amended(stop("s"), quantity="0.3", trigger_price="79500")
        assert isinstance(await desk.client.amend(change, stop("s"), desk.instrument(stop("s"))), Accepted)
        moved = await desk.client.find_order(order_id("s"), BTC, is_algo=True)
        assert moved is not None
        assert (moved.quantity, moved.trigger_price) == (d("0.3"), d(79500))
        desk.okx.venue.set_mark(BTC, "79499")
        fired = await desk.client.find_order(order_id("s"), BTC, is_algo=True)
        assert fired is not None
        assert (fired.status, fired.filled_quantity) == (OrderStatus.FILLED, d("0.3"))
        assert fired.avg_price == d("79999.9")  # the bid: only the mark moved
        assert [held.quantity for held in await desk.client.positions()] == [d("0.2")]
        exits = [fill for fill in await desk.client.fills(desk.now() - 60_000_000) if fill.side is Side.SELL]
        assert [fill.client_order_id for fill in exits] == [order_id("s")]

    at_desk(scenario)


def test_a_stop_that_fires_into_nothing_fails_without_opening_anything() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        await desk.submit(stop("s"))
        await desk.submit(market("x", side=Side.SELL, reduce_only=True))
        desk.okx.venue.set_mark(BTC, "78000")
        fired = await desk.client.find_order(order_id("s"), BTC, is_algo=True)
        assert fired is not None
        assert fired.status is OrderStatus.FAILED
        assert fired.cancel_code == "51169"
        assert await desk.client.positions() == []

    at_desk(scenario)


def test_a_stop_entry_waits_for_last_and_enters_at_market() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(stop_entry("e"))
        desk.okx.venue.set_mark(BTC, "82000")
        assert await desk.client.positions() == []
        desk.okx.venue.print_trade(BTC, "81000", "1", "buy")
        fired = await desk.client.find_order(order_id("e"), BTC, is_algo=True)
        assert fired is not None
        assert (fired.status, fired.filled_quantity, len(fired.child_order_ids)) == (OrderStatus.FILLED, d("0.5"), 1)
        assert [held.quantity for held in await desk.client.positions()] == [d("0.5")]

    at_desk(scenario)


def test_a_stop_entry_is_amended_by_its_own_trigger() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(stop_entry("e"))
        change = amended(stop_entry("e"), trigger_price="81500")
        assert isinstance(await desk.client.amend(change, stop_entry("e"), desk.instrument(stop_entry())), Accepted)
        found = await desk.client.find_order(order_id("e"), BTC, is_algo=True)
        assert found is not None
        assert found.trigger_price == d(81500)

    at_desk(scenario)


def test_a_spot_stop_entry_and_its_protection() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(stop_entry("e", **SPOT, quantity="0.01"))
        desk.okx.venue.set_price("BTC-USDT", "81001")
        desk.okx.venue.print_trade("BTC-USDT", "81001", "0.1", "buy")
        entered = await desk.client.find_order(order_id("e"), "BTC-USDT", is_algo=True)
        assert entered is not None
        assert (entered.status, entered.filled_quantity) == (OrderStatus.FILLED, d("0.01"))
        await desk.submit(stop("s", **SPOT, quantity="0.0099", trigger_price_type=TriggerPriceType.LAST))
        desk.okx.venue.set_price("BTC-USDT", "78999")
        desk.okx.venue.print_trade("BTC-USDT", "78999", "0.1", "sell")
        left = await desk.client.find_order(order_id("s"), "BTC-USDT", is_algo=True)
        assert left is not None
        assert (left.status, left.filled_quantity) == (OrderStatus.FILLED, d("0.0099"))

    at_desk(scenario)


def test_a_target_rests_is_amended_in_total_and_canceled() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", quantity="2"))
        order = target("t", quantity="2")
        await desk.submit(order)
        desk.okx.venue.print_trade(BTC, "82000", "0.5", "buy")
        change = amended(order, quantity="1")
        assert isinstance(await desk.client.amend(change, order, desk.instrument(order)), Accepted)
        found = await desk.client.find_order(order_id("t"), BTC, is_algo=False)
        assert found is not None
        assert (found.quantity, found.filled_quantity) == (d(1), d("0.5"))
        assert isinstance(await desk.client.cancel(order), Accepted)
        again = await desk.client.cancel(order)
        assert isinstance(again, Refused)
        assert again.code == "51400"
        gone = await desk.client.find_order(order_id("t"), BTC, is_algo=False)
        assert gone is not None
        assert (gone.status, gone.filled_quantity) == (OrderStatus.CANCELED, d("0.5"))

    at_desk(scenario)


def test_cancels_of_stops_go_to_the_algo_orders() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        for order in (stop("s"), stop_entry("e")):
            await desk.submit(order)
            assert isinstance(await desk.client.cancel(order), Accepted)
            found = await desk.client.find_order(order.client_order_id, BTC, is_algo=True)
            assert found is not None
            assert found.status is OrderStatus.CANCELED
        late = await desk.client.amend(amended(stop("s"), quantity="0.2"), stop("s"), desk.instrument(stop()))
        assert isinstance(late, Refused)
        assert late.code == "51503"

    at_desk(scenario)


@pytest.mark.parametrize("side", list(PositionSide))
def test_long_short_mode_opens_protects_and_closes_either_side(side: PositionSide) -> None:
    opening, closing = (Side.BUY, Side.SELL) if side is PositionSide.LONG else (Side.SELL, Side.BUY)
    trigger = "79000" if side is PositionSide.LONG else "81000"

    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m", side=opening, position_side=side))
        (held,) = await desk.client.positions()
        assert (held.position_side, held.quantity) == (side, d("0.5" if side is PositionSide.LONG else "-0.5"))
        protection = stop("s", side=closing, position_side=side, trigger_price=trigger)
        await desk.submit(protection)
        desk.okx.venue.set_mark(BTC, trigger)
        assert await desk.client.positions() == []
        assert all("reduceOnly" not in body for body in sent(desk, "trade/order") + sent(desk, "trade/order-algo"))

    at_desk(scenario, mode=LONG_SHORT)


def test_both_sides_may_be_held_at_once_in_long_short_mode() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("l", quantity="2"))
        await desk.submit(market("s", side=Side.SELL, position_side=PositionSide.SHORT))
        held = {row.position_side: row.quantity for row in await desk.client.positions()}
        assert held == {PositionSide.LONG: d(2), PositionSide.SHORT: d("-0.5")}

    at_desk(scenario, mode=LONG_SHORT)


def test_no_id_or_tag_of_ccxt_reaches_the_venue() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(intended("a", limit_price="79000"))
        await desk.submit(market("m"))
        await desk.submit(stop("s"))
        await desk.submit(stop_entry("e"))
        for body in sent(desk, "trade/order") + sent(desk, "trade/order-algo"):
            assert body.get("tag", "tapelineentry") == "tapelineentry"
            assert set(map(order_id, "amse")) >= {body["clOrdId"], body.get("algoClOrdId", body["clOrdId"])}

    at_desk(scenario)


def test_an_order_past_its_time_is_refused_by_us_and_by_the_venue() -> None:
    async def scenario(desk: Desk) -> None:
        late = intended("l", valid_until=desk.now() - 2_000_000)
        ours = await desk.client.submit(late, desk.instrument(late))
        assert isinstance(ours, Refused)
        assert ours.code == "PAST_VALID_UNTIL"
        assert sent(desk, "trade/order") == []
        soon = intended("v", valid_until=desk.now() + 8_000_000)
        desk.okx.clock.advance(seconds=20)  # it arrives late: our clock does not know
        theirs = await desk.client.submit(soon, desk.instrument(soon))
        assert isinstance(theirs, Refused)
        assert theirs.code == "50036"
        assert await desk.client.find_order(order_id("v"), BTC, is_algo=False) is None

    at_desk(scenario)


def test_without_a_time_of_its_own_an_order_still_has_a_deadline() -> None:
    async def scenario(desk: Desk) -> None:
        order = target("t")
        await desk.submit(market("m"))
        desk.okx.clock.advance(seconds=11)
        outcome = await desk.client.submit(order, desk.instrument(order))
        assert isinstance(outcome, Refused)
        assert outcome.code == "50036"

    at_desk(scenario)


def test_what_cannot_be_sent_never_leaves() -> None:
    async def scenario(desk: Desk) -> None:
        for order in (intended(quantity="0.005"), stop(trigger_price="79000.05")):
            outcome = await desk.client.submit(order, desk.instrument(order))
            assert isinstance(outcome, Refused)
            assert outcome.code == "NOT_SENDABLE"
        change = await desk.client.amend(amended(stop()), stop(), desk.instrument(stop()))
        assert isinstance(change, Refused)
        assert not sent(desk, "trade/order") + sent(desk, "trade/order-algo") + sent(desk, "trade/amend-algos")

    at_desk(scenario)


def test_orders_that_the_matching_engine_holds_back_are_not_filled() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.submit(market("m"))
        order = await desk.client.find_order(order_id("m"), BTC, is_algo=False)
        assert order is not None
        assert order.status is OrderStatus.RESTING
        assert await desk.client.positions() == []

    at_desk(scenario, rules=Rules(matching=False))
