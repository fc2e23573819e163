"""The whole chain on paper from a live venue: fake OKX, market gateway, SQLite log, Faust worker, a plan over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.kafka.broker import free_port
from schemas.codec import decode
from schemas.events.context import SourceState, SourceStatus
from schemas.events.market import FeedState, FeedStatus, Trade, VenueBar
from streams.log.sqlite import SqliteLog
from tests.fakes.okx import FakeOkx
from tests.live_okx import HISTORY, MINUTE_S, ask_for_plan, live_okx, variables
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-sixteen-and-more"
ANSWER_S = 2 * PATIENCE_S
"""After that nobody waits any more; a minute is what is asserted, and alone it takes a fifth of one."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that PostgreSQL's own user may enter; pytest's are closed to it."""
    made = Path(tempfile.mkdtemp(prefix="tapeline-okx-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _start(okx: FakeOkx, folder: Path, port: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ, **variables(okx), "PYTHONPATH": str(ROOT), "TAPELINE_API_TOKEN": TOKEN,
        "TAPELINE_MARK_SUBSTITUTE": "false",
        "TAPELINE_CONTEXT_SOURCES": "mempool.space", "TAPELINE_CONTEXT_URLS": "mempool.space=http://127.0.0.1:9/fees",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "services.cli", "run", "--feed", "okx", "--api", "--port", str(port), "--json",
        "--log", f"sqlite:///{folder}/log.db", "--db", f"embedded:{folder}/pg", "--folder", str(folder / "logs"),
    ]  # fmt: skip
    return subprocess.Popen(
        command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
@pytest.mark.postgres
def test_a_fresh_stack_answers_a_plan_within_a_minute_and_stops_with_a_proof(folder: Path) -> None:
    with live_okx() as okx:
        port = free_port()
        began = time.monotonic()
        process = _start(okx, folder, port)

        def look() -> None:
            assert process.poll() is None, f"tapeline run ended early: {process.communicate()[1]}"

        def said() -> dict[str, str]:
            return {path.name: path.read_text()[-1500:] for path in (folder / "logs").iterdir()}

        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            try:
                answer = ask_for_plan(client, TOKEN, look=look, patience_s=ANSWER_S, said=said)
                took = time.monotonic() - began
            finally:
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=ANSWER_S)
        print(f"tapeline run to its first plan: {took:.1f} s")
        assert took < MINUTE_S
        assert answer["status"] in ("proposed", "declined")
        assert process.returncode == 0, err
        assert json.loads(out)["proven"] is True
    log = SqliteLog(folder / "log.db", read_only=True)
    events = [decode(record.value)[1] for record in log.read("ticks", 0, 0, limit=100_000)]
    context = [decode(record.value)[1] for record in log.read("context", 0, 0, limit=100)]
    log.close()
    assert [event.state for event in context if isinstance(event, SourceStatus)] == [SourceState.DOWN]
    assert sum(isinstance(event, VenueBar) and event.backfill for event in events) >= HISTORY - 1
    assert any(isinstance(event, Trade) for event in events)
    assert isinstance(events[-1], FeedStatus)
    assert (events[-1].state, events[-1].detail) == (FeedState.LOST, "the gateway was stopped")
