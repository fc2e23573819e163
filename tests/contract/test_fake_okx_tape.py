"""The fake OKX with a market that moves by itself, in this process and as one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import ccxt

from tests.contract.okx_client import BTC, SWAP, drive
from tests.fakes.okx import LIVE_KEY, Clock, FakeOkx, Venue
from tests.fakes.okx.tape import Bar, MovingMarket, Tape, made_up_bars

NOON = 1_742_385_600_000
MINUTE = 60_000
BOUND_S = 30


def bar(*prices: int, volume: int = 10) -> Bar:
    """Return a minute by its open, high, low and close."""
    return Bar(*(Decimal(price) for price in prices), Decimal(volume))


def tape(bars: list[Bar], history_min: int) -> tuple[Venue, Tape]:
    """Return a venue at noon and a loaded tape on it."""
    venue = Venue(Clock.frozen(NOON))
    driver = Tape(venue, BTC, bars)
    driver.load(history_min)
    return venue, driver


def test_a_minute_walks_through_its_extremes() -> None:
    rising, falling = bar(100, 130, 70, 110), bar(110, 130, 70, 100)
    shares = [Decimal(n) / 6 for n in range(7)]
    assert [rising.at(share) for share in shares] == [100, 85, 70, 100, 130, 120, 110]
    assert [falling.at(share) for share in shares] == [110, 120, 130, 100, 70, 85, 100]


def test_history_ends_with_the_minute_before_now() -> None:
    venue, _ = tape([bar(50000 + n, 50010 + n, 49990 + n, 50001 + n) for n in range(20)], 15)
    market = venue.market(BTC)
    assert sorted(market.candles["1m"]) == [NOON - n * MINUTE for n in range(15, 0, -1)]
    # 11:45 to noon is one quarter of an hour: first open, last close, extremes 50024 and 49990, 15 x 10 contracts.
    assert market.candles["15m"][NOON - 15 * MINUTE] == [
        str(NOON - 15 * MINUTE), "50000", "50024", "49990", "50015", "150", "1.5", "75022.5", "1",
    ]  # fmt: skip
    assert market.candles["1H"][NOON - 60 * MINUTE][-1] == "1"
    assert market.last == 50015


def test_the_market_follows_the_clock_and_closes_its_minutes() -> None:
    venue, driver = tape([bar(50000, 50060, 49940, 50030)] * 3, 1)
    closed: list[str] = []
    venue.listeners.append(lambda push: closed.append(push.data[0][-1]) if push.channel == "candle1m" else None)
    venue.clock.advance(seconds=20)
    driver.step()
    assert (venue.market(BTC).last, closed) == (49940, ["0"])
    assert venue.market(BTC).candles["1m"][NOON][1:5] == ["50000", "50000", "49940", "49940"]
    venue.clock.advance(seconds=45)
    driver.step()
    assert closed == ["0", "1", "0"]
    assert venue.market(BTC).candles["1m"][NOON][1:5] == ["50000", "50060", "49940", "50030"]


def test_the_tape_starts_over_without_a_jump() -> None:
    venue, _ = tape([bar(50000, 50000, 50000, 50010), bar(50010, 50020, 50010, 50020)], 4)
    opens = [venue.market(BTC).candles["1m"][NOON - n * MINUTE][1] for n in range(4, 0, -1)]
    assert opens == ["50000", "50010", "50020", "50030"]


def test_a_stop_fires_on_a_moving_market_and_funding_is_settled() -> None:
    venue = Venue(Clock.frozen(NOON))
    falling = Tape(venue, BTC, [bar(50000, 50000, 50000, 50000), bar(50000, 50000, 49000, 49000)])
    market = MovingMarket(venue, [falling], 1)
    entry = {"instId": BTC, "tdMode": "isolated", "side": "buy", "ordType": "market", "sz": "1"}
    venue.trading.place(entry | {"attachAlgoOrds": [{"slTriggerPx": "49500", "slOrdPx": "-1"}]})
    venue.clock.advance(seconds=59)
    market.step()
    assert venue.account.positions == {}
    venue.clock.advance(hours=8)
    market.step()
    assert len(venue.market(BTC).funding.settled) == 1


def test_made_up_minutes_are_the_same_for_the_same_seed() -> None:
    first, again, other = (made_up_bars(Decimal(50000), Decimal("0.1"), 50, seed) for seed in (7, 7, 8))
    assert first == again != other
    assert all(b.low <= min(b.open, b.close) <= max(b.open, b.close) <= b.high for b in first)


def test_a_gateway_has_candles_to_start_from() -> None:
    async def scenario(okx: FakeOkx, client: Any) -> None:
        bars = made_up_bars(Decimal(50000), Decimal("0.1"), 600, 1)
        Tape(okx.venue, BTC, bars).load(600)
        rows = await client.fetch_ohlcv(SWAP, "15m", limit=30)
        assert len(rows) == 30
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)

    drive(scenario, key=None)


def test_it_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "tests.fakes.okx", "--history-min", "60", "--step-ms", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert told["live"]["key"] == LIVE_KEY.key
            host = told["rest"].removeprefix("http://")
            client: Any = ccxt.okx({"hostname": host, "urls": {"api": {"rest": "http://{hostname}"}}})
            assert len(client.fetch_ohlcv(SWAP, "1m")) >= 60
            process.terminate()
            assert process.wait(BOUND_S) == 0
        finally:
            process.kill()
