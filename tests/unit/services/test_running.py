"""A worker that asks for it is started again: after a pause that grows, not for ever, afresh once it ran."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event as Alarm

import pytest

from schemas.envelope import Envelope, Event
from schemas.events.market import Trade
from schemas.ids import derive_id
from services.importer import import_feed
from services.running import (
    PAUSE_S,
    PAUSE_S_MAX,
    RECOVERED_S,
    RESTART,
    RESTARTS_MAX,
    Restarts,
    ServiceEnded,
    Services,
    drive,
)
from services.settings import load_settings
from streams.log.memory import MemoryLog
from tests.builders import at, message
from tests.clock import Clock
from tests.events import sample


def test_the_pause_doubles_and_the_restarts_end() -> None:
    restarts = Restarts()
    restarts.started(0.0)
    pauses = [restarts.pause(1.0) for _ in range(RESTARTS_MAX + 1)]
    assert pauses == [*(min(PAUSE_S * 2**number, PAUSE_S_MAX) for number in range(RESTARTS_MAX)), None]


def test_a_service_that_ran_for_some_minutes_is_counted_afresh() -> None:
    restarts = Restarts()
    restarts.started(0.0)
    while restarts.pause(1.0) is not None:
        pass
    restarts.started(100.0)
    assert restarts.pause(100.0 + RECOVERED_S) == PAUSE_S
    restarts.started(500.0)
    assert restarts.pause(501.0) == 2 * PAUSE_S


def test_the_services_wait_out_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = tmp_path / "fails"
    fails.write_text(f"#!/bin/sh\necho started\nexit {RESTART}\n")
    fails.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fails))
    clock = Clock()
    with Services(tmp_path, env_file=tmp_path / "none", clock=clock) as services:
        services.start("worker", "worker")
        for number in range(RESTARTS_MAX):
            _wait_for_end(services)
            services.check()
            assert _starts(services) == number + 1
            clock.now += PAUSE_S * 2**number - 0.1
            services.check()
            assert _starts(services) == number + 1
            clock.now += 0.2
            services.check()
        _wait_for_end(services)
        with pytest.raises(ServiceEnded, match=f"worker ended with exit code {RESTART}"):
            services.check()
    assert _starts(services) == RESTARTS_MAX + 1


def _wait_for_end(services: Services) -> None:
    services._running["worker"].wait(20)


def _starts(services: Services) -> int:
    return services.log_of("worker").read_text().count("started")


class Waits(Alarm):
    """An alarm that notes how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[int] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(round(timeout or 0))
        return False


def trades(first: int, count: int) -> list[tuple[Envelope, Event]]:
    """Return trades a minute apart."""
    found: list[tuple[Envelope, Event]] = []
    for number in range(first, first + count):
        event = sample(Trade, number)
        found.append((message(event, ts=at(60 * number), event_id=derive_id("tick", number)).envelope, event))
    return found


def test_a_paced_feed_is_taken_up_where_the_log_ends_though_another_came_before(tmp_path: Path) -> None:
    log, settings, waits = MemoryLog(), load_settings(environ={}, env_file=None), Waits()
    import_feed(log, trades(0, 10), settings.trading)
    import_feed(log, trades(10, 2), settings.trading)
    with Services(tmp_path, env_file=tmp_path / "none") as services:
        assert drive(log, trades(10, 5), settings, services, speed=1, shards=1, stopped=waits) == 3
    assert waits.seconds == [60, 120]
    assert log.end_offset("ticks", 0) == 15
