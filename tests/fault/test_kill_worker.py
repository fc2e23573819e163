"""SIGKILL the Faust worker on both logs, and the broker under it: the log must equal an undisturbed run."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from statistics import median

import pytest

from deploy.kafka.broker import LocalBroker
from schemas.settings import TradingSettings
from services.bootstrap import prepare_log
from streams.log import open_log
from streams.log.base import EventLog, LogError, NewRecord
from tests.fault.killing import (
    Command,
    judge,
    kill_while_data_flows,
    records,
    settle,
    start,
    taken,
    undisturbed,
    until,
)
from tests.tapes import recorded_ticks

KILLS = 20
BROKER_KILLS = 3
RESTART_S_MAX = 5.0
pytestmark = pytest.mark.slow

Tape = tuple[list[NewRecord], int, dict[str, tuple[int, str]]]


@pytest.fixture(scope="module")
def tape() -> Tape:
    """Five days of both instruments, the first three of them history, and what an undisturbed run makes of them."""
    ticks = recorded_ticks(days=5, warmup_days=3)
    encoded, first = records(ticks), ticks[0][0].ts_event
    return encoded, first, undisturbed(encoded, TradingSettings(), first)


def worker(url: str) -> Command:
    return (sys.executable, "-m", "streams.app", "--log", url, "--worker-id", "one")


def opened(url: str, tape: Tape) -> EventLog:
    log = open_log(url)
    prepare_log(log, TradingSettings(), ts_event=tape[1])
    return log


def kill_and_judge(url: str, tape: Tape) -> None:
    ticks, _, expected = tape
    outcome = kill_while_data_flows(opened(url, tape), worker(url), ticks, kills=KILLS, seed=2)
    print("seconds from start to first commit after a SIGKILL:", [round(s, 1) for s in outcome.restarts])
    assert outcome.kills == KILLS
    assert median(outcome.restarts) < RESTART_S_MAX
    judge(url, expected, {"settings": 1, "commands": 0, "completions": 0, "context": 0, "ticks": len(ticks)})


def test_a_worker_on_sqlite_killed_twenty_times_leaves_the_log_of_an_undisturbed_run(
    tape: Tape, tmp_path: Path
) -> None:
    kill_and_judge(f"sqlite:///{tmp_path}/log.db", tape)


@pytest.mark.kafka
def test_a_worker_on_kafka_killed_twenty_times_leaves_the_log_of_an_undisturbed_run(tape: Tape, kafka_url: str) -> None:
    kill_and_judge(kafka_url, tape)


@pytest.mark.kafka
def test_a_broker_killed_under_the_worker_leaves_the_log_of_an_undisturbed_run(
    tape: Tape, kafka_broker: LocalBroker, kafka_url: str
) -> None:
    ticks, _, expected = tape
    log, chance = opened(kafka_url, tape), random.Random(3)
    log.append(ticks)
    running = start(worker(kafka_url))
    try:
        for number in range(BROKER_KILLS + 1):
            goal = len(ticks) if number == BROKER_KILLS else (number * len(ticks) + chance.randrange(len(ticks))) // 4

            def reached(goal: int = goal) -> bool:
                nonlocal running
                if running.poll() is not None:  # it gave up in doubt, as it must; its supervisor starts it again
                    running = start(worker(kafka_url))
                try:
                    return taken(log) >= goal
                except LogError:
                    return False

            until(reached, f"tick {goal}")
            if number < BROKER_KILLS:
                kafka_broker.kill()
                kafka_broker.start()
    finally:
        running.kill()
        running.wait()
    settle(worker(kafka_url))
    judge(kafka_url, expected, {"settings": 1, "commands": 0, "completions": 0, "context": 0, "ticks": len(ticks)})
