"""The stack without Docker, as `make up-native` starts it: the compose file's services, commands and health checks."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka.broker import answers, free_port, resolve_jars
from deploy.native import Stack, running
from deploy.tools import kafka_properties
from schemas.codec import decode
from schemas.events.journal import Claimed
from schemas.topics import JOURNAL
from streams.log import open_log
from streams.timings import SAMPLE
from tests.compose_run import Run, do, lines_of, runs_of, write_secret
from tests.fakes.okx import FakeOkx
from tests.kafka_fixture import require_kafka
from tests.live_okx import ASK, BTC, HISTORY, MINUTE_S, PRICE, ask_for_plan, live_okx, variables
from tests.tools import asked_by_prometheus, check_metrics, require
from tests.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

WAIT_S = 120
BEHIND_MAX = 50
"""Records the trader and the projector may be behind a market that goes on: it moves five times a second."""
ROOT = Path(__file__).parents[2]
PLAN = json.loads((ROOT / "examples" / "plan_trend.json").read_text())


def _gauge(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def _await_projected(stack: Stack) -> dict[str, object]:
    """Return what /ready says once trader and projector have taken everything but what came a moment ago."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        stack.check()
        ready = httpx.get(stack.url(8000, "/ready"), timeout=30).json()
        behind = (ready["log"].get("trader_lag_inputs"), ready["database"].get("projector_lag_records"))
        if all(each is not None and each < BEHIND_MAX for each in behind):
            return dict(ready)
    pytest.fail(f"not caught up in {WAIT_S} s: {ready}")


def _look_at_worker(stack: Stack) -> None:
    """It has a shard, has taken all of the history and what came since, and says how long that took."""
    worker = httpx.get(stack.url(9101, "/metrics"), timeout=30).text
    assert _gauge(worker, "tapeline_shards_live") == 1
    assert (_gauge(worker, "tapeline_trader_lag_records", topic="ticks", shard="0") or 0) < BEHIND_MAX
    assert (_gauge(worker, "tapeline_stage_seconds_count", stage="quality", shard="0") or 0) >= HISTORY // SAMPLE
    assert (_gauge(worker, "tapeline_trader_offset", topic="ticks", shard="0") or 0) >= HISTORY


def _look_at_metrics(stack: Stack) -> None:
    """Judge every page of metrics; wait until Prometheus reaches each of them and knows its Alertmanager."""
    for program in ("prometheus", "alertmanager"):
        require(program)
    assert stack.processes["venue"].poll() is None, "the trading gateway is a healthy process on paper"
    assert "nothing is sent" in stack.log_of("venue").read_text()
    adapters = httpx.get(stack.url(9106, "/metrics"), timeout=30).text
    assert _gauge(adapters, "tapeline_source_state_level", source="mempool.space") == 2, "down, and the process is well"
    assert _feed_is_up(stack)
    asked = asked_by_prometheus()
    for name, port in asked.items():
        check_metrics(httpx.get(stack.url(port, "/metrics"), timeout=30).text, name)

    def up() -> bool:
        found = httpx.get(stack.url(9090, "/api/v1/targets"), timeout=30).json()["data"]["activeTargets"]
        return asked.keys() <= {each["labels"]["job"] for each in found if each["health"] == "up"}

    eventually(up, f"Prometheus reaching {sorted(asked)}")
    told = httpx.get(stack.url(9090, "/api/v1/alertmanagers"), timeout=30).json()["data"]["activeAlertmanagers"]
    assert [each["url"] for each in told] == [stack.url(9093, "/api/v2/alerts")]


def _owner(stack: Stack) -> str:
    with closing(open_log(f"kafka://{stack.places.address('kafka', 9092)}", read_only=True)) as log:
        event = decode(log.read(JOURNAL, 0, 0, limit=1)[0].value)[1]
    assert isinstance(event, Claimed)
    return event.worker


def _feed_is_up(stack: Stack) -> bool:
    """The market gateway has said on the log that trades come, and the projector has read it there."""
    projector = httpx.get(stack.url(9102, "/metrics"), timeout=30).text
    return _gauge(projector, "tapeline_feed_up", instrument_id=BTC, channel="TRADES") == 1


def _look_at_the_broker(stack: Stack) -> None:
    """The broker knows every property that the compose file names, and has it as it is there."""
    wanted = kafka_properties(stack.places)
    admin = AdminClient({"bootstrap.servers": stack.places.address("kafka", 9092)})
    (answer,) = admin.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]).values()
    found = {name: entry.value for name, entry in answer.result(30).items()}
    assert {name: found.get(name) for name in wanted} == wanted


def _look_at_the_market(stack: Stack, okx: FakeOkx, headers: dict[str, str]) -> None:
    """What the venue showed comes back from the API: its candles as bars, its last price in a plan and a verdict."""
    candles = {int(row[0]): row for row in okx.run(lambda: list(okx.venue.market(BTC).candles["1m"].values()))}
    bars = _read(stack, "/bars", instrument_id=BTC, timeframe="1m", limit=200)
    assert len(bars) == 200
    for bar in bars:
        prices = [bar[name] for name in ("open_price", "high_price", "low_price", "close_price")]
        assert [Decimal(price) for price in prices] == [
            Decimal(price) for price in candles[bar["ts_open"] // 1000][1:5]
        ]
    refused = httpx.post(stack.url(8000, "/plans/execute"), json=PLAN, timeout=30)
    assert refused.status_code == 401
    verdict = httpx.post(stack.url(8000, "/plans/execute"), json=PLAN, headers=headers, timeout=60)
    assert verdict.status_code == 200
    outcome = verdict.json()["outcome"]["payload"]
    checks = {check["code"]: check["result"] for check in outcome["checks"]}
    assert len(outcome["checks"]) == 40
    assert (checks["INPUT_MISSING"], checks["INPUT_STALE"]) == ("PASS", "PASS"), "the market is live"
    eventually(lambda: _read(stack, "/plans", plan_id=outcome["plan_id"]), "the plan among the plans")
    (plan,) = _read(stack, "/plans", plan_id=outcome["plan_id"])
    last = Decimal(plan["entry_limit_price"]) / (
        1 - Decimal("0.001")
    )  # the plan's entry lies 0.10 % below the last price
    assert PRICE - 1 < last < PRICE + 6, "the price of the moving market, not of its history"


def _read(stack: Stack, path: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(stack.url(8000, path), params=query, timeout=30).json()["items"]
    return found


def _back_up_and_restore(stack: Stack, folder: Path) -> None:
    """Do what `make backup-stack` and `make restore-stack` would, while the stack trades: the copy is the same run."""
    copy = folder / "copy"
    for run in runs_of(lines_of("backup-stack", BACKUP=str(copy))):
        do(stack, run)
    dsn = (folder / "secrets" / "tapeline_db").read_text().strip()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    dsn = dsn.replace("/tapeline?", "/restored?")
    kafka = stack.places.address("kafka", 9092)
    other = {"TAPELINE_LOG": f"kafka://{kafka}/restored", "TAPELINE_DB_FILE": write_secret(stack, "restored", dsn)}
    done: list[str] = []
    for run in runs_of(lines_of("restore-stack", BACKUP=str(copy))):
        if "migrate" in stack.places.services[run.service].get("depends_on", {}):
            do(stack, Run("migrate", tuple(stack.places.services["migrate"]["command"]), {}, frozenset()), **other)
        done.append(do(stack, run, **other))
    ticks, rows, proof = done[0].partition("ticks")[2].split()[0], done[1], done[2]
    assert int(ticks) >= HISTORY
    assert ", 0 unreadable" in rows
    assert "PROVEN: every output is what the inputs give" in proof


def _ask_the_model_there_is_not(stack: Stack, headers: dict[str, str]) -> None:
    """Ask for a model's plan: its service runs without one, and answers so."""
    plan = httpx.post(stack.url(8000, "/plans/generate"), params={**ASK, "planner": "llm"}, headers=headers, timeout=60)
    assert plan.json()["explanation"].startswith("COMPLETION_FAILED: NOT_CONFIGURED: no model is set")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter (pytest's are closed to it)."""
    made = Path(tempfile.mkdtemp(prefix="tapeline-stack-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no context source be asked that is not on this machine."""
    monkeypatch.setenv("TAPELINE_CONTEXT_SOURCES", "mempool.space")
    monkeypatch.setenv("TAPELINE_CONTEXT_URLS", f"mempool.space=http://127.0.0.1:{free_port()}/")


def test_a_fresh_stack_plans_within_a_minute_on_a_live_market_and_stops(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_kafka()
    resolve_jars()  # as images are there already when a stack is started
    with live_okx() as okx:
        for name, value in {**variables(okx), "HOSTNAME": "container-1"}.items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        with running(folder, free_ports=True) as stack, httpx.Client(base_url=stack.url(8000), timeout=60) as client:
            up = time.monotonic() - began
            token = (folder / "secrets" / "tapeline_api_token").read_text().strip()
            answer = ask_for_plan(
                client, token, look=stack.check, patience_s=WAIT_S, said=stack.log_of("market").read_text
            )
            took = time.monotonic() - began
            print(f"make up-native: every health check after {up:.1f} s, the first plan after {took:.1f} s")
            assert took < MINUTE_S
            assert answer["status"] in ("proposed", "declined")
            assert stack.healthy("market"), "by its own health check"
            assert stack.missing == ["grafana"]
            assert not stack.unchecked
            assert _await_projected(stack)["status"] == "ready"
            projector = httpx.get(stack.url(9102, "/metrics"), timeout=30).text
            assert (_gauge(projector, "tapeline_equity_quote", account_id="paper") or 0) > 0
            disk = str(folder / "kafka" / "kafka")
            assert 0 < (_gauge(projector, "tapeline_log_disk_free_ratio", folder=disk) or 0) <= 1
            headers = {"X-API-Token": token}
            _look_at_worker(stack)
            assert _owner(stack) == "container-1", "a worker is called as its container"
            _look_at_the_broker(stack)
            _look_at_the_market(stack, okx, headers)
            _look_at_metrics(stack)
            _ask_the_model_there_is_not(stack, headers)
            _back_up_and_restore(stack, folder)
            assert not any(token in stack.log_of(name).read_text() for name in stack.processes)
            processes, ports = dict(stack.processes), dict(stack.ports)
            kafka = stack.places.ports["kafka", 9092]
    assert all(process.poll() is not None for process in processes.values())
    assert not any(answers(port) for port in (kafka, ports[8000]))


def test_without_its_venue_the_stack_starts_all_the_same_and_market_comes_when_the_venue_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require_kafka()
    port = free_port()
    monkeypatch.setenv("OKX_REST_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OKX_WS_URL", f"ws://127.0.0.1:{port}/ws/v5")
    monkeypatch.setenv("TAPELINE_INSTRUMENTS_ALLOWED", BTC)
    with running(folder, free_ports=True) as stack:

        def gone() -> bool:
            stack.check()
            return stack.processes["market"].poll() is not None

        eventually(gone, "the end of a market gateway without a venue")
        others = [name for name in stack.processes if name != "market"]
        assert {name for name in others if not stack.healthy(name)} == set()
        assert httpx.get(stack.url(8000, "/health"), timeout=30).status_code == 200
        assert "failed 5 times" in stack.log_of("market").read_text()
        assert "market ended with exit code 3, the others go on" in capfd.readouterr().err
        with live_okx(port):

            def there() -> bool:
                stack.check()
                return stack.processes["market"].poll() is None and _feed_is_up(stack)

            eventually(there, "the market gateway's return", said=stack.log_of("market").read_text)
            assert stack.healthy("market")
