"""What a user of ``worker``, ``run`` and ``demo`` sees when the kernel refuses an input: one message, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.settings import TradingSettings
from services.bootstrap import prepare_log
from services.cli import exit_code_of
from services.demo import DemoError, run_demo
from services.feeds import open_feed
from services.feeds.synthetic import synthetic_feed
from streams.journal import TraderStopped
from streams.log import open_log
from streams.log.base import NewRecord
from tests.unit.services.test_feeds_bars import BARS, bar_rows, write

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WORDS = (
    "shard 0: commands offset 0 cannot be taken: ",
    "a record of topic commands cannot be read: not Confluent-framed Avro",
    "run the version that wrote it, or restore the topic from a backup",
    "`tapeline log cat commands --from-offset 0 --limit 1` shows the record",
)


def with_garbage(url: str) -> str:
    """Make a log whose first command cannot be read; return its URL."""
    log = open_log(url)
    first = next(iter(synthetic_feed()))[0].ts_event
    prepare_log(log, TradingSettings(), ts_event=first)
    log.append([NewRecord("commands", 0, b"paper", b"garbage", 1)])
    log.close()
    return url


def tapeline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def feed_file(folder: Path) -> Path:
    return write(folder, "BTC-USDT-SWAP_1m_20250319-20250319.csv.gz", BARS, *bar_rows(30))


def assert_said_in_one_line(done: subprocess.CompletedProcess[str]) -> None:
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("tapeline: "))
    assert [words for words in WORDS if words not in line] == []
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == 1


def test_the_worker_says_it_in_one_log_line_and_exits_1(home: Path) -> None:
    done = tapeline(home, "worker", "--log", with_garbage(f"sqlite:///{home}/log.db"), "--until-idle")
    (entry,) = (e for line in done.stderr.splitlines() if (e := json.loads(line))["level"] == "critical")
    assert [words for words in WORDS if words not in entry["event"]] == []
    assert "exception" not in entry
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def assert_the_demo_says_it(home: Path, url: str) -> None:
    """Run the demo's phases on a log that ``tapeline demo`` would refuse, without a database: trading ends first."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises((TraderStopped, DemoError)) as ended:
        run_demo(
            open_feed([feed_file(home)]), TradingSettings(), dsn=nowhere, log_url=with_garbage(url), language="en",
            progress=lambda *_: None,
        )  # fmt: skip
    assert [words for words in WORDS if words not in str(ended.value)] == []
    assert exit_code_of(ended.value) == 1


def test_the_demo_on_sqlite_says_it_in_one_message(home: Path) -> None:
    assert_the_demo_says_it(home, f"sqlite:///{home}/log.db")


@pytest.mark.kafka
def test_the_demo_on_kafka_says_it_in_one_message(home: Path, kafka_url: str) -> None:
    assert_the_demo_says_it(home, kafka_url)


@pytest.mark.postgres
def test_run_ends_at_once_with_what_its_worker_said(home: Path) -> None:
    url = with_garbage(f"sqlite:///{home}/log.db")
    places = ["--feed", str(feed_file(home)), "--log", url, "--db", f"embedded:{home}/pg"]
    done = tapeline(home, "run", *places, "--folder", str(home / "logs"))
    assert_said_in_one_line(done)
    assert "worker ended with exit code 1; see " in done.stderr


def test_a_worker_that_is_to_stop_when_idle_does_not_wait_for_settings_nobody_writes(home: Path) -> None:
    done = tapeline(home, "worker", "--log", f"sqlite:///{home}/log.db", "--until-idle")
    assert "shard 0 has no settings yet" in done.stderr
    assert "tapeline feed import" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 3
