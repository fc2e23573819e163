"""A worker that asks for it is started again: after a pause that grows, not for ever, afresh once it ran."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.running import PAUSE_S, PAUSE_S_MAX, RECOVERED_S, RESTART, RESTARTS_MAX, Restarts, ServiceEnded, Services


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


class Clock:
    """A clock that is moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


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
