"""Recorded OKX replies and the fake's own: what the venue was seen to send is there, as the same kind of value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.okx_client import BTC, SWAP, drive
from tests.fakes.okx import LIVE_KEY, FakeOkx, VenueError
from tests.fakes.okx.auth import sign

PAYLOADS = Path("okx/payloads")
ISOLATED = {"tdMode": "isolated"}
INSTRUMENT = {"instId": BTC}
PENDING = {"instType": "SWAP", "ordType": "conditional"}
REST: list[tuple[str, str, dict[str, str]]] = [
    ("http_get_account_balance.json", "account/balance", {}),
    ("http_get_positions.json", "account/positions", {}),
    ("http_get_account_positions-history.json", "account/positions-history", {}),
    ("http_get_orders_history.json", "trade/orders-history", {"instType": "SWAP"}),
    ("http_get_orders_pending.json", "trade/orders-pending", {}),
    ("http_get_orders_pending_with_attached_tp_sl.json", "trade/orders-pending", {}),
    ("http_get_orders_algo_pending.json", "trade/orders-algo-pending", PENDING),
    ("http_get_orders_algo_pending_close_fraction.json", "trade/orders-algo-pending", PENDING),
    ("http_get_orders_algo_pending_attached_oco.json", "trade/orders-algo-pending", PENDING),
    ("http_get_trade_fee_response.json", "account/trade-fee", {"instType": "SWAP"}),
    ("http_transaction_detail.json", "trade/fills", {}),
    ("http_get_instruments_swap.json", "public/instruments", {"instType": "SWAP"}),
    ("http_get_instruments_spot.json", "public/instruments", {"instType": "SPOT"}),
    (
        "http_get_position_tiers.json",
        "public/position-tiers",
        {"instType": "SWAP", "tdMode": "cross", "uly": "BTC-USDT"},
    ),
    ("http_get_funding_rate_history.json", "public/funding-rate-history", INSTRUMENT),
    ("http_get_mark_price.json", "public/mark-price", INSTRUMENT),
    ("http_get_index_price.json", "market/index-tickers", {"instId": "BTC-USDT"}),
    ("http_get_order_book.json", "market/books", INSTRUMENT),
    ("http_get_trades.json", "market/trades", INSTRUMENT),
    ("http_get_candlesticks_full.json", "market/candles", INSTRUMENT),
]


def recorded(shared_data: Path, name: str, folder: str = "nautilus") -> Any:
    """Return a recorded payload."""
    return json.loads((shared_data / PAYLOADS / folder / name).read_text())


def rows_of(payload: Any) -> Any:
    """Return the first row of a reply or a frame; a recording of a bare row is one itself."""
    data = payload.get("data", payload) if isinstance(payload, dict) else payload
    return data[0] if isinstance(data, list) else data


def missing(theirs: Any, ours: Any, path: str = "") -> list[str]:
    """Name what their row has and ours has not, or has in another kind of value."""
    if isinstance(theirs, dict):
        if not isinstance(ours, dict):
            return [f"{path}: an object"]
        gone = [f"{path}.{name}" for name in theirs if name not in ours]
        return gone + [
            hit for name in theirs if name in ours for hit in missing(theirs[name], ours[name], f"{path}.{name}")
        ]
    if isinstance(theirs, list):
        if not isinstance(ours, list):
            return [f"{path}: a list"]
        return missing(theirs[0], ours[0], f"{path}[]") if theirs and ours else []
    return [] if type(theirs) is type(ours) else [f"{path}: {type(theirs).__name__}"]


async def trade_a_little(okx: FakeOkx, client: Any) -> None:
    """Leave one of everything: fills, a position, a closed one, an attached order, stops, funding, a candle."""
    await client.create_order(SWAP, "market", "buy", 2, None, ISOLATED)
    await client.create_order(SWAP, "market", "sell", 2, None, ISOLATED)
    stops = {"stopLoss": {"triggerPrice": 49000}, "takeProfit": {"triggerPrice": 52000}}
    await client.create_order(SWAP, "market", "buy", 2, None, ISOLATED | stops)
    await client.create_order(SWAP, "limit", "buy", 1, 49900, ISOLATED | stops)
    whole = {"instId": BTC, "side": "sell", "ordType": "conditional", "closeFraction": "1", "reduceOnly": True}
    prices = {"slTriggerPx": "48000", "slOrdPx": "-1", "slTriggerPxType": "mark"}
    await client.private_post_trade_order_algo(ISOLATED | whole | prices)
    okx.control.settle_funding(BTC)
    bar = {"o": "1", "h": "1", "l": "1", "c": "1", "vol": "1"}
    okx.venue.market(BTC).set_candle("1m", 1_795_400_940_000, bar, confirm=True)


async def get(okx: FakeOkx, client: Any, path: str, query: dict[str, str]) -> Any:
    """Ask the fake in raw, signed by hand."""
    words = "&".join(f"{name}={value}" for name, value in query.items())
    target = f"/api/v5/{path}" + (f"?{words}" if words else "")
    stamp = client.iso8601(client.milliseconds())
    headers = {
        "OK-ACCESS-KEY": LIVE_KEY.key,
        "OK-ACCESS-PASSPHRASE": LIVE_KEY.passphrase,
        "OK-ACCESS-TIMESTAMP": stamp,
        "OK-ACCESS-SIGN": sign(LIVE_KEY.secret, f"{stamp}GET{target}"),
    }
    async with aiohttp.ClientSession(headers=headers) as session, session.get(okx.rest_url + target) as reply:
        return await reply.json()


@pytest.mark.recorded
def test_every_recorded_reply_has_its_like(shared_data: Path) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.rules.rate_limits = False
        await trade_a_little(okx, client)
        gaps = {}
        for name, path, query in REST:
            ours = await get(okx, client, path, query)
            assert set(ours) == {"code", "data", "msg"}, name
            assert ours["data"], name
            gaps[name] = missing(rows_of(recorded(shared_data, name)), rows_of(ours))
        assert {name: gap for name, gap in gaps.items() if gap} == {}

    drive(scenario)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("ws_account.json", "account"),
        ("ws_orders.json", "orders"),
        ("ws_orders_fok.json", "orders"),
        ("ws_orders_liquidation.json", "orders"),
        ("ws_orders_trigger.json", "orders"),
        ("ws_orders_algo.json", "orders-algo"),
        ("ws_books_update.json", "books"),
        ("ws_bbo_tbt.json", "bbo-tbt"),
        ("ws_candle.json", "candle1m"),
        ("ws_funding_rate.json", "funding-rate"),
        ("ws_tickers.json", "tickers"),
        ("ws_trades.json", "trades"),
        ("ws_instruments.json", "instruments"),
    ],
)
def test_every_recorded_push_has_its_like(shared_data: Path, name: str, channel: str) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        pushed: dict[str, Any] = {}
        okx.venue.listeners.append(lambda push: pushed.setdefault(push.channel, push))
        await trade_a_little(okx, client)
        okx.control.set_instrument(BTC, state="live")
        theirs = recorded(shared_data, name)
        assert missing(rows_of(theirs), json.loads(json.dumps(pushed[channel].data))[0]) == []
        assert pushed[channel].action == theirs.get("action", "")

    drive(scenario)


@pytest.mark.recorded
def test_every_order_push_of_another_recording_has_its_like(shared_data: Path) -> None:
    text = (shared_data / PAYLOADS / "gocryptotrader" / "wsOrders.json").read_text()
    theirs = [json.loads(line) for line in text.splitlines() if line.strip()]
    assert len(theirs) == 4

    async def scenario(okx: FakeOkx, client: Any) -> None:
        pushed: list[Any] = []
        okx.venue.listeners.append(lambda push: pushed.append(push) if push.channel == "orders" else None)
        await client.create_order(SWAP, "market", "buy", 2, None, ISOLATED)
        for frame in theirs:
            assert missing(rows_of(frame), pushed[0].data[0]) == []

    drive(scenario)


@pytest.mark.recorded
def test_a_refusal_is_shaped_as_recorded(shared_data: Path) -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        base = {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "limit", "px": "49900"}
        place = okx.hub.operations
        theirs = recorded(shared_data, "http_place_order_rejected.json", "errors")
        ours = place.run("order", [base | {"sz": "0.001"}], single=True).body()
        assert (ours["code"], ours["msg"]) == (theirs["code"], theirs["msg"])
        assert missing(rows_of(theirs), rows_of(ours)) == []
        theirs = recorded(shared_data, "http_place_algo_order_rejected.json")
        ours = place.algo("order-algo", [base | {"ordType": "conditional", "sz": "1"}]).body()
        assert (ours["code"], ours["msg"]) == (theirs["code"], theirs["msg"])
        assert missing(rows_of(theirs), rows_of(ours)) == []

    drive(scenario)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "code", "status"),
    [("http_401_invalid_access_key.json", "50111", 401), ("http_429_rate_limit.json", "50011", 429)],
)
def test_the_front_doors_refusals_are_the_recorded_ones(shared_data: Path, name: str, code: str, status: int) -> None:
    refusal = VenueError(code)
    assert (refusal.body(), refusal.http) == (recorded(shared_data, name, "errors"), status)
