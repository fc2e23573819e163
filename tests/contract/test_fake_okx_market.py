"""The fake OKX through the real ccxt client: instruments, prices, candles, funding, and the order book's sequence."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import ccxt
import pytest

from tests.contract.okx_client import BTC, SPOT, SWAP, drive, subscribed, until
from tests.fakes.okx import FakeOkx, Frame

BAR = {"o": "50000", "h": "50100", "l": "49900", "c": "50050", "vol": "200"}
MINUTE = 60_000


async def frames(okx: FakeOkx, channel: str, act: Any, count: int, url: str = "public", **more: str) -> list[Any]:
    """Subscribe by hand, act, and return the next ``count`` frames with data."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{okx.ws_url}/{url}") as socket:
        await socket.send_json({"op": "subscribe", "args": [{"channel": channel, **more}]})
        answer = await socket.receive_json()
        assert (answer["event"], answer["arg"]["channel"]) == ("subscribe", channel)
        assert answer["connId"]
        act()
        return [await socket.receive_json() for _ in range(count)]


def test_markets_tiers_and_limits_load() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        market = client.market(SWAP)
        assert (market["contractSize"], market["precision"]["amount"], market["precision"]["price"]) == (
            0.01,
            0.01,
            0.1,
        )
        assert client.market(SPOT)["precision"]["amount"] == 1e-8
        tiers = await client.fetch_market_leverage_tiers(SWAP)
        assert [(tier["maxNotional"], tier["maxLeverage"]) for tier in tiers][:2] == [(1000, 100), (5000, 66.66)]
        limits = (await client.public_get_public_price_limit({"instId": BTC}))["data"][0]
        assert (limits["buyLmt"], limits["sellLmt"]) == ("55000", "45000")

    drive(scenario, key=None)


def test_candles_page_backwards_and_only_closed_ones_are_history() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        start = client.milliseconds() // MINUTE * MINUTE - 9 * MINUTE
        for number in range(10):
            okx.venue.market(BTC).set_candle("1m", start + number * MINUTE, BAR, confirm=number < 9)
        assert [bar[0] for bar in await client.fetch_ohlcv(SWAP, "1m", start, 3)] == [
            start + number * MINUTE for number in range(3)
        ]
        history = (await client.public_get_market_history_candles({"instId": BTC, "bar": "1m"}))["data"]
        assert len(history) == 9
        # 200 contracts x 0.01 BTC = 2 BTC; at the close 50,050 that is 100,100 USDT.
        assert history[0][5:] == ["200", "2", "100100", "1"]
        older = {"instId": BTC, "bar": "1m", "after": str(start + 2 * MINUTE)}
        rows = (await client.public_get_market_candles(older))["data"]
        assert [int(row[0]) for row in rows] == [start + MINUTE, start]

    drive(scenario, key=None)


def test_funding_forecast_and_history() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        market = okx.venue.market(BTC)
        market.set_funding("-0.0003", interval_h=4)
        forecast = await client.fetch_funding_rate(SWAP)
        assert (forecast["fundingRate"], forecast["interval"]) == (-0.0003, "4h")
        due, _ = market.settle_funding()
        history = await client.fetch_funding_rate_history(SWAP)
        assert [(row["timestamp"], row["fundingRate"]) for row in history] == [(due, -0.0003)]

    drive(scenario, key=None)


def test_prices_and_trades_are_pushed() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        marks = await subscribed(okx, "mark-price", client.watch_mark_price(SWAP))
        assert (await marks)["info"]["markPx"] == "50000"
        trades = await subscribed(okx, "trades", client.watch_trades(SWAP))
        okx.venue.print_trade(BTC, "50010", "2", "buy")
        assert [(trade["price"], trade["amount"], trade["side"]) for trade in await trades] == [(50010, 2, "buy")]
        bars = await subscribed(okx, "candle1m", client.watch_ohlcv(SWAP, "1m"))
        okx.venue.market(BTC).set_candle("1m", 1_795_400_940_000, BAR, confirm=True)
        assert (await bars)[-1][1:5] == [50000, 50100, 49900, 50050]

    drive(scenario, key=None)


def test_the_book_is_a_snapshot_and_a_chain_of_updates() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        market = okx.venue.market(BTC)

        def act() -> None:
            market.update_book(bids=[("49999.9", "7")])
            market.keep_alive()
            market.reset_sequence(3)
            market.update_book(asks=[("50000.1", "0")])

        first, *updates = await frames(okx, "books", act, 5, instId=BTC)
        assert (first["action"], first["data"][0]["prevSeqId"], first["data"][0]["seqId"]) == (
            "snapshot",
            -1,
            1_000_000,
        )
        chain = [(frame["data"][0]["prevSeqId"], frame["data"][0]["seqId"]) for frame in updates]
        assert chain == [(1_000_000, 1_000_001), (1_000_001, 1_000_001), (1_000_001, 3), (3, 4)]
        assert updates[0]["data"][0]["bids"] == [["49999.9", "7", "0", "1"]]
        assert updates[3]["data"][0]["asks"] == [["50000.1", "0", "0", "0"]]

    drive(scenario, key=None)


def test_ccxt_follows_the_book_and_notices_a_gap() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        market = okx.venue.market(BTC)
        book = await client.watch_order_book(SWAP)
        assert book["bids"][0] == [49999.9, 1000]
        market.reset_sequence(3)
        market.update_book(bids=[("49999.9", "7")])
        await until(lambda: client.orderbooks[SWAP]["nonce"] == 4)
        assert client.orderbooks[SWAP]["bids"][0] == [49999.9, 7]
        market.update_book(bids=[("49999.9", "8")], silent=True)
        market.update_book(bids=[("49999.8", "9")])
        with pytest.raises(ccxt.InvalidNonce):
            await client.watch_order_book(SWAP)
        again = await client.watch_order_book(SWAP)
        assert again["bids"][:2] == [[49999.9, 8], [49999.8, 9]]

    drive(scenario, key=None)


def test_a_snapshot_comes_with_the_first_subscription_only() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        words = {"args": [{"channel": "books", "instId": BTC}]}
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{okx.ws_url}/public") as socket:
            for operation in ("subscribe", "subscribe", "unsubscribe", "subscribe"):
                await socket.send_json(words | {"op": operation})
            got = [await socket.receive_json() for _ in range(6)]
        kinds = [frame.get("event") or frame["action"] for frame in got]
        assert kinds == ["subscribe", "snapshot", "subscribe", "unsubscribe", "subscribe", "snapshot"]

    drive(scenario, key=None)


def test_frames_can_be_lost_doubled_and_swapped() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        def act() -> None:
            for frame in (Frame.LOSE, Frame.DUPLICATE, Frame.SWAP):
                okx.faults.plan("trades", frame)
            for number in range(1, 6):
                okx.venue.print_trade(BTC, "50000", str(number), "buy")

        got = await frames(okx, "trades", act, 5, instId=BTC)
        assert [frame["data"][0]["sz"] for frame in got] == ["2", "2", "4", "3", "5"]

    drive(scenario, key=None)


def test_an_instrument_change_is_pushed() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        first, change = await frames(
            okx, "instruments", lambda: okx.control.set_instrument(BTC, state="suspend"), 2, instType="SWAP"
        )
        assert len(first["data"]) == 3
        assert (change["data"][0]["instId"], change["data"][0]["state"]) == (BTC, "suspend")

    drive(scenario, key=None)


def test_wrong_channels_urls_and_words_are_refused() -> None:
    refusals = [
        ("public", {"op": "subscribe", "args": [{"channel": "candle1m", "instId": BTC}]}, "60018"),
        ("business", {"op": "subscribe", "args": [{"channel": "trades", "instId": BTC}]}, "60018"),
        ("public", {"op": "subscribe", "args": [{"channel": "trades", "instId": "NO-SUCH"}]}, "60018"),
        ("private", {"op": "subscribe", "args": [{"channel": "account"}]}, "60011"),
        ("public", {"op": "subscribe", "args": [{"channel": "books-l2-tbt", "instId": BTC}]}, "64003"),
        ("public", {"op": "dance", "args": []}, "60019"),
        ("public", {"args": []}, "60012"),
        ("public", {"id": "7", "op": "order", "args": [{}]}, "60028"),
    ]

    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.rules.rate_limits = False
        for url, words, code in refusals:
            async with aiohttp.ClientSession() as session, session.ws_connect(f"{okx.ws_url}/{url}") as socket:
                await socket.send_str(json.dumps(words))
                answer = await socket.receive_json()
                assert (answer["event"], answer["code"]) == ("error", code)

    drive(scenario, key=None)


def test_text_pings_are_answered_and_silence_ends_the_connection() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        okx.rules.idle_s = 0.2
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{okx.ws_url}/public") as socket:
            await socket.send_str("ping")
            assert (await socket.receive()).data == "pong"
            await socket.receive()
            assert socket.close_code == 4004

    drive(scenario, key=None)


def test_three_connections_a_second_and_480_words_an_hour() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        async with aiohttp.ClientSession() as session:
            sockets = [await session.ws_connect(f"{okx.ws_url}/public") for _ in range(3)]
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await session.ws_connect(f"{okx.ws_url}/public")
            words = {"args": [{"channel": "trades", "instId": BTC}]}
            for number in range(481):
                await sockets[0].send_json(words | {"op": "unsubscribe" if number % 2 else "subscribe"})
            answers = [await sockets[0].receive_json() for _ in range(481)]
            assert [answer["event"] for answer in answers[-2:]] == ["unsubscribe", "error"]
            assert answers[-1]["code"] == "60014"
            for socket in sockets:
                await socket.close()

    drive(scenario, key=None)
