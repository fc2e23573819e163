"""A shard that changes hands says from whom to whom, and warns of two workers of one name."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from streams.journal import Fenced
from streams.log.base import LogError
from streams.log.memory import MemoryLog
from streams.owners import RECENT_S, taken_by, twin_before
from streams.trader import Trader
from tests.in_hand import Failures, batch, shards_over
from tests.toy import STAGES, fill
from tests.write_path import BrokerLog


@pytest.fixture
def full() -> BrokerLog:
    log = BrokerLog()
    fill(log, [1, 2, 1, 2, 1, 2])
    return log


def _trader(log: MemoryLog, worker: str) -> Trader:
    trader = Trader(log, 0, STAGES, worker=worker, code_version="1")
    trader.start()
    return trader


def _work(trader: Trader, log: MemoryLog) -> None:
    trader.process("ticks", log.read("ticks", 0, trader.position("ticks"), limit=2))


@pytest.mark.parametrize(("second", "advised"), [("b", False), ("a", True)])
def test_both_of_two_owners_say_who_the_other_is(full: BrokerLog, second: str, advised: bool) -> None:
    older, newer = _trader(full, "a"), _trader(full, second)
    with pytest.raises(Fenced, match=f"worker '{second}' claimed the shard") as first:
        _work(older, full)
    with pytest.raises(Fenced, match="worker 'a', which had the shard before, still ran and wrote there") as then:
        _work(newer, full)
    for error in (first, then):
        assert ("under our own name; two workers of one name" in str(error.value)) is advised


def test_a_worker_of_the_same_name_that_wrote_a_moment_ago_is_warned_of(full: BrokerLog) -> None:
    _work(_trader(full, "a"), full)
    epoch = _trader(full, "a").epoch
    assert "wrote to the journal 0.0 s ago and did not stop cleanly" in str(
        twin_before(full, 0, epoch, "a", known=None)
    )


def test_a_claim_without_a_commit_is_a_sign_of_life_too(full: BrokerLog) -> None:
    _trader(full, "a")
    assert twin_before(full, 0, _trader(full, "a").epoch, "a", known=None) is not None


def test_nothing_is_said_of_what_is_as_it_should_be(full: BrokerLog, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _trader(full, "a")
    assert twin_before(full, 0, first.epoch, "a", known=None) is None, "nobody had it before"
    _work(first, full)
    epoch = _trader(full, "b").epoch
    assert twin_before(full, 0, epoch, "b", known=None) is None, "another worker's shard has moved here"
    _work(_trader(full, "b"), full)
    again = _trader(full, "b")
    assert twin_before(full, 0, again.epoch, "b", known=again.epoch - 2) is None, "this process had it itself"
    later = time.time() + RECENT_S + 1
    monkeypatch.setattr("streams.owners.time.time", lambda: later)
    assert twin_before(full, 0, again.epoch, "b", known=None) is None, "it has been silent for long"


def test_nothing_is_said_after_a_clean_stop(full: BrokerLog) -> None:
    first = _trader(full, "a")
    _work(first, full)
    first.finish()
    assert twin_before(full, 0, _trader(full, "a").epoch, "a", known=None) is None


class SilentLog(BrokerLog):
    """A log whose journal cannot be read."""

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> list[object]:  # type: ignore[override]
        raise LogError("no answer")


def test_a_log_that_does_not_answer_leaves_it_unsaid() -> None:
    assert taken_by(SilentLog(), 0, 3, "a") == "another worker owns it"
    assert twin_before(SilentLog(), 0, 3, "a", known=None) is None


def test_a_worker_warns_of_its_twin_and_not_of_itself(
    log: MemoryLog, failures: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        for _ in range(2):  # a rebalance gives it the shard again
            await shards.assign({0})
            await shards.take(batch(log, 0))
        await shards.revoke()

    def warned() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    asyncio.run(scenario())
    assert failures.seen == []
    assert warned() == []
    asyncio.run(scenario())
    assert len(warned()) == 1
    assert "two workers of one name take the shard from each other" in warned()[0]
