"""OKX's private rows in our words: every recorded payload, and what each means."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events.common import Liquidity, MarginMode, OrderType, PositionSide, QuantityUnit, Side, TriggerPriceType
from services.gateways.okx import replies
from services.gateways.okx.facts import (
    BillKind,
    Category,
    OrderStatus,
    PositionMode,
    VenueExecution,
    VenueOrder,
)
from services.gateways.okx.fields import PayloadError, text
from services.gateways.okx.updates import Reader
from tests.okx_payloads import OUTCOMES, PRIVATE, PUBLIC, SHAPES, Recorded

D = Decimal
pytestmark = pytest.mark.recorded


@pytest.fixture
def recorded(shared_data: Path) -> Recorded:
    return Recorded(shared_data / "okx" / "payloads")


def test_no_recorded_payload_is_left_out(recorded: Recorded) -> None:
    named = {name for names in PRIVATE.values() for name in names} | OUTCOMES | PUBLIC | SHAPES
    assert named == {str(path.relative_to(recorded.folder)) for path in recorded.folder.rglob("*") if path.is_file()}


def test_what_is_said_to_be_read_elsewhere_is_read_there() -> None:
    here = Path(__file__).parent
    market = here.parents[1] / "test_okx_market_payloads.py"
    for module, names in ((here / "test_outcomes.py", OUTCOMES), (market, PUBLIC), (Path(__file__), SHAPES)):
        text = module.read_text()
        text += "".join(
            f"http_get_instruments_{kind.lower()}" for kind in ("FUTURES", "MARGIN", "OPTION") if kind in text
        )
        assert [name for name in sorted(names) if Path(name).stem not in text] == [], module.name


def test_a_filled_market_order_and_its_fill(recorded: Recorded) -> None:
    row = recorded.row("ws_orders")
    order = replies.order(row)
    assert (order.client_order_id, order.venue_order_id) == ("001BTCUSDT20250106001", "2497956918703120384")
    assert (order.type, order.status, order.side) == (OrderType.MARKET, OrderStatus.FILLED, Side.BUY)
    assert (order.position_side, order.quantity_unit) == (PositionSide.LONG, QuantityUnit.CONTRACT)
    assert (order.quantity, order.filled_quantity, order.avg_price) == (D("0.03"), D("0.03"), D("103698.9"))
    assert (order.limit_price, order.trigger_price, order.is_algo) == (None, None, False)
    assert (order.ts_created, order.ts_updated) == (1746947317401000, 1746947317402000)
    assert replies.has_execution(row)
    fill = replies.execution_of_update(row)
    assert (fill.trade_id, fill.last_quantity, fill.last_price) == ("1518905529", D("0.03"), D("103698.9"))
    assert (fill.fee, fill.fee_currency) == (D("0.021776769"), "USDT")  # OKX wrote -0.021776769: it was paid
    assert (fill.liquidity, fill.category, fill.ts_event) == (Liquidity.MAKER, Category.NORMAL, 1746947317402000)


def test_a_resting_limit_order(recorded: Recorded) -> None:
    row = recorded.row("http_get_orders_pending")
    order = replies.order(row)
    assert (order.client_order_id, order.status, order.type) == (
        "client-order-1",
        OrderStatus.RESTING,
        OrderType.LIMIT,
    )
    assert (order.limit_price, order.quantity, order.filled_quantity) == (D(103500), D("0.10"), D(0))
    assert order.avg_price is None  # "0" is no price
    assert not replies.has_execution(row)  # tradeId "0", fillSz "0"


def test_an_order_without_an_id_of_ours_belongs_to_nobody_we_know(recorded: Recorded) -> None:
    assert replies.order(recorded.row("http_get_orders_history")).client_order_id is None


def test_attached_stops_are_not_orders_of_their_own(recorded: Recorded) -> None:
    order = replies.order(recorded.row("http_get_orders_pending_with_attached_tp_sl"))
    assert (order.client_order_id, order.trigger_price, order.child_order_ids) == ("O-attached-entry", None, ())


def test_a_liquidation_and_an_adl_are_the_venues_acts(recorded: Recorded) -> None:
    liquidation = recorded.row("ws_orders_liquidation")
    assert replies.order(liquidation).category is Category.LIQUIDATION
    fill = replies.execution_of_update(liquidation)
    assert (fill.category, fill.client_order_id, fill.fee, fill.last_quantity) == (
        Category.LIQUIDATION,
        None,
        D(20),
        D("0.5"),
    )
    assert (fill.side, fill.position_side) == (Side.SELL, PositionSide.LONG)
    adl = replies.execution_of_update(recorded.row("ws_orders_adl"))
    assert (adl.category, adl.side, adl.position_side, adl.fee) == (
        Category.ADL,
        Side.BUY,
        PositionSide.SHORT,
        D("12.3"),
    )


def test_the_order_that_a_triggered_algo_order_became(recorded: Recorded) -> None:
    row = recorded.row("ws_orders_trigger")
    known = {"706620792746729474": "STOP003BTCUSDT20250120"}
    assert replies.order(row).client_order_id == "706620792746729474_0"
    assert replies.order(row, known.get).client_order_id == "STOP003BTCUSDT20250120"
    fill = replies.execution_of_update(row, known.get)
    assert (fill.client_order_id, fill.fee, fill.last_price) == ("STOP003BTCUSDT20250120", D("0.02039"), D(101950))
    named = {**row, "algoClOrdId": "named"}
    assert replies.order(named, known.get).client_order_id == "named"


def test_immediate_orders_on_spot_are_limits_in_base(recorded: Recorded) -> None:
    filled, partial = replies.order(recorded.row("ws_orders_fok")), replies.order(recorded.row("ws_orders_ioc"))
    assert (filled.type, filled.quantity_unit, filled.position_side) == (OrderType.LIMIT, QuantityUnit.BASE, None)
    assert (partial.status, partial.filled_quantity, partial.quantity) == (
        OrderStatus.PARTIALLY_FILLED,
        D("0.02"),
        D("0.05"),
    )
    assert replies.order(recorded.row("ws_orders_optimal_limit_ioc")).type is OrderType.MARKET


def test_an_option_order_is_somebody_elses_but_readable(recorded: Recorded) -> None:
    fill = replies.execution_of_update(recorded.row("ws_orders_option"))
    assert (fill.fee, fill.fee_currency, fill.last_price) == (D("0.0003"), "BTC", D("0.0325"))


def test_spread_orders_and_trades_go_by_their_spread(recorded: Recorded) -> None:
    resting = replies.order(recorded.row("ws_sprd_orders"))
    assert (resting.instrument_id, resting.status, resting.limit_price) == (
        "BCH-USDT_BCH-USDT-SWAP", OrderStatus.RESTING, D(1)
    )  # fmt: skip
    partial = replies.order(recorded.row("http_get_spread_orders"))
    assert (partial.status, partial.filled_quantity, partial.avg_price) == (
        OrderStatus.PARTIALLY_FILLED, D(5), D("1.2")
    )  # fmt: skip
    fill = replies.execution(recorded.row("http_get_spread_trades"))
    assert (fill.instrument_id, fill.trade_id, fill.fee) == ("ETH-USD-SWAP_ETH-USD-231229", "9001", D("0.01"))


def test_a_spot_order_in_quote_reports_its_fills_in_base(recorded: Recorded) -> None:
    maker, live, partial, done = recorded.rows("gocryptotrader/wsOrders.json")
    first = replies.execution_of_update(maker)
    assert (first.liquidity, first.fee, first.last_quantity) == (Liquidity.MAKER, D("0.02522168"), D("0.001"))
    order = replies.order(live)
    assert (order.quantity, order.quantity_unit, order.side) == (D(10), QuantityUnit.QUOTE, Side.SELL)
    assert not replies.has_execution(live)
    fill = replies.execution_of_update(partial)
    assert (fill.last_quantity, fill.last_price, fill.fee) == (D("0.00038128"), D("26228.1"), D("0.010000249968"))
    assert replies.order(done).status is OrderStatus.FILLED
    assert not replies.has_execution(done)  # the fill came with the message before


def test_algo_orders_in_every_recorded_state(recorded: Recorded) -> None:
    orders = [replies.algo_order(row) for row in recorded.rows("nautilus/ws_orders_algo.json")]
    assert [order.status for order in orders] == [
        OrderStatus.RESTING, OrderStatus.RESTING, OrderStatus.TRIGGERED, OrderStatus.CANCELED, OrderStatus.FILLED
    ]  # fmt: skip
    assert [order.trigger_price for order in orders] == [D(95000), D(105000), D(102000), D(98000), D(103000)]
    assert [order.trigger_price_type for order in orders] == [
        TriggerPriceType.LAST, TriggerPriceType.MARK, TriggerPriceType.LAST, TriggerPriceType.INDEX,
        TriggerPriceType.LAST,
    ]  # fmt: skip
    assert [order.limit_price for order in orders] == [None, D(106000), None, D(98500), D(102900)]
    assert [order.child_order_ids for order in orders] == [
        (), (), ("706620792746729999",), (), ("706620792746730000",)
    ]  # fmt: skip
    assert [order.reduce_only for order in orders] == [True, False, True, False, True]
    assert all(order.is_algo and order.type is OrderType.STOP for order in orders)
    assert orders[0].client_order_id == "STOP001BTCUSDT20250120"


def test_algo_orders_over_rest(recorded: Recorded) -> None:
    done = replies.algo_order(recorded.row("http_get_orders_algo_history"))
    assert (done.status, done.child_order_ids, done.position_side) == (
        OrderStatus.TRIGGERED, ("ord_456",), PositionSide.SHORT
    )  # fmt: skip
    resting = replies.algo_order(recorded.row("http_get_orders_algo_pending"))
    assert (resting.status, resting.client_order_id, resting.limit_price) == (
        OrderStatus.RESTING, "client_algo_1", D(40000)
    )  # fmt: skip
    both = replies.algo_order(recorded.row("http_get_orders_algo_pending_attached_oco"))
    assert (both.trigger_price, both.limit_price, both.reduce_only) == (
        D(39000),
        None,
        True,
    )  # the stop, not the target
    whole = replies.algo_order(recorded.row("http_get_orders_algo_pending_close_fraction"))
    assert (whole.quantity, whole.trigger_price, whole.position_side) == (D(0), D(50000), None)


def test_fills_over_rest_and_the_sign_of_their_fee(recorded: Recorded) -> None:
    fill = replies.execution(recorded.row("http_transaction_detail"))
    assert (fill.fee, fill.fee_currency, fill.client_order_id) == (D("-0.042"), "USDT", "client_123")  # a rebate
    assert (fill.last_quantity, fill.ts_event, fill.liquidity) == (D("0.001"), 1625097600000000, Liquidity.TAKER)
    assert replies.execution(recorded.row("http_transaction_detail_empty_fee")).fee == 0


def test_positions_balances_and_fees(recorded: Recorded) -> None:
    held = replies.holding(recorded.row("http_get_positions"))
    assert (held.instrument_id, held.quantity, held.position_side) == ("BTC-USDT-SWAP", D("0.5"), PositionSide.LONG)
    assert (held.margin_mode, held.margin_leverage, held.margin) == (MarginMode.ISOLATED, D(10), D("0.5"))
    assert (held.avg_entry_price, held.liquidation_price) == (D(10000), D(9000))
    (usdt,) = replies.balances(recorded.row("http_get_account_balance"))
    assert (usdt.currency, usdt.cash, usdt.frozen) == ("USDT", D("94.426129903333"), D("5.468566666667"))
    assert usdt.equity == D("99.89469657")
    pushed = replies.balances(recorded.row("ws_account"))
    assert [row.currency for row in pushed] == ["USDT", "BTC", "ETH"]
    assert pushed[1].cash == D("0.0000000051")
    assert replies.balances(recorded.row("ws_account_empty")) == []
    for name in ("http_balance_detail_new_fields", "http_balance_detail_old_fields"):
        assert replies.balance(recorded.row(name)).available == 100
    fees = replies.fee_rates(recorded.row("http_get_trade_fee_response"))
    assert (fees.maker, fees.taker) == (D("0.0008"), D("0.001"))
    assert replies.position_mode(recorded.row("http_set_position_mode_response")) is PositionMode.LONG_SHORT


GROUPS = [
    {"groupId": "1", "maker": "-0.0002", "taker": "-0.0005"},
    {"groupId": "4", "maker": "0.0001", "taker": "-0.001"},
    {"groupId": "7", "maker": "-0.003", "taker": "-0.003"},
]


@pytest.mark.parametrize(
    ("groups", "maker", "taker"),
    [({"1"}, "0.0002", "0.0005"), ({"4"}, "-0.0001", "0.001"), ({"1", "4"}, "0.0002", "0.001"),
     (set(), "0.003", "0.003"), ({"1", "9"}, "0.003", "0.003"), ({"1", ""}, "0.003", "0.003")],
)  # fmt: skip
def test_fees_are_the_worst_of_the_groups_that_matter(groups: set[str], maker: str, taker: str) -> None:
    row = {"maker": "", "taker": "", "makerU": "", "takerU": "", "feeGroup": GROUPS}
    found = replies.fee_rates(row, groups)
    assert (found.maker, found.taker) == (D(maker), D(taker))


def test_without_groups_the_fields_of_before_count_and_without_both_nothing_is_guessed() -> None:
    old = {"maker": "-0.0008", "taker": "-0.001", "makerU": "-0.0002", "takerU": "-0.0005"}
    assert replies.fee_rates({**old, "feeGroup": []}, {"1"}).taker == D("0.0005")
    assert replies.fee_rates({**old, "makerU": ""}, {"1"}).taker == D("0.001")
    for row in ({"maker": "", "feeGroup": []}, {"feeGroup": [{"groupId": "1", "maker": "-0.1"}]}, {"feeGroup": "1"}):
        with pytest.raises(PayloadError):
            replies.fee_rates(row, {"1"})


def test_a_closed_position_adds_up(recorded: Recorded) -> None:
    closed = replies.closed_position(recorded.row("http_get_account_positions-history"))
    assert (closed.realized_pnl, closed.gross_pnl, closed.fees) == (D("-0.06646211"), D("-0.0213"), D("0.04516211"))
    assert closed.unexplained == 0  # -0.0213 - 0.04516211


def test_an_absent_field_may_be_empty_or_null(recorded: Recorded) -> None:
    rows = json.loads((recorded.folder / "nautilus" / "common_optional_string_to_u64.json").read_text())
    assert [text(row, "value") for row in rows] == ["12345", "", ""]


# --- What no recording shows, from the documentation's own examples and rules


def bill(**changes: str) -> dict[str, str]:
    return {
        "billId": "623950854533513219", "type": "8", "subType": "173", "instId": "BTC-USDT-SWAP", "ccy": "USDT",
        "balChg": "0", "posBalChg": "-0.87014012", "pnl": "-0.87014012", "fee": "0", "sz": "10.86", "px": "80123.4",
        "clOrdId": "", "ordId": "", "tradeId": "", "ts": "1695033476167", **changes,
    }  # fmt: skip


def test_funding_paid_from_the_positions_margin_and_received_to_the_account() -> None:
    paid = replies.bill(bill())
    assert (paid.kind, paid.venue_type, paid.amount) == (BillKind.FUNDING, "8/173", D("-0.87014012"))
    assert (paid.price, paid.quantity, paid.client_order_id) == (D("80123.4"), D("10.86"), None)
    received = replies.bill(bill(subType="174", balChg="0.95607956", posBalChg="0", pnl="0.95607956"))
    assert (received.kind, received.amount) == (BillKind.FUNDING, D("0.95607956"))


@pytest.mark.parametrize(
    ("number", "kind"), [("1", "TRANSFER"), ("2", "TRADE"), ("5", "LIQUIDATION"), ("9", "ADL"), ("27", "OTHER")]
)
def test_other_lines_of_the_ledger(number: str, kind: str) -> None:
    line = replies.bill(bill(type=number, fee="-0.05"))
    assert (line.kind, line.fee) == (BillKind(kind), D("0.05"))


def position(**changes: str) -> dict[str, str]:
    return {
        "instId": "BTC-USDT-SWAP", "mgnMode": "cross", "posSide": "net", "pos": "-2.5", "avgPx": "80000", "lever": "3",
        "upl": "-0.0273000000000002", "uTime": "1622559930237", **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("side", "size", "signed"),
    [
        ("net", "-2.5", "-2.5"),
        ("net", "2.5", "2.5"),
        ("short", "2.5", "-2.5"),
        ("long", "2.5", "2.5"),
        ("net", "", "0"),
    ],
)
def test_a_short_position_is_negative_in_either_mode(side: str, size: str, signed: str | int) -> None:
    held = replies.holding(position(posSide=side, pos=size))
    assert held.quantity == D(signed)
    assert held.margin is None
    assert held.unrealized_pnl == D("-0.0273")


@pytest.mark.parametrize(
    ("subtype", "category"),
    [("1", "NORMAL"), ("5", "NORMAL"), ("", "NORMAL"), ("100", "LIQUIDATION"), ("107", "LIQUIDATION"), ("125", "ADL"),
     ("128", "ADL"), ("108", "NORMAL"), ("110", "NORMAL"), ("111", "NORMAL")],
)  # fmt: skip
def test_forced_fills_are_known_over_rest_too(recorded: Recorded, subtype: str, category: str) -> None:
    row = {**recorded.row("http_transaction_detail"), "subType": subtype}
    assert replies.execution(row).category is Category(category)


def test_a_forced_fill_without_liquidity_took(recorded: Recorded) -> None:
    row = {**recorded.row("ws_orders_liquidation"), "execType": ""}
    assert replies.execution_of_update(row).liquidity is Liquidity.TAKER
    with pytest.raises(PayloadError, match="execType='X'"):
        replies.execution_of_update({**row, "execType": "X"})


def test_the_dead_mans_switch_answers_in_seconds_or_milliseconds() -> None:
    times = [replies.switch_time({"triggerTime": text}) for text in ("1587971460", "1587971460000", "0")]
    assert times == [1587971460000000, 1587971460000000, None]


def test_the_child_of_an_algo_order_seen_before_is_known_by_it(recorded: Recorded) -> None:
    reader = Reader()
    algo = {"arg": {"channel": "orders-algo"}, "data": recorded.rows("nautilus/ws_orders_algo.json")}
    child = {"arg": {"channel": "orders"}, "data": recorded.rows("nautilus/ws_orders_trigger.json")}
    assert len(list(reader.read(algo))) == 5
    fill, order = reader.read(child)
    assert isinstance(fill, VenueExecution)
    assert isinstance(order, VenueOrder)
    assert fill.client_order_id == order.client_order_id == "STOP003BTCUSDT20250120"
    assert list(reader.read(child)) == [order]


def test_account_and_key() -> None:
    row = {"uid": "44705892343619584", "acctLv": "2", "posMode": "net_mode", "perm": "read_only,trade", "ip": ""}
    config = replies.account_config(row)
    assert (config.account_level, config.position_mode, config.ip_addresses) == (2, PositionMode.NET, ())
    assert config.permissions == {"read_only", "trade"}
    bound = replies.account_config({**row, "ip": "117.37.203.58,117.37.203.57"})
    assert bound.ip_addresses == ("117.37.203.58", "117.37.203.57")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "melting"}, "state='melting': expected one of canceled, filled, live"),
        ({"side": "hold"}, "side='hold'"),
        ({"posSide": "up"}, "posSide='up'"),
        ({"ordId": ""}, "ordId is missing"),
        ({"instId": ""}, "instId is missing"),
        ({"sz": "many"}, "sz='many': not a number"),
        ({"sz": "NaN"}, "out of range"),
        ({"sz": 1.5}, "sz=1.5: expected text"),
        ({"sz": "1e30"}, "out of range"),
        ({"px": "0.0000000000001"}, "more decimal places"),
        ({"cTime": "yesterday"}, "not a time in milliseconds"),
        ({"cTime": ""}, "none of cTime is there"),
        ({"reduceOnly": "perhaps"}, "neither true nor false"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(recorded: Recorded, change: dict[str, Any], says: str) -> None:
    row = {**recorded.row("http_get_orders_pending"), **change}
    with pytest.raises(PayloadError) as refused:
        replies.order(row)
    assert says in str(refused.value)


def test_a_fee_that_covers_several_fills_is_not_taken_for_this_ones(recorded: Recorded) -> None:
    row = {**recorded.row("ws_orders"), "fillSz": "0.01"}
    with pytest.raises(PayloadError, match="covers several fills"):
        replies.execution_of_update(row)
    told = replies.execution_of_update({**row, "fillFee": "-0.0072", "fillFeeCcy": "USDT"})
    assert told.fee == D("0.0072")


def test_amendments_that_failed_show_in_the_order(recorded: Recorded) -> None:
    row = recorded.row("ws_orders")
    results = [replies.order({**row, "amendResult": code}).amend_result for code in ("", "0", "1", "-1")]
    assert [None if result is None else result.value for result in results] == [None, "DONE", "CANCELED", "REVERTED"]
