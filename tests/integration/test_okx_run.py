"""The whole chain on paper from a live venue: fake OKX, market gateway, SQLite log, Faust worker, a plan over HTTP."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from schemas.codec import decode
from schemas.events.context import SourceState, SourceStatus
from schemas.events.market import FeedState, FeedStatus, Trade, VenueBar
from streams.log.sqlite import SqliteLog
from tests.fakes.okx import FakeOkx, serving
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
BTC = "BTC-USDT-SWAP"
MINUTE_MS = 60_000
DAYS = 3
TOKEN = "a-token-of-sixteen-and-more"
ANSWER_S = 4 * PATIENCE_S
"""The issue says a minute, and alone it takes a quarter of one; a loaded machine is no reason to fail."""


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


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's own user may enter; pytest's are closed to it."""
    made = Path(tempfile.mkdtemp(prefix="tapeline-okx-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _busy(okx: FakeOkx) -> Iterator[None]:
    """Let the market move five times a second."""
    stop = Event()

    def move() -> None:
        number = 0
        while not stop.wait(0.2):
            number += 1
            price = str(50_000 + number % 5)
            okx.run(lambda price=price: okx.venue.print_trade(BTC, price, "1", "buy"))  # type: ignore[misc]
            okx.run(lambda price=price: okx.venue.set_mark(BTC, price))  # type: ignore[misc]

    thread = Thread(target=move, name="market")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(okx: FakeOkx, folder: Path, port: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "TAPELINE_API_TOKEN": TOKEN, "TAPELINE_INSTRUMENTS_ALLOWED": BTC,
        "OKX_REST_URL": okx.rest_url, "OKX_WS_URL": okx.ws_url, "TAPELINE_MARK_SUBSTITUTE": "false",
        "TAPELINE_CONTEXT_SOURCES": "mempool.space", "TAPELINE_CONTEXT_URLS": "mempool.space=http://127.0.0.1:9/fees",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "services.cli", "run", "--feed", "okx", "--api", "--port", str(port), "--json",
        "--log", f"sqlite:///{folder}/log.db", "--db", f"embedded:{folder}/pg", "--folder", str(folder / "logs"),
    ]  # fmt: skip
    return subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _reason(body: dict[str, Any]) -> str | None:
    reason: str | None = body["outcome"]["payload"].get("reason")
    return reason


def _ask(client: httpx.Client, process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Ask for a plan until the answer is more than that the data is still coming."""
    deadline, pause, body = time.monotonic() + ANSWER_S, Event(), {}
    while time.monotonic() < deadline:
        assert process.poll() is None, f"tapeline run ended early: {process.communicate()[1]}"
        try:
            response = client.post(
                "/plans/generate", params={"symbol": "BTC-USDT", "market_type": "perp"}, headers={"X-API-Token": TOKEN}
            )
        except httpx.TransportError:
            pause.wait(0.2)
            continue
        body = response.json()
        if response.status_code == 200 and _reason(body) not in ("WARMING_UP", "DATA_QUALITY_BAD"):
            return dict(body)
        pause.wait(0.5)
    said = {path.name: path.read_text()[-1500:] for path in (folder / "logs").iterdir()}
    raise AssertionError(f"no answer within {ANSWER_S} s; the last one: {body}; the services said: {said}")


@pytest.mark.slow
@pytest.mark.postgres
def test_a_fresh_stack_answers_a_plan_within_a_minute_and_stops_with_a_proof(folder: Path) -> None:
    with serving() as okx:
        okx.run(lambda: _walk(okx, DAYS * 1440))
        port = _free_port()
        process = _start(okx, folder, port)
        with _busy(okx), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            try:
                answer = _ask(client, process, folder)
            finally:
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=ANSWER_S)
        assert answer["status"] in ("proposed", "declined")
        assert process.returncode == 0, err
        assert json.loads(out)["proven"] is True
    log = SqliteLog(folder / "log.db", read_only=True)
    events = [decode(record.value)[1] for record in log.read("ticks", 0, 0, limit=100_000)]
    context = [decode(record.value)[1] for record in log.read("context", 0, 0, limit=100)]
    log.close()
    assert [event.state for event in context if isinstance(event, SourceStatus)] == [SourceState.DOWN]
    assert sum(isinstance(event, VenueBar) and event.backfill for event in events) >= DAYS * 1440 - 1
    assert any(isinstance(event, Trade) for event in events)
    assert isinstance(events[-1], FeedStatus)
    assert (events[-1].state, events[-1].detail) == (FeedState.LOST, "the gateway was stopped")
