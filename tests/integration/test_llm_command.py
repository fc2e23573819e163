"""``tapeline llm`` beside ``tapeline worker`` and the API: a plan on request, a killed service, keys that stay in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.kafka.broker import free_port
from schemas.events.model import CompletionsClaimed
from services.api import create_app
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log.sqlite import SqliteLog
from tests.fakes.models.openai import KEY
from tests.fakes.models.server import Fails, FakeModels, Hangs, Says, fake_models
from tests.live_server import serving
from tests.llm_desk import BTC, MODEL, answers, on
from tests.llm_market import SETTINGS, Market, obedient
from tests.tools import check_metrics
from tests.waiting import eventually

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TOKEN = "correct-horse-battery-staple"
OTHER_KEY = "gsk_planted0Key0of0another0provider"
"""In the environment, as people have them there, and none of our business."""


class Programs:
    """The worker and the completion service as processes, and the API in this one, over one log."""

    def __init__(self, folder: Path, fake: FakeModels) -> None:
        self.folder, self.fake, self.port = folder, fake, free_port()
        self.log = SqliteLog(folder / "log.db")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *options: str) -> None:
        """Start ``tapeline NAME``, as chatty as it can be."""
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "TAPELINE_LOG": f"sqlite:///{self.log.path}",
            "TAPELINE_LOG_LEVEL": "DEBUG", "TAPELINE_LLM_MODEL": MODEL, "TAPELINE_LLM_API_KEY": KEY,
            "TAPELINE_LLM_API_BASE": self.fake.base, "GROQ_API_KEY": OTHER_KEY,
        }  # fmt: skip
        with (self.folder / f"{name}.err").open("ab") as said:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "services.cli", name, *options],
                cwd=self.folder, env=environment, stderr=said, stdout=said,
            )  # fmt: skip

    def start_llm(self) -> None:
        """Start the completion service and wait until it has claimed."""
        claims = len(on(self.log, CompletionsClaimed))
        self.start("llm", "--metrics-port", str(self.port))
        eventually(lambda: len(on(self.log, CompletionsClaimed)) > claims, "a claim", said=lambda: self.said("llm"))

    def end(self, name: str, number: signal.Signals) -> int:
        """Signal a process and return its exit code."""
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(60)

    def said(self, name: str) -> str:
        """Return everything a program has written."""
        return (self.folder / f"{name}.err").read_text()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeModels]:
    with fake_models() as running:
        running.always = Says(obedient)
        yield running


@pytest.fixture(scope="module")
def programs(fake: FakeModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    folder = tmp_path_factory.mktemp("llm")
    Market(folder / "log.db", chosen=replace(SETTINGS, decision_planner="RULES", model_time_limit_s=60)).close()
    made = Programs(folder, fake)
    made.start("worker")
    made.start_llm()
    yield made
    for process in made.running.values():
        process.kill()
        process.wait()
    made.log.close()


@pytest.fixture(scope="module")
def api(programs: Programs) -> Iterator[httpx.Client]:
    """A client of the API, whose database is out of reach: the control side does without."""
    service = load_settings(environ={"TAPELINE_API_TOKEN": TOKEN}, env_file=None).service
    reads = ReadDatabase("postgresql://nobody@127.0.0.1:9/none")
    app = create_app(programs.log, reads, Settings(service, SETTINGS))
    with serving(app) as url, httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=90) as client:
        yield client


def generated(api: httpx.Client) -> dict[str, Any]:
    response = api.post("/plans/generate?symbol=BTC-USDT&market_type=perp&planner=llm")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_plan_is_written_by_the_model_and_explained_in_a_few_words(api: httpx.Client, programs: Programs) -> None:
    body = generated(api)
    assert body["status"] == "proposed", body
    plan = body["outcome"]["payload"]
    assert (plan["origin"], plan["model"], plan["execute"], plan["instrument_id"]) == ("MODEL", MODEL, False, BTC)
    assert body["explanation"].startswith(f"LONG {BTC}, trend: LIMIT entry at ")
    assert plan["rationale"]["summary"] in body["explanation"]
    page = httpx.get(f"http://127.0.0.1:{programs.port}/metrics", timeout=30).text
    check_metrics(page, "llm")
    assert f'tapeline_llm_requests_total{{model="{MODEL}",outcome="received"}} ' in page
    assert 'tapeline_llm_tokens_total{kind="prompt"} 1000.0' in page
    assert "tapeline_llm_cost_usd_total 0.00027" in page
    assert "tapeline_llm_latency_seconds_count 1.0" in page
    assert 'tapeline_llm_budget_left_ratio{budget="tokens"} 0.9976' in page  # 1200 of 500000


def test_a_service_killed_while_a_model_is_asked_does_not_pay_for_it_twice(
    api: httpx.Client, programs: Programs, fake: FakeModels
) -> None:
    before = len(fake.asked)
    fake.script.append(Hangs())
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(generated, api)
        eventually(lambda: len(fake.asked) == before + 1, "the question", said=lambda: programs.said("llm"))
        assert programs.end("llm", signal.SIGKILL) == -signal.SIGKILL
        programs.start_llm()
        body = asking.result(90)
    assert body["status"] == "declined", body
    assert body["explanation"].startswith("COMPLETION_FAILED: PROVIDER_ERROR: interrupted: ")
    assert len(fake.asked) == before + 1
    assert generated(api)["status"] == "proposed", "the next question is asked"


def test_keys_are_neither_on_the_log_nor_in_logs_whatever_a_provider_does(
    api: httpx.Client, programs: Programs, fake: FakeModels
) -> None:
    quotes = f"no such key: {KEY}, Authorization: Bearer {KEY}"
    fake.script.extend([Fails(500, message=quotes), Says(f'{{"no_plan": "the key is {KEY}"}}')])
    assert generated(api)["explanation"] == "NO_SETUP: the model proposes nothing: the key is [redacted]"
    fake.script.append(Fails(401, message=quotes))
    assert generated(api)["explanation"].startswith("COMPLETION_FAILED: NOT_CONFIGURED: ")
    page = httpx.get(f"http://127.0.0.1:{programs.port}/metrics", timeout=30).text
    assert programs.end("llm", signal.SIGTERM) == 0
    assert programs.end("worker", signal.SIGTERM) == 0
    assert len(answers(programs.log)) == programs.log.end_offset("prompts", 0)
    assert "answered: " in programs.said("llm")
    said = programs.said("llm") + programs.said("worker") + page
    stored = b"".join(path.read_bytes() for path in programs.folder.glob("log.db*"))
    for key in (KEY, OTHER_KEY):
        assert key not in said
        assert key.encode() not in stored
