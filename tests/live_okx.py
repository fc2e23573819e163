"""A fake OKX whose market moves: history for every warm-up, then five trades a second; and asking for a plan on it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import httpx

from tests.fakes.okx import FakeOkx, serving

BTC = "BTC-USDT-SWAP"
MINUTE_MS = 60_000
DAYS = 3
HISTORY = DAYS * 1440
"""Closed minutes the venue knows."""
PRICE = 50_100
"""Where the moving market begins; the history ends at 50,000."""
ASK = {"symbol": "BTC-USDT", "market_type": "perp"}
MINUTE_S = 60.0
"""Source: the issue: a fresh stack answers within a minute."""
NOT_YET = ("WARMING_UP", "DATA_QUALITY_BAD")


@contextmanager
def live_okx(port: int = 0) -> Iterator[FakeOkx]:
    """Serve the fake on a port, with history, its market moving as long as the block lasts."""
    okx = FakeOkx()
    _walk(okx, HISTORY)
    with serving(okx, port=port), _busy(okx):
        yield okx


def variables(okx: FakeOkx) -> dict[str, str]:
    """Return the settings that make a market gateway talk to the fake."""
    return {"OKX_REST_URL": okx.rest_url, "OKX_WS_URL": okx.ws_url, "TAPELINE_INSTRUMENTS_ALLOWED": BTC}


def _walk(okx: FakeOkx, count: int) -> None:
    """Give the venue ``count`` closed candles of a seeded walk that ends at 50,000."""
    chance = random.Random(20261123)
    now = okx.clock.now_ms() // MINUTE_MS * MINUTE_MS
    price = 50_000.0
    for number in range(1, count + 1):
        opened, price = price, price * (1 + chance.gauss(0, 0.0006))
        high, low = max(opened, price) * 1.0003, min(opened, price) * 0.9997
        values = {name: f"{value:.1f}" for name, value in zip("ohlc", (price, high, low, opened), strict=True)}
        okx.venue.market(BTC).set_candle("1m", now - number * MINUTE_MS, values | {"vol": "900"}, confirm=True)


@contextmanager
def _busy(okx: FakeOkx) -> Iterator[None]:
    """Let the market move five times a second."""
    stop = Event()

    def move() -> None:
        number = 0
        while not stop.wait(0.2):
            number += 1
            price = str(PRICE + number % 5)
            okx.run(lambda price=price: okx.venue.print_trade(BTC, price, "1", "buy"))  # type: ignore[misc]
            okx.run(lambda price=price: okx.venue.set_mark(BTC, price))  # type: ignore[misc]

    thread = Thread(target=move, name="market")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ask_for_plan(
    client: httpx.Client, token: str, *, look: Callable[[], object], patience_s: float, said: Callable[[], object]
) -> dict[str, Any]:
    """Ask for a plan until the answer is more than that the data is still coming; return it.

    look: called before each time, and raises when there is nobody left to ask. said: what a failure shows.
    """
    deadline, pause, body = time.monotonic() + patience_s, Event(), {}
    while time.monotonic() < deadline:
        look()
        try:
            response = client.post("/plans/generate", params=ASK, headers={"X-API-Token": token})
        except httpx.TransportError:
            pause.wait(0.2)
            continue
        body = response.json()
        if response.status_code == httpx.codes.OK and body["outcome"]["payload"].get("reason") not in NOT_YET:
            return dict(body)
        pause.wait(0.5)
    raise AssertionError(f"no answer within {patience_s} s; the last one: {body}; the services said: {said()}")
