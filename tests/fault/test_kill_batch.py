"""SIGKILL the batch runner at random points: the log must equal an undisturbed run."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from schemas.settings import TradingSettings
from services.bootstrap import prepare_log
from streams.log import open_log
from tests.fault.killing import batch_command, judge, kill_while_data_flows, records, undisturbed
from tests.tapes import recorded_ticks

KILLS = 20
RESTART_S_MAX = 5.0


@pytest.mark.slow
def test_a_batch_runner_killed_twenty_times_leaves_the_log_of_an_undisturbed_run(tmp_path: Path) -> None:
    tape = recorded_ticks(days=6, warmup_days=3)
    ticks, first = records(tape), tape[0][0].ts_event
    url = f"sqlite:///{tmp_path}/log.db"
    log = open_log(url)
    prepare_log(log, TradingSettings(), ts_event=first)
    outcome = kill_while_data_flows(log, batch_command(url), ticks, kills=KILLS, seed=1)
    assert outcome.kills == KILLS
    assert median(outcome.restarts) < RESTART_S_MAX, outcome.restarts
    judge(
        url,
        undisturbed(ticks, TradingSettings(), first),
        {"settings": 1, "commands": 0, "completions": 0, "context": 0, "ticks": len(ticks)},
    )
