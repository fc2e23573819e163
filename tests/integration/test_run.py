"""``tapeline run``: every service on one machine, watched and stopped together; no planted secret in any log of it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from itertools import islice
from pathlib import Path
from threading import Event as Alarm
from typing import Any

import httpx
import pytest

from schemas.events.market import MarkPrice, Trade, VenueBar
from schemas.values import SECOND
from services.running import ServiceEnded, Services, paced
from streams.log.sqlite import SqliteLog
from streams.pipeline import stages
from streams.verify import verify
from tests.builders import T0, message
from tests.events import sample
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
BARS = 5_000
"""Three days of history, then half a day of trading."""
SECRETS = {
    "TAPELINE_API_TOKEN": "plantedToken-b6f1c4e29a",
    "TAPELINE_DB_READ_PASSWORD": "plantedPassword-77aa31",
    "OKX_API_KEY": "plantedKey-0f3d9b18-55e2",
    "OKX_API_SECRET": "plantedSecret-9C1E7A44D0",
    "OKX_API_PASSPHRASE": "plantedPassphrase-5b2e",
}
WRONG_TOKEN = "plantedGuess-31337aaaa"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_ready(client: httpx.Client, process: subprocess.Popen[str]) -> dict[str, Any]:
    pause = Alarm()
    for _ in range(900):
        assert process.poll() is None, "tapeline run ended early"
        try:
            response = client.get("/ready")
        except httpx.TransportError:
            pause.wait(0.1)
            continue
        body: dict[str, Any] = response.json()
        at_end = response.status_code == 200 and body["log"]["inputs"] > BARS
        if at_end and body["log"]["trader_lag_inputs"] == 0 and body["database"]["projector_lag_records"] == 0:
            return body
        pause.wait(0.1)
    raise AssertionError(f"never ready: {body}")


def _short_feed(shared_data: Path, folder: Path) -> Path:
    feed = folder / "BTC-USDT-SWAP_1m_20250318-20250321.csv.gz"
    with (
        gzip.open(shared_data / "okx/candles/BTC-USDT-SWAP_1m_20250318-20250417.csv.gz", "rt") as whole,
        gzip.open(feed, "wt") as part,
    ):
        part.writelines(islice(whole, BARS + 1))
    return feed


def _run_command(feed: Path, folder: Path, port: int) -> list[str]:
    command = [
        sys.executable,
        "-m",
        "services.cli",
        "--debug",
        "run",
        "--feed",
        str(feed),
        "--api",
        "--port",
        str(port),
    ]
    places = ["--log", f"sqlite:///{folder}/log.db", "--db", f"embedded:{folder}/pg", "--folder", str(folder / "logs")]
    return [*command, *places, "--json"]


@pytest.mark.slow
@pytest.mark.recorded
@pytest.mark.postgres
def test_a_full_run_works_stops_in_order_and_logs_no_secret(shared_data: Path, tmp_path: Path) -> None:
    feed, port = _short_feed(shared_data, tmp_path), _free_port()
    environment = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        _run_command(feed, tmp_path, port), env=environment, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        try:
            _until_ready(client, process)
            token = {"X-API-Token": SECRETS["TAPELINE_API_TOKEN"]}
            plan = json.loads((ROOT / "examples" / "plan_trend.json").read_text())
            assert client.post("/plans/execute", json=plan, headers=token).status_code == 200
            assert client.post("/risk/pause", headers={"X-API-Token": WRONG_TOKEN}).status_code == 401
            assert client.get("/bars?limit=1").json()["items"]
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["proven"] is True
    written = out + err + "".join(path.read_text(errors="replace") for path in (tmp_path / "logs").iterdir())
    assert len(written) > 5_000
    assert [name for name, value in {**SECRETS, "guess": WRONG_TOKEN}.items() if value in written] == []
    log = SqliteLog(tmp_path / "log.db", read_only=True)
    assert verify(log, 0, stages()).proven
    log.close()


def test_a_paced_feed_waits_for_the_live_market_only() -> None:
    waits: list[float] = []
    history = sample(VenueBar, 0)  # samples of even number are backfill
    live = sample(Trade, 1)
    feed = [
        (message(event, ts=T0 + seconds * SECOND).envelope, event)
        for seconds, event in ((0, history), (3600, sample(MarkPrice, 1)), (7200, live), (7260, live), (7320, live))
    ]
    assert len(list(paced(feed, speed=60, skip=0, wait=waits.append))) == 5
    assert [round(wait) for wait in waits] == [1, 2]


def test_a_paced_feed_takes_what_the_log_has_already_at_once_and_ends_when_told() -> None:
    waits: list[float] = []
    feed = [(message(event, ts=T0 + n * SECOND).envelope, event) for n in range(10) for event in (sample(Trade, n),)]
    assert len(list(paced(feed, speed=1, skip=8, wait=waits.append))) == 10
    assert [round(wait) for wait in waits] == [1]
    assert len(list(paced(feed, speed=1, skip=0, wait=lambda _: True))) == 1


def test_a_service_that_ends_is_named_with_its_log(tmp_path: Path) -> None:
    with Services(tmp_path, env_file=tmp_path / "none") as services:
        services.start("looker", "log", "cat", "nothing")
        with pytest.raises(ServiceEnded, match=r"looker ended with exit code 2; see .*looker\.log"):
            _check_until_ended(services)
    assert "nothing: no such topic" in (tmp_path / "looker.log").read_text()


def _check_until_ended(services: Services) -> None:
    pause = Alarm()
    for _ in range(600):
        services.check()
        pause.wait(0.05)


@pytest.mark.slow
@pytest.mark.recorded
@pytest.mark.postgres
def test_the_review_of_a_recording_is_shown_while_the_api_goes_on_and_not_twice(
    shared_data: Path, tmp_path: Path
) -> None:
    feed, port = _short_feed(shared_data, tmp_path), _free_port()
    command = [argument for argument in _run_command(feed, tmp_path, port) if argument != "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = (tmp_path / "shown").open("w+")
    process = subprocess.Popen([*command, "--no-prove"], env=environment, cwd=tmp_path, stdout=shown, stderr=shown)
    try:
        eventually(
            lambda: "the API goes on until Ctrl-C" in (tmp_path / "shown").read_text(), "the review",
            alive=lambda: process.poll() is None,
        )  # fmt: skip
        before = (tmp_path / "shown").read_text()
        assert f"review run --log sqlite:///{tmp_path}/log.db; Ctrl-C ends the run and shows it" in before
        assert before.count("Run summary") == 1
        assert httpx.get(f"http://127.0.0.1:{port}/positions?open=true", timeout=60).status_code == 200
        asked = subprocess.run(
            [sys.executable, "-m", "services.cli", "review", "run", "--log", f"sqlite:///{tmp_path}/log.db"],
            env=environment, cwd=tmp_path, text=True, capture_output=True, timeout=120,
        )  # fmt: skip
        assert asked.stdout.strip() in before, "the same, from beside it"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
        shown.close()
    assert (tmp_path / "shown").read_text().count("Run summary") == 1
