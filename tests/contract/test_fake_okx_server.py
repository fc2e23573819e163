"""The fake OKX in a thread of its own: synchronous clients, other processes, stopping and starting again."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest

from tests.contract.okx_client import BTC, SWAP
from tests.fakes.okx import LIVE_KEY, FakeOkx, serving


def test_a_synchronous_client_trades_and_the_test_drives_the_venue() -> None:
    with serving() as okx:
        client: Any = ccxt.okx(okx.ccxt_config(LIVE_KEY) | {"enableRateLimit": False})
        placed = client.create_order(SWAP, "limit", "buy", 1, 49900, {"tdMode": "isolated", "clOrdId": "entry1"})
        okx.run(lambda: okx.venue.print_trade(BTC, "49900", "1", "sell"))
        assert client.fetch_order(placed["id"], SWAP)["status"] == "closed"
        assert [name for name, _ in okx.requests if name.startswith(("trade", "GET"))] == [
            "trade/batch-orders",
            "GET trade/order",
        ]


def test_it_stops_and_comes_back_on_its_port_with_everything_it_knew() -> None:
    okx = FakeOkx()
    with serving(okx):
        client: Any = ccxt.okx(okx.ccxt_config(LIVE_KEY) | {"enableRateLimit": False})
        placed = client.create_order(SWAP, "limit", "buy", 1, 49900, {"tdMode": "isolated"})
        port = okx.port
    with pytest.raises(ccxt.NetworkError):
        client.fetch_order(placed["id"], SWAP)
    with serving(okx, port=port):
        assert client.fetch_order(placed["id"], SWAP)["status"] == "open"


def test_a_port_that_is_taken_is_an_error() -> None:
    with serving() as okx, pytest.raises(OSError), serving(FakeOkx(), port=okx.port):
        raise AssertionError("two servers on one port")


def test_nothing_runs_on_a_fake_that_was_not_started() -> None:
    with pytest.raises(RuntimeError, match="serving"):
        FakeOkx().run(lambda: None)
