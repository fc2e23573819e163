"""The fake OKX's channels frame by frame: what a subscription gets at once, what it is told, and under which name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.contract.okx_client import BTC, drive
from tests.fakes.okx import LIVE_KEY, FakeOkx, Rules
from tests.fakes.okx.auth import LOGIN_PATH, sign
from tests.fakes.okx.clock import wall_ms

ENTRY = {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "market", "sz": "2"}
Act = Callable[[FakeOkx], object]


def enter(okx: FakeOkx) -> None:
    """Buy two contracts at market."""
    okx.venue.trading.place(ENTRY)


@asynccontextmanager
async def socket_to(okx: FakeOkx, url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Connect, and log in where one has to."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{okx.ws_url}/{url}") as socket:
        if url != "public":
            stamp = str(wall_ms() // 1000)
            words = {"apiKey": LIVE_KEY.key, "passphrase": LIVE_KEY.passphrase, "timestamp": stamp}
            await socket.send_json(
                {"op": "login", "args": [words | {"sign": sign(LIVE_KEY.secret, stamp + LOGIN_PATH)}]}
            )
            assert (await socket.receive_json())["event"] == "login"
        yield socket


async def told(okx: FakeOkx, url: str, argument: dict[str, str], act: Act, count: int) -> list[Any]:
    """Subscribe, act, and return the first ``count`` frames that carry data."""
    async with socket_to(okx, url) as socket:
        await socket.send_json({"op": "subscribe", "args": [argument]})
        assert (await socket.receive_json())["arg"] == argument
        act(okx)
        frames: list[Any] = []
        while len(frames) < count:
            frame = await socket.receive_json()
            frames += [frame] if "data" in frame else []
        return frames


@pytest.mark.parametrize(
    ("url", "argument", "act", "key", "values"),
    [
        ("public", {"channel": "books5", "instId": BTC}, "book", "seqId", [1_000_000, 1_000_001]),
        ("public", {"channel": "bbo-tbt", "instId": BTC}, "book", "seqId", [1_000_000, 1_000_001]),
        ("public", {"channel": "tickers", "instId": BTC}, "last", "last", ["50000", "50001"]),
        ("public", {"channel": "index-tickers", "instId": "BTC-USDT"}, "index", "idxPx", ["50000", "50002"]),
        ("public", {"channel": "funding-rate", "instId": BTC}, "funding", "fundingRate", ["0.0001", "0.0005"]),
        ("business", {"channel": "trades-all", "instId": BTC}, "print", "sz", ["3"]),
        ("public", {"channel": "status"}, "maintenance", "state", ["ongoing", "completed"]),
    ],
)
def test_a_public_channel(url: str, argument: dict[str, str], act: str, key: str, values: list[object]) -> None:
    acts: dict[str, Act] = {
        "book": lambda okx: okx.venue.market(BTC).update_book(bids=[("49999.9", "7")]),
        "last": lambda okx: okx.venue.set_last(BTC, "50001"),
        "index": lambda okx: okx.venue.set_index(BTC, "50002"),
        "funding": lambda okx: okx.venue.market(BTC).set_funding("0.0005"),
        "print": lambda okx: okx.venue.print_trade(BTC, "50000", "3", "buy"),
        "maintenance": lambda okx: (okx.control.start_maintenance(), okx.control.end_maintenance()),
    }

    async def scenario(okx: FakeOkx, client: Any) -> None:
        frames = await told(okx, url, argument, acts[act], len(values))
        assert [frame["data"][0][key] for frame in frames] == values
        assert all(frame["arg"] == argument for frame in frames)

    drive(scenario, key=None)


def test_a_fill_is_told_on_every_private_channel() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.rules.rate_limits = False
        live, filled = await told(okx, "private", {"channel": "orders", "instType": "SWAP"}, enter, 2)
        assert [frame["data"][0]["state"] for frame in (live, filled)] == ["live", "filled"]
        assert (live["arg"]["uid"], filled["data"][0]["fillSz"]) == (okx.venue.account.uid, "2")

        snapshot, update = await told(okx, "private", {"channel": "account"}, enter, 2)
        assert [frame["eventType"] for frame in (snapshot, update)] == ["snapshot", "event_update"]
        snapshot, update = await told(okx, "private", {"channel": "positions", "instType": "ANY"}, enter, 2)
        assert [frame["data"][0]["pos"] for frame in (snapshot, update)] == ["4", "6"]
        snapshot, update = await told(okx, "private", {"channel": "balance_and_position"}, enter, 2)
        row = update["data"][0]
        assert (row["eventType"], row["posData"][0]["pos"], row["balData"][0]["ccy"]) == ("filled", "8", "USDT")
        assert row["trades"] == [{"instId": BTC, "tradeId": row["posData"][0]["tradeId"]}]

    drive(scenario)


def test_the_fills_channel_is_for_the_few() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        (frame,) = await told(okx, "private", {"channel": "fills"}, enter, 1)
        assert (frame["data"][0]["fillSz"], frame["data"][0]["execType"]) == ("2", "T")

    drive(scenario, rules=Rules(vip=True))


def test_a_subscription_hears_its_own_instrument_and_type_only() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        def act(okx: FakeOkx) -> None:
            okx.venue.trading.place(ENTRY | {"instId": "ETH-USDT-SWAP"})
            okx.venue.trading.place(ENTRY | {"instId": "BTC-USDT", "tdMode": "cash", "sz": "100"})
            okx.venue.trading.place(ENTRY)

        argument = {"channel": "orders", "instType": "SWAP", "instId": BTC}
        frames = await told(okx, "private", argument, act, 2)
        assert {frame["data"][0]["instId"] for frame in frames} == {BTC}
        spot = await told(okx, "private", {"channel": "orders", "instType": "SPOT"}, act, 2)
        assert {frame["data"][0]["instId"] for frame in spot} == {"BTC-USDT"}

    drive(scenario)
