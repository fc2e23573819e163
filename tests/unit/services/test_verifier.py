"""The verifier: proves what is new, keeps a difference on its metric, and waits for a log that is away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event as Alarm

import pytest

from schemas.codec import decode, encode
from services.metrics.catalog import Metrics, Service
from services.verifier import Verifier
from streams.log import create_log
from streams.log.base import EventLog, LogError
from streams.log.memory import MemoryLog
from tests.toy import STAGES
from tests.unit.streams.test_recovery import finished_log


class Desk:
    """A verifier over a log, and its metrics."""

    def __init__(self, log: MemoryLog) -> None:
        self.metrics = Metrics(Service.VERIFIER)
        self.away = False
        self.log = log
        self.verifier = Verifier(
            self._open, 0, lambda: STAGES, self.metrics, code_version="1", clock=lambda: 1_000.0
        )  # fmt: skip

    def _open(self) -> EventLog:
        if self.away:
            raise LogError("the broker does not answer")
        return self.log

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"tapeline_verify_{name}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(finished_log())


def test_the_second_proof_is_of_what_is_new_only(desk: Desk) -> None:
    first = desk.verifier.once()
    assert first is not None
    assert first.proven
    assert desk.value("different") == 0
    assert desk.value("last_proof_timestamp_seconds") == 1_000.0
    assert desk.value("steps_total") == first.steps == desk.verifier.next_step
    again = desk.verifier.once()
    assert again is not None
    assert (again.proven, again.steps) == (True, 0)


def test_a_difference_stays_on_the_metric_and_is_not_passed_over(desk: Desk) -> None:
    records = desk.log._partitions["signals"][0]
    envelope, event = decode(records[7].value)
    records[7] = replace(records[7], value=encode(envelope, replace(event, horizon_s=61)))  # type: ignore[type-var]
    for _ in range(2):
        report = desk.verifier.once()
        assert report is not None
        assert report.difference is not None
        assert desk.value("different") == 1
    assert desk.verifier.next_step == 0
    assert desk.value("last_proof_timestamp_seconds") == 0


def test_a_log_put_back_to_before_what_was_proven_is_a_difference(desk: Desk) -> None:
    """As after a restore of an old disk or copy: what is left of the run proves, and the rest of it is gone."""
    whole = desk.log
    desk.verifier.once()
    desk.log = MemoryLog()
    create_log(desk.log)
    report = desk.verifier.once()
    assert report is not None
    assert report.difference is not None
    assert "records are lost" in report.difference.detail
    assert desk.value("different") == 1
    desk.log = whole
    assert desk.verifier.once() is not None
    assert desk.value("different") == 1, "it stays until a person has dealt with it"


def test_a_log_that_is_away_is_tried_again_and_proves_nothing(desk: Desk) -> None:
    desk.away = True
    assert desk.verifier.once() is None
    assert desk.value("last_proof_timestamp_seconds") == 0
    desk.away = False
    assert desk.verifier.once() is not None
    assert desk.value("last_proof_timestamp_seconds") == 1_000.0


def test_it_runs_until_it_is_stopped(desk: Desk) -> None:
    stop, waited = Alarm(), []

    class Stopping(Alarm):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            stop.set()
            return True

    waiting = Stopping()
    waiting.is_set = stop.is_set  # type: ignore[method-assign]
    assert desk.verifier.run(every_s=86_400.0, stop=waiting)
    assert waited == [85_400.0], "the clock says 00:16:40 UTC: the next proof is at midnight"
    desk.away = True
    stop.clear()
    assert desk.verifier.run(every_s=86_400.0, stop=waiting)
    assert waited[1:] == [60.0], "a log that was out of reach is tried again, not a day later"
    assert desk.value("last_proof_timestamp_seconds") == 1_000.0
