"""SIGKILL of ``tapeline run`` leaves no process behind, the database server included; of ``demo`` no helper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.parent import ABANDONED
from streams.log import open_log
from streams.pipeline import stages
from streams.verify import verify
from tests.unit.services.test_feeds_bars import BARS, bar_rows, write
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Start Python with arguments in a folder of its own; whatever is left of it at the end is killed."""
    started: list[psutil.Process] = []

    def start_one(*arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (home / "out").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=home, env=environment, stdin=subprocess.PIPE,
                stdout=output, stderr=output,
            )  # fmt: skip
        started.append(psutil.Process(process.pid))
        return process

    yield start_one
    for process in started:
        if process.is_running():
            for each in [process, *process.children(recursive=True)]:
                each.kill()


def until(condition: Callable[[], bool], what: str, folder: Path) -> None:
    """Wait for a condition, not longer than PATIENCE_S."""
    eventually(condition, what, said=lambda: (folder / "out").read_text()[-3000:], patience_s=PATIENCE_S)


def family(process: subprocess.Popen[bytes], database: Path) -> list[psutil.Process]:
    """Return the children of a process, theirs too, and the database server."""
    server = psutil.Process(int((database / "postmaster.pid").read_text().split()[0]))
    return [*psutil.Process(process.pid).children(recursive=True), server]


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_killed_run_takes_its_services_with_it_and_they_stop_cleanly(start: Start, home: Path) -> None:
    feed = write(home, "BTC-USDT-SWAP_1m_20250319-20250319.csv.gz", BARS, *bar_rows(600))
    places = [
        "--log",
        f"sqlite:///{home}/log.db",
        "--db",
        f"embedded:{home}/pg",
        "--folder",
        f"{home}/logs",
    ]
    process = start("-m", "services.cli", "run", "--feed", str(feed), "--speed", "1", *places)
    worker, projector = home / "logs/worker.log", home / "logs/projector.log"
    until(lambda: worker.exists() and "live at step" in worker.read_text(), "a live worker", home)
    until(lambda: "postmaster.pid" in os.listdir(home / "pg"), "a database", home)
    left = family(process, home / "pg")
    named = [" ".join(each.cmdline()) for each in left]
    assert [word for word in (" worker ", " projector ") if not any(word in line for line in named)] == []
    kill(process)
    _, alive = psutil.wait_procs(left, timeout=PATIENCE_S)
    assert alive == [], projector.read_text()[-2000:]
    log = open_log(f"sqlite:///{home}/log.db")
    assert log.end_offset("checkpoints", 0) > 0  # the worker was asked to stop, and did
    assert verify(log, 0, stages()).proven
    log.close()


@pytest.mark.slow
@pytest.mark.postgres
def test_a_killed_demo_takes_its_projector_with_it(start: Start, home: Path) -> None:
    feed = write(home, "BTC-USDT-SWAP_1m_20250301-20250319.csv.gz", BARS, *bar_rows(20_000))
    process = start("-m", "services.cli", "demo", "--feed", str(feed), "--folder", f"{home}/demo")
    helpers: list[psutil.Process] = []

    def has_helper() -> bool:
        children = psutil.Process(process.pid).children()
        helpers[:] = [
            p for p in children if p.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(p.cmdline())
        ]
        return bool(helpers)

    until(has_helper, "a projector", home)
    kill(process)
    assert psutil.wait_procs(helpers, timeout=PATIENCE_S)[1] == []


POOL = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from streams.children import end_with_parent
with ProcessPoolExecutor(2, initializer=end_with_parent) as pool:
    list(pool.map(abs, range(8)))
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_helpers_of_verify_end_with_a_killed_parent(start: Start, home: Path) -> None:
    process = start("-c", POOL)
    until(lambda: "ready" in (home / "out").read_text(), "a pool", home)
    helpers = psutil.Process(process.pid).children(recursive=True)
    assert helpers
    kill(process)
    assert psutil.wait_procs(helpers, timeout=PATIENCE_S)[1] == []


EARLY = """
import threading
from services.parent import end_with_parent
end_with_parent()
try:
    print("open", flush=True)
    while True:
        threading.Event().wait(1.0)
finally:
    print("closed", flush=True)
"""


def test_a_service_asked_to_stop_while_it_starts_closes_what_it_has_opened(start: Start, home: Path) -> None:
    process = start("-c", EARLY)
    until(lambda: "open" in (home / "out").read_text(), "something opened", home)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM
    assert (home / "out").read_text() == "open\nclosed\n"


DEAF = """
import signal, threading
from services.parent import end_with_parent
end_with_parent(grace_s=0.2)
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
while True:
    threading.Event().wait(1.0)
"""


def test_a_service_that_does_not_stop_when_asked_is_ended(start: Start, home: Path) -> None:
    process = start("-c", DEAF)
    assert process.stdin is not None
    process.stdin.write(b"words are no end")
    process.stdin.flush()
    process.stdin.close()
    assert process.wait(PATIENCE_S) == ABANDONED
    assert (home / "out").read_text() == "asked\n"
