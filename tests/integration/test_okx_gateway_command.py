"""``tapeline gateway okx`` as a process: killed and started again, and what it refuses, at the fake OKX."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.kafka.broker import free_port
from schemas.codec import decode
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import AccountSnapshot
from schemas.settings import TradingSettings
from schemas.topics import REPORTS
from services.bootstrap import prepare_log
from streams.log.sqlite import SqliteLog
from tests.fakes.okx import DEMO_KEY, FakeOkx, serving
from tests.tools import check_metrics
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture
def okx() -> Iterator[FakeOkx]:
    with serving(FakeOkx(keys=(DEMO_KEY,))) as fake:
        yield fake


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log.db")
    prepare_log(opened, TradingSettings(account_id="okx", venue="OKX"))
    yield opened
    opened.close()


def start(okx: FakeOkx, folder: Path, **values: str) -> subprocess.Popen[str]:
    """Start the gateway on the log of a folder."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TAPELINE_LOG": f"sqlite:///{folder / 'log.db'}",
        "TAPELINE_MODE": "demo",
        "TAPELINE_VENUE": "OKX",
        "TAPELINE_ACCOUNT_ID": "okx",
        "OKX_API_KEY": DEMO_KEY.key,
        "OKX_API_SECRET": DEMO_KEY.secret,
        "OKX_API_PASSPHRASE": DEMO_KEY.passphrase,
        "OKX_REST_URL": okx.rest_url,
        "OKX_WS_URL": okx.ws_url,
        **values,
    }
    command = [sys.executable, "-m", "services.cli", "gateway", "okx"]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def shown(port: int) -> str:
    """Return what is served at /metrics; nothing while nobody answers."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except httpx.TransportError:
        return ""


def kinds(log: SqliteLog) -> list[type]:
    return [type(decode(record.value)[1]) for record in log.read(REPORTS, 0, 0, limit=1_000)]


def test_a_killed_gateway_is_started_again_and_claims_anew(okx: FakeOkx, log: SqliteLog, tmp_path: Path) -> None:
    port = free_port()
    first = start(okx, tmp_path, TAPELINE_METRICS_PORT=str(port))
    eventually(lambda: AccountSnapshot in kinds(log), "a snapshot", alive=lambda: first.poll() is None)
    eventually(lambda: "tapeline_gateway_link_up 1.0" in shown(port), "a link", alive=lambda: first.poll() is None)
    metrics = shown(port)
    assert "tapeline_gateway_trading 1.0" in metrics
    assert "tapeline_gateway_reconciliations_total 0.0" not in metrics
    check_metrics(metrics, "gateway")
    first.kill()
    first.wait()
    before = len(kinds(log))
    second = start(okx, tmp_path)
    eventually(lambda: AccountSnapshot in kinds(log)[before:], "another", alive=lambda: second.poll() is None)
    second.send_signal(signal.SIGTERM)
    said, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, said
    assert "reconciliations; resting entries are left to the venue's own switch" in said
    assert [kind for kind in kinds(log) if kind is not AccountSnapshot] == [GatewayClaimed, GatewayClaimed]
    for secret in (DEMO_KEY.key, DEMO_KEY.secret, DEMO_KEY.passphrase):
        assert secret not in said


def test_a_second_gateway_takes_over_and_the_first_ends_with_start_me_again(
    okx: FakeOkx, log: SqliteLog, tmp_path: Path
) -> None:
    first = start(okx, tmp_path)
    eventually(lambda: AccountSnapshot in kinds(log), "a snapshot", alive=lambda: first.poll() is None)
    second = start(okx, tmp_path)
    eventually(lambda: kinds(log).count(GatewayClaimed) == 2, "a claim", alive=lambda: second.poll() is None)
    okx.run(lambda: okx.control.transfer("USDT", "5"))  # something to tell, so that the first one finds out
    said, _ = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 75, said
    assert "another gateway owns them" in said
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_S) == 0


def test_on_paper_it_is_a_healthy_process_that_sends_nothing_and_says_so(okx: FakeOkx, tmp_path: Path) -> None:
    port = free_port()
    without_key = dict.fromkeys(("OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE"), "")
    paper = {"TAPELINE_MODE": "paper", "TAPELINE_VENUE": "PAPER", "TAPELINE_METRICS_PORT": str(port)}
    process = start(okx, tmp_path, **paper, **without_key)
    eventually(lambda: "tapeline_gateway_trading 0.0" in shown(port), "metrics", alive=lambda: process.poll() is None)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert "nothing is sent" in said
    assert not (tmp_path / "log.db").exists(), "a log it has no business with"


def test_live_without_its_switch_is_refused_and_writes_nothing(okx: FakeOkx, log: SqliteLog, tmp_path: Path) -> None:
    process = start(okx, tmp_path, TAPELINE_MODE="live")
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, said
    assert "LIVE_TRADING_ENABLED: is false; real orders need true" in said
    assert kinds(log) == []
