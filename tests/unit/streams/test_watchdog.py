"""The watchdog: it notices what no longer gets anywhere, and nothing that goes wrong in it ends it in silence."""

from __future__ import annotations

import asyncio
import sqlite3
from threading import Event

import pytest

from streams.app import Watchdog
from streams.log.memory import MemoryLog
from tests.in_hand import Failures, batch, shards_over
from tests.toy import fill


def test_the_watchdog_ends_a_worker_that_takes_nothing_while_inputs_wait(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        Watchdog(shards, failures, stall_s=60.0, on_idle=None).look()
        assert failures.seen == []
        Watchdog(shards, failures, stall_s=-1.0, on_idle=None).look()
        await shards.revoke()

    asyncio.run(scenario())
    (error,) = failures.errors
    assert isinstance(error, TimeoutError)


def test_the_watchdog_lets_a_worker_rest_that_has_taken_everything(log: MemoryLog, failures: Failures) -> None:
    calls: list[str] = []

    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        await shards.take(batch(log, 0))
        await shards._shards[0].drained()
        watchdog = Watchdog(shards, failures, stall_s=-1.0, on_idle=lambda: calls.append("idle"))
        for _ in range(5):
            watchdog.look()
        await shards.revoke()

    asyncio.run(scenario())
    assert failures.seen == []
    assert calls == ["idle"]


class SickLog(MemoryLog):
    """A log whose driver raises an error of its own, as a driver with a bug would."""

    sick = False

    def end_offset(self, topic: str, partition: int) -> int:
        if self.sick:
            raise sqlite3.OperationalError("disk I/O error")
        return super().end_offset(topic, partition)


def test_an_error_inside_the_watchdog_ends_the_worker_not_the_watchdog(
    failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.app.LOOK_S", 0.001)
    log, failed = SickLog(), Event()
    fill(log, [1, 2])
    shards = shards_over(log, failures)

    def fail(where: str, error: BaseException) -> None:
        failures(where, error)
        failed.set()

    watchdog = Watchdog(shards, fail, stall_s=60.0, on_idle=None)

    async def scenario() -> None:
        await shards.assign({0})
        log.sick = True
        watchdog.start()
        assert failed.wait(10)
        assert watchdog.is_alive()
        log.sick = False
        watchdog.stop()
        watchdog.join(10)
        await shards.revoke()

    asyncio.run(scenario())
    where, error = failures.seen[0]
    assert where == "watchdog"
    assert "disk I/O error" in str(error)


def test_the_watchdog_ends_a_worker_whose_rebalance_does_not_end(
    log: MemoryLog, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        watchdog = Watchdog(shards, failures, stall_s=60.0, on_idle=None)
        await shards.assign({0})
        monkeypatch.setattr("streams.app.REBALANCE_S", 0.0)
        watchdog.look()
        assert failures.seen == []  # a shard in hand, or recovering, is no rebalance
        await shards.revoke()
        watchdog.look()
        assert [where for where, _ in failures.seen] == ["rebalance"]
        await shards.assign(())  # nothing for this worker, but the rebalance has ended
        watchdog.look()
        await shards.revoke()
        await shards.revoke(finish=True)  # a clean stop waits for no assignment
        watchdog.look()
        assert len(failures.seen) == 1

    asyncio.run(scenario())


def test_a_worker_that_is_never_assigned_anything_ends(
    log: MemoryLog, failures: Failures, monkeypatch: pytest.MonkeyPatch
) -> None:
    watchdog = Watchdog(shards_over(log, failures), failures, stall_s=60.0, on_idle=None)
    watchdog.look()
    assert failures.seen == []
    monkeypatch.setattr("streams.app.REBALANCE_S", 0.0)
    watchdog.look()
    assert [where for where, _ in failures.seen] == ["rebalance"]
