"""``tapeline gateway okx-market`` as an operator meets it: a process, its exit codes and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from schemas.codec import decode
from schemas.events.market import FeedState, FeedStatus
from streams.log.sqlite import SqliteLog
from tests.fakes.okx import FakeOkx, serving
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
BTC = "BTC-USDT-SWAP"
BOUND_S = 60


def _start(okx: FakeOkx, log: Path, **more: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OKX_REST_URL": okx.rest_url, "OKX_WS_URL": okx.ws_url,
        "TAPELINE_INSTRUMENTS_ALLOWED": BTC, "OKX_CHANNELS": "trades,bars", **more,
    }  # fmt: skip
    command = [sys.executable, "-m", "services.cli", "gateway", "okx-market", "--log", f"sqlite:///{log}", "--json"]
    return subprocess.Popen(
        command, env=environment, cwd=log.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_it_needs_no_key_and_ends_cleanly_with_its_counts(tmp_path: Path) -> None:
    with serving() as okx:
        process = _start(okx, tmp_path / "log.db")
        eventually(
            lambda: okx.run(lambda: okx.hub.subscribed("candle1m")),
            "a subscription",
            alive=lambda: process.poll() is None,
            said=lambda: process.communicate()[1] if process.poll() is not None else "",
            patience_s=BOUND_S,
        )
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=BOUND_S)
        asked = okx.run(lambda: [name for name, _ in okx.requests])
    assert process.returncode == 0, err
    assert json.loads(out)["quarantined"] == 0
    assert all(name.startswith(("public/", "market/", "GET public/", "GET market/")) for name in asked), asked
    log = SqliteLog(tmp_path / "log.db", read_only=True)
    events = [decode(record.value)[1] for record in log.read("ticks", 0, 0, limit=1_000)]
    log.close()
    assert isinstance(events[-1], FeedStatus)
    assert (events[-1].state, events[-1].detail) == (FeedState.LOST, "the gateway was stopped")


def test_an_instrument_that_does_not_exist_is_wrong_use(tmp_path: Path) -> None:
    with serving() as okx:
        process = _start(okx, tmp_path / "log.db", TAPELINE_INSTRUMENTS_ALLOWED="DOGE-USDT-SWAP")
        _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 2
    assert "DOGE-USDT-SWAP" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_venue_that_is_not_there_is_a_missing_dependency(tmp_path: Path) -> None:
    with serving() as okx:
        process = _start(okx, tmp_path / "log.db", OKX_REST_URL="http://127.0.0.1:9")
        _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 3
    assert "public_get_public_time failed 5 times" in err.splitlines()[-1]


def test_a_channel_that_is_none_stops_the_start(tmp_path: Path) -> None:
    with serving() as okx:
        process = _start(okx, tmp_path / "log.db", OKX_CHANNELS="trades,tades,bars")
        _, err = process.communicate(timeout=BOUND_S)
        assert okx.requests == []
    assert process.returncode == 2
    assert "OKX_CHANNELS: unknown channel tades" in err
