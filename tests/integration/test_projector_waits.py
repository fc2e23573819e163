"""The projector waits for a number that is missing, takes what follows once it has come, and says when it does not."""

from __future__ import annotations

from threading import Event as Alarm

import pytest

from projections.positions import Place
from projections.writer import Projector
from services.projection import LogSource, MeteredProjector
from tests.clock import Clock
from tests.events import tape
from tests.integration.test_projector import count, log_of

pytestmark = pytest.mark.postgres


def test_a_record_before_its_turn_is_waited_for_and_taken_when_it_comes_again(database: str) -> None:
    first, second, third = (record for record in tape(3) if record.topic == "bars")
    log = log_of([first, third])
    with Projector(LogSource(log), database) as projector:
        projector.run(until_caught_up=True)
        assert projector.waiting_for().keys() == {Place("bars", 0)}
        assert count(database, "bars") == 1
        log.append([second, third])
        projector.run(until_caught_up=True)
        assert projector.waiting_for() == {}
    assert count(database, "bars") == 3


def test_a_missing_number_is_on_the_metrics_until_it_comes(database: str) -> None:
    first, second, third = (record for record in tape(3) if record.topic == "bars")
    log = log_of([first, third])
    with MeteredProjector(log, database) as projector:

        def missing() -> float | None:
            projector.run(until_caught_up=True, stop=Alarm())
            labels = {"topic": "bars", "shard": "0"}
            return projector.registry.get_sample_value("tapeline_seq_missing_seconds", labels)

        assert missing() is not None
        log.append([second, third])
        assert missing() is None


def test_a_projector_alerts_after_ten_seconds_of_waiting_and_after_a_restart_too(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, _, third = (record for record in tape(3) if record.topic == "bars")
    clock, log = Clock(), log_of([first, third])
    for start in (0.0, 100.0):  # the second projector finds the position of the first, past the record in question
        caplog.clear()
        clock.now = start
        with Projector(LogSource(log, clock=clock), database) as projector:
            projector.run(until_caught_up=True)
            clock.now = start + 9.9
            projector.run(until_caught_up=True)
            assert "is missing" not in caplog.text
            clock.now = start + 10.0
            projector.run(until_caught_up=True)
            assert "bars[0]: seq 1 is missing for 10 s although seq 2 is there" in caplog.text
