"""The README's commands run and show what it says, in both languages."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from services.feeds import default_feed
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
TAPELINE = Path(sys.executable).parent / "tapeline"
DEMO_S_MAX = 300
LANGUAGES = ("README.md", "README.zh-CN.md")


def commands(readme: str) -> list[str]:
    """Return the lines of every ``sh`` block."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / readme).read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def make_targets() -> dict[str, str]:
    """Return each target's recipe."""
    text = (ROOT / "Makefile").read_text()
    found = re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)*)", text, re.MULTILINE)
    return dict(found)


def run(arguments: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, timeout=DEMO_S_MAX, check=False,
        env={**os.environ, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo over the default feed, and what it printed."""
    if default_feed() is None:
        message = "RECORDED DATA IS MISSING: set TAPELINE_SHARED_DATA to the folder of recordings"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    assert make_targets()["demo"].strip() == "$(VENV)/bin/tapeline demo"
    folder = tmp_path_factory.mktemp("readme")
    began = time.monotonic()
    done = run([str(TAPELINE), "demo"], folder)
    assert done.returncode == 0, done.stderr
    print(f"demo: {time.monotonic() - began:.0f} s; {done.stderr.splitlines()[-1]}")
    return folder, done.stdout


def test_both_languages_give_the_same_commands() -> None:
    assert commands("README.md") == commands("README.zh-CN.md")


@pytest.mark.parametrize("readme", LANGUAGES)
def test_every_make_target_it_names_exists(readme: str) -> None:
    named = set(re.findall(r"make ([a-z-]+)", "\n".join([*commands(readme), (ROOT / readme).read_text()])))
    assert named >= {"demo", "test", "check", "demo-kafka"}
    assert named <= make_targets().keys()


@pytest.mark.parametrize("readme", LANGUAGES)
def test_every_local_link_leads_somewhere(readme: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / readme).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.slow
@pytest.mark.recorded
def test_the_demo_trades_for_real_and_proves_it(demo: tuple[Path, str]) -> None:
    _, summary = demo
    total = next(line.split() for line in summary.splitlines() if line.strip().startswith("total "))
    trades, longs, shorts = map(int, total[1:4])
    assert trades >= 20
    assert min(longs, shorts) > 0
    for reason in ("STOP", "TARGET_1", "TIME"):
        assert re.search(rf"^  {reason} ", summary, re.MULTILINE), reason
    denied = next(line for line in summary.splitlines() if "verdicts denied" in line)
    assert len(re.findall(r"[A-Z_]{6,} \d", denied)) >= 5
    assert ", 0 differences" in summary
    for part in ("Buy and hold", "Worst value reached", "Assumptions in force", "Best trade", "Worst trade"):
        assert part in summary
    assert "RECORDED" in summary


@pytest.mark.slow
@pytest.mark.recorded
def test_the_commands_that_look_into_the_run_work(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    ours = [line for line in commands("README.md") if line.startswith(".venv/bin/tapeline") and " api " not in line]
    assert len(ours) >= 6
    for line in ours:
        done = run([str(TAPELINE), *shlex.split(line)[1:]], folder)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout.strip(), line
        if " log cat " in line:
            assert [json.loads(record)["event"] for record in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.recorded
def test_the_api_command_serves_the_run(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    line = next(line for line in commands("README.md") if " api " in line)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [str(TAPELINE), *shlex.split(line)[1:]],
        cwd=folder,
        env={**os.environ, "TAPELINE_API_PORT": str(port)},
        stderr=subprocess.DEVNULL,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        assert get(f"{base}/health")["status"]
        assert get(f"{base}/ready")
        trades = get(f"{base}/trades?limit=1")
        assert trades
    finally:
        server.terminate()
        assert server.wait(30) == 0


def get(url: str) -> dict[str, object]:
    """Return a JSON answer; wait for the server to come up."""
    found: list[dict[str, object]] = []

    def answered() -> bool:
        with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=10) as answer:
            found.append(json.loads(answer.read()))
        return bool(found)

    eventually(answered, f"an answer of {url}")
    return found[0]
