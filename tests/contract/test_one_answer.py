"""One core, one answer: batch, Faust on SQLite and Faust on Kafka write the same bytes for the same ticks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.settings import TradingSettings
from schemas.topics import OUTPUTS
from services.bootstrap import prepare_log
from streams.log import open_log
from streams.log.base import NewRecord
from streams.pipeline import stages
from streams.verify import topic_digest, verify
from tests.fault.killing import records
from tests.tapes import recorded_ticks

ROOT = Path(__file__).parent.parent.parent
RUN_S_MAX = 300
HASH_SEEDS = ("0", "1", "20250318")

Digests = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def tape() -> tuple[list[NewRecord], int]:
    """Six days of both instruments, the first three of them history, as the log holds them."""
    ticks = recorded_ticks(days=6, warmup_days=3)
    return records(ticks), ticks[0][0].ts_event


def run(
    url: str,
    tape: tuple[list[NewRecord], int],
    command: list[str],
    hash_seed: str,
    settings: TradingSettings | None = None,
) -> Digests:
    """Put the ticks on a log, run a runner over it in a process of its own, verify, and return digests by topic."""
    ticks, first = tape
    log = open_log(url)
    prepare_log(log, settings or TradingSettings(), ts_event=first)
    log.append(ticks)
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, timeout=RUN_S_MAX, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    report = verify(log, 0, stages())
    assert report.difference is None, report.difference
    digests = {topic: topic_digest(log, 0, topic) for topic in OUTPUTS}
    log.close()
    return digests


def batch(url: str) -> list[str]:
    return ["tests.fault.batch_worker", url, "--until-idle"]


def faust(url: str) -> list[str]:
    return ["streams.app", "--log", url, "--until-idle"]


@pytest.fixture(scope="module")
def answer(tape: tuple[list[NewRecord], int], tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """What the batch runner writes."""
    url = f"sqlite:///{tmp_path_factory.mktemp('answer')}/log.db"
    return run(url, tape, batch(url), HASH_SEEDS[0])


def show(digests: Digests) -> None:
    for topic, (count, digest) in digests.items():
        print(f"{topic:<10} {count:>8} {digest}")


def test_the_answer_holds_trades_and_is_shown(answer: Digests) -> None:
    show(answer)
    assert answer["fills"][0] > 20
    assert answer["verdicts"][0] > 20


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
@pytest.mark.parametrize("runner", [batch, faust])
def test_sqlite_gives_the_same_bytes_under_every_hash_seed(
    runner: Callable[[str], list[str]],
    hash_seed: str,
    tape: tuple[list[NewRecord], int],
    answer: Digests,
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    assert run(url, tape, runner(url), hash_seed) == answer


@pytest.mark.slow
def test_what_the_paper_venue_draws_is_the_same_in_both_runners(
    tape: tuple[list[NewRecord], int], answer: Digests, tmp_path: Path
) -> None:
    moody = replace(TradingSettings(), fault_reject_pct=Decimal(10), fault_partial_pct=Decimal(30), latency_us=50_000)
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("batch", "faust")]
    drawn = run(urls[0], tape, batch(urls[0]), HASH_SEEDS[0], moody)
    assert drawn == run(urls[1], tape, faust(urls[1]), HASH_SEEDS[1], moody)
    assert drawn["fills"] != answer["fills"]


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.parametrize("hash_seed", HASH_SEEDS)
def test_faust_on_kafka_gives_the_same_bytes_under_every_hash_seed(
    hash_seed: str, tape: tuple[list[NewRecord], int], answer: Digests, kafka_url: str
) -> None:
    assert run(kafka_url, tape, faust(kafka_url), hash_seed) == answer
