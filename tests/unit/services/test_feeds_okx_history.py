"""Public history is fetched page by page through ccxt from a server that speaks OKX's REST shape, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from schemas.events.market import FundingSettled, MarkPrice, VenueBar
from services.feeds import FeedError, open_feed
from services.feeds.okx_history import fetch_okx_history

NOW = 1_742_400_123_456
DAY = 86_400_000
END = NOW // DAY * DAY


class Venue(ThreadingHTTPServer):
    """A venue of made-up prices; ``failures``: how many requests it answers with 503 first."""

    failures = 0
    refusal: dict[str, Any] | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Venue

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.requests.append(url.path)
        if self.server.failures > 0:
            self.server.failures -= 1
            return self._answer(503, {"code": "50001", "msg": "Service temporarily unavailable"})
        return self._answer(200, self.server.refusal or {"code": "0", "msg": "", "data": rows(url.path, query)})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


def rows(path: str, query: dict[str, str]) -> list[Any]:
    if path.endswith("/public/time"):
        return [{"ts": str(NOW)}]
    step = {"1m": 60_000, "1H": 3_600_000}.get(query.get("bar", ""), 28_800_000)
    newest = (int(query["after"]) - 1) // step * step
    times = [newest - index * step for index in range(int(query["limit"]))]
    if path.endswith("/funding-rate-history"):
        return [{"fundingTime": str(ts), "fundingRate": "0.0002", "realizedRate": "0.0001"} for ts in times]
    if path.endswith("/history-mark-price-candles"):
        return [[str(ts), "100.1", "101", "99", "100.5", "1"] for ts in times]
    return [[str(ts), "100.1", "101", "99", "100.5", "700", "7.25", "725", "1"] for ts in times]


@pytest.fixture
def venue() -> Iterator[Venue]:
    server = Venue()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def url(venue: Venue) -> str:
    return f"http://127.0.0.1:{venue.server_address[1]}"


def test_one_day_is_fetched_whole_and_imports(venue: Venue, tmp_path: Path) -> None:
    paths = fetch_okx_history(tmp_path, instruments=["BTC-USDT-SWAP"], days=1, base_url=url(venue))
    assert [path.name for path in paths] == [
        "BTC-USDT-SWAP_1m_20250318-20250318.csv",
        "BTC-USDT-SWAP_mark_1h_20250318-20250318.csv",
        "BTC-USDT-SWAP_funding_8h_20250318-20250318.csv",
    ]
    ticks = [event for _, event in open_feed(paths)]
    bars = [event for event in ticks if isinstance(event, VenueBar)]
    assert len(bars) == 1440
    assert bars[0].ts_open == (END - DAY) * 1000
    assert str(bars[0].base_volume) == "7.25"
    assert sum(isinstance(event, MarkPrice) for event in ticks) == 25
    assert [str(event.funding_rate) for event in ticks if isinstance(event, FundingSettled)] == ["0.0001"] * 3


def test_what_was_fetched_is_not_fetched_again(venue: Venue, tmp_path: Path) -> None:
    first = fetch_okx_history(tmp_path, instruments=["BTC-USDT-SWAP"], days=1, base_url=url(venue))
    asked = len(venue.requests)
    assert fetch_okx_history(tmp_path, instruments=["BTC-USDT-SWAP"], days=1, base_url=url(venue)) == first
    assert len(venue.requests) == asked + 1


def test_a_request_that_fails_twice_is_tried_a_third_time(venue: Venue, tmp_path: Path) -> None:
    venue.failures = 2
    waits: list[float] = []
    assert fetch_okx_history(tmp_path, instruments=["BTC-USDT-SWAP"], days=1, base_url=url(venue), pause=waits.append)
    assert waits == [1.0, 2.0]


def test_an_unreachable_venue_is_said_after_three_attempts(venue: Venue, tmp_path: Path) -> None:
    venue.failures = 3
    with pytest.raises(FeedError, match=r"cannot be reached after 3 attempts.*--feed"):
        fetch_okx_history(tmp_path, base_url=url(venue), pause=lambda seconds: None)
    assert not list(tmp_path.iterdir())


def test_a_refusal_is_said_at_once(venue: Venue, tmp_path: Path) -> None:
    venue.refusal = {"code": "51001", "msg": "Instrument ID does not exist", "data": []}
    with pytest.raises(FeedError, match="the venue refuses: BadSymbol"):
        fetch_okx_history(tmp_path, base_url=url(venue), pause=lambda seconds: None)


def test_an_answer_of_another_form_is_refused(venue: Venue, tmp_path: Path) -> None:
    venue.refusal = {"code": "0", "data": [{"ts": str(NOW)}]}
    with pytest.raises(FeedError, match="answered in an unknown form"):
        fetch_okx_history(tmp_path, base_url=url(venue), pause=lambda seconds: None)
