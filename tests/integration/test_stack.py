"""The stack without Docker, as `make up-native` starts it: the compose file's services, commands and health checks."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.kafka.broker import answers, free_port
from deploy.native import Stack, running
from schemas.settings import TradingSettings
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.log import open_log
from streams.timings import SAMPLE
from tests.kafka_fixture import require_kafka
from tests.tools import check_metrics, require
from tests.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

TICKS = 9_300
"""Three days of history and some hours that trade."""
WAIT_S = 120
ROOT = Path(__file__).parents[2]
PLAN = json.loads((ROOT / "examples" / "plan_trend.json").read_text())


def _gauge(text: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


def _await_projected(stack: Stack) -> dict[str, object]:
    """Return what /ready says once trader and projector have taken everything."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        stack.check()
        ready = httpx.get(stack.url(8000, "/ready"), timeout=30).json()
        if ready["log"].get("trader_lag_inputs") == 0 and ready["database"].get("projector_lag_records") == 0:
            return dict(ready)
    pytest.fail(f"not caught up in {WAIT_S} s: {ready}")


def _metrics_ports() -> dict[str, int]:
    """Return the port of /metrics of every service of ours that Prometheus asks."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [
        target for job in config["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    return {name: int(port) for name, _, port in (target.partition(":") for target in targets)}


def _look_at_worker(stack: Stack) -> None:
    """It has a shard and has taken every tick, and says how long that took."""
    worker = httpx.get(stack.url(9101, "/metrics"), timeout=30).text
    assert _gauge(worker, "tapeline_shards_live") == 1
    assert _gauge(worker, "tapeline_trader_lag_records", topic="ticks", shard="0") == 0
    assert (_gauge(worker, "tapeline_stage_seconds_count", stage="quality", shard="0") or 0) >= TICKS // SAMPLE
    assert (_gauge(worker, "tapeline_trader_offset", topic="ticks", shard="0") or 0) >= TICKS


def _look_at_metrics(stack: Stack) -> None:
    """Judge every page of metrics; wait until Prometheus reaches each of them and knows its Alertmanager."""
    for program in ("prometheus", "alertmanager"):
        require(program)
    assert stack.processes["venue"].poll() is None, "the trading gateway is a healthy process on paper"
    assert "nothing is sent" in stack.log_of("venue").read_text()
    adapters = httpx.get(stack.url(9106, "/metrics"), timeout=30).text
    assert _gauge(adapters, "tapeline_source_state_level", source="mempool.space") == 2, "down, and the process is well"
    assert _gauge(adapters, "tapeline_context_held_back") == 1, "the log is a recording: nothing of today is put on it"
    asked = set(_metrics_ports()) - {"market"}  # which has nobody to talk to, ends, and is started again
    for name in asked:
        check_metrics(httpx.get(stack.url(_metrics_ports()[name], "/metrics"), timeout=30).text, name)

    def up() -> bool:
        found = httpx.get(stack.url(9090, "/api/v1/targets"), timeout=30).json()["data"]["activeTargets"]
        return asked <= {each["labels"]["job"] for each in found if each["health"] == "up"}

    eventually(up, f"Prometheus reaching {asked}")
    told = httpx.get(stack.url(9090, "/api/v1/alertmanagers"), timeout=30).json()["data"]["activeAlertmanagers"]
    assert [each["url"] for each in told] == [stack.url(9093, "/api/v2/alerts")]


def _ask_the_model_there_is_not(stack: Stack, headers: dict[str, str]) -> None:
    """Ask for a model's plan: its service runs without one, and answers so."""
    asked = {"symbol": "BTC-USDT", "market_type": "perp", "planner": "llm"}
    plan = httpx.post(stack.url(8000, "/plans/generate"), params=asked, headers=headers, timeout=60)
    assert plan.json()["explanation"].startswith("COMPLETION_FAILED: NOT_CONFIGURED: no model is set")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may enter (pytest's are closed to it)."""
    made = Path(tempfile.mkdtemp(prefix="tapeline-stack-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_stack_trades_projects_answers_and_stops_though_the_venue_is_out_of_reach(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_kafka()
    nobody = free_port()
    monkeypatch.setenv("OKX_REST_URL", f"http://127.0.0.1:{nobody}")
    monkeypatch.setenv("OKX_WS_URL", f"ws://127.0.0.1:{nobody}/ws/v5")
    monkeypatch.setenv("TAPELINE_CONTEXT_SOURCES", "mempool.space")
    monkeypatch.setenv("TAPELINE_CONTEXT_URLS", f"mempool.space=http://127.0.0.1:{nobody}/")
    with running(folder, free_ports=True) as stack:
        assert "grafana" in stack.missing
        kafka = (folder / "kafka" / "broker.address").read_text().strip()
        log = open_log(f"kafka://{kafka}")
        import_feed(log, islice(synthetic_feed(), TICKS), TradingSettings())
        log.close()
        ready = _await_projected(stack)
        assert ready["status"] == "ready"

        projector = httpx.get(stack.url(9102, "/metrics"), timeout=30).text
        assert (_gauge(projector, "tapeline_equity_quote", account_id="paper") or 0) > 0
        _look_at_worker(stack)

        disk = str((folder / "kafka").absolute())
        assert 0 < (_gauge(projector, "tapeline_log_disk_free_ratio", folder=disk) or 0) <= 1
        _look_at_metrics(stack)

        token = (folder / "secrets" / "tapeline_api_token").read_text().strip()
        headers = {"X-API-Token": token}
        refused = httpx.post(stack.url(8000, "/plans/execute"), json=PLAN, timeout=30)
        assert refused.status_code == 401
        verdict = httpx.post(stack.url(8000, "/plans/execute"), json=PLAN, headers=headers, timeout=60)
        assert verdict.status_code == 200
        assert len(verdict.json()["outcome"]["payload"]["checks"]) == 40
        _ask_the_model_there_is_not(stack, headers)
        assert not any(token in stack.log_of(name).read_text() for name in stack.processes)
        assert stack.log_of("market").read_text(), "the market gateway said why it could not start"
        processes = dict(stack.processes)
        ports = dict(stack.ports)
    assert all(process.poll() is not None for process in processes.values())
    assert not any(answers(port) for port in (int(kafka.rpartition(":")[2]), ports[8000]))
