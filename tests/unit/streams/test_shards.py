"""Shards in hand: traders on threads, failures that end the process, work that is given up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import Any

import pytest

from schemas.topics import OUTPUTS
from streams.app import build_app
from streams.journal import FailStop, Fenced
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.shards import Shard, Shards
from streams.trader import Trader
from streams.transports.batching import Batch
from tests.in_hand import Failures, batch, shards_over
from tests.toy import STAGES, mark, settings_record


def test_an_assigned_shard_is_live_and_knows_where_reading_goes_on(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        assert shards.next_offset("ticks", 0) is None
        await shards.assign({0})
        assert shards.live() == [0]
        assert (shards.next_offset("settings", 0), shards.next_offset("ticks", 0)) == (1, 0)
        await shards.take(batch(log, 0))
        await shards.revoke()
        assert shards.next_offset("ticks", 0) is None

    asyncio.run(scenario())
    assert failures.seen == []
    assert log.end_offset("signals", 0) > 0


def test_batches_are_taken_in_order_and_repeats_are_dropped(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        for offset, limit in ((0, 2), (2, 2), (0, 3), (4, 2)):
            await shards.take(batch(log, offset, limit))
        await shards.revoke(finish=True)

    asyncio.run(scenario())
    assert failures.seen == []
    assert log.end_offset("signals", 0) == sum(value % 3 for value in (4, 5, 7, 8, 10, 11))


def test_a_skipped_offset_is_fail_stop(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        await shards.take(batch(log, 2))
        await shards.revoke()

    asyncio.run(scenario())
    (error,) = failures.errors
    assert isinstance(error, FailStop)
    assert "ticks offset 0 is missing" in str(error)
    assert log.end_offset("signals", 0) == 0


def test_a_shard_claimed_by_another_fails_and_publishes_nothing(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        Trader(log, 0, STAGES, worker="other", code_version="1").start()
        await shards.take(batch(log, 0))
        await shards.revoke()

    asyncio.run(scenario())
    (error,) = failures.errors
    assert isinstance(error, Fenced)
    assert all(log.end_offset(topic, 0) == 0 for topic in OUTPUTS)


async def still_waiting(task: asyncio.Future[None]) -> bool:
    """Let a task get as far as it can; tell whether it waits for something then."""
    _, pending = await asyncio.wait([task], timeout=0.05)
    return bool(pending)


def test_an_agent_cancelled_while_a_batch_is_in_work_does_not_stop_the_batch(
    log: MemoryLog, failures: Failures
) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        shard = shards._shards[0]
        gate = Event()
        shard.submit(gate.wait, 30)
        await shards.take(batch(log, 0))
        waiting = asyncio.ensure_future(shards.take(batch(log, 0)))
        assert await still_waiting(waiting)
        waiting.cancel()
        await asyncio.wait([waiting])
        gate.set()
        await shards.revoke()

    asyncio.run(scenario())
    assert failures.seen == []
    assert log.end_offset("signals", 0) > 0


def test_a_batch_of_a_shard_no_longer_in_hand_is_ignored(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.take(batch(log, 0))

    asyncio.run(scenario())
    assert failures.seen == []


def test_giving_up_a_shard_that_waits_for_settings_does_not_hang(failures: Failures) -> None:
    async def scenario() -> None:
        empty = MemoryLog()
        create_log(empty)
        shards = shards_over(empty, failures)
        starting = asyncio.ensure_future(shards.assign({0}))
        assert await still_waiting(starting)
        await shards.revoke()
        await starting

    asyncio.run(scenario())
    assert failures.seen == []


def test_a_silent_shard_commits_its_inputs_at_a_heartbeat(failures: Failures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.trader.HEARTBEAT_S", 0.0)
    log = MemoryLog()
    create_log(log)
    log.append([settings_record()])

    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        before = log.end_offset("journal", 0)
        log.append([mark(0, 3)])  # a value that causes no output
        await shards.take(batch(log, 0))
        await shards._shards[0].drained()
        shards.heartbeat()
        await shards._shards[0].drained()
        assert log.end_offset("journal", 0) == before + 1
        await shards.revoke()

    asyncio.run(scenario())
    assert failures.seen == []


def test_an_error_on_the_shards_thread_reaches_the_end_of_the_process(log: MemoryLog, failures: Failures) -> None:
    def broken() -> None:
        raise ArithmeticError("bug")

    shard = Shard(3, Trader(log, 0, STAGES, worker="w", code_version="1"), failures)
    asyncio.run(wait_for(shard, broken))

    assert [where for where, _ in failures.seen] == ["shard 3"]


async def wait_for(shard: Shard, work: Callable[[], object]) -> None:
    shard.submit(work)
    await shard.drained()
    await shard.close(finish=False)


def test_the_faust_app_is_closed_to_what_loses_events_or_opens_ports(tmp_path: object) -> None:
    app = build_app(log_url=f"sqlite:///{tmp_path}/log.db", worker_id="slot-1")
    conf = app.conf

    assert conf.web_enabled is False
    assert conf.topic_disable_leader is True
    assert conf.topic_allow_declare is False
    assert conf.processing_guarantee.value == "at_least_once"
    assert conf.stream_publish_on_commit is False
    assert conf.stream_wait_empty is False
    assert conf.consumer_group_instance_id == "slot-1"
    assert conf.broker_session_timeout == 10.0
    assert conf.producer_request_timeout == 15.0
    assert app.BootStrategy.enable_web is False
    assert app.BootStrategy.enable_kafka_producer is False


def test_a_worker_refuses_a_log_no_driver_of_ours_serves() -> None:
    with pytest.raises(ValueError, match="confluent"):
        build_app(log_url="confluent://127.0.0.1:9092", worker_id="w")


def test_topics_have_the_logs_prefix_in_the_app_and_none_in_a_batch() -> None:
    app = build_app(log_url="kafka://127.0.0.1:9092/run1", worker_id="w")

    assert app.conf.id == "run1.trader"
    assert app.bare_name("run1.ticks") == "ticks"


def test_a_record_of_another_topic_does_not_move_the_ticks(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        log.append([NewRecord("commands", 0, b"", mark(0, 3).value, 1)])
        await shards.take(Batch("commands", 0, log.read("commands", 0, 0, limit=10)))
        await shards._shards[0].drained()
        assert (shards.next_offset("commands", 0), shards.next_offset("ticks", 0)) == (1, 0)
        await shards.revoke()

    asyncio.run(scenario())
    assert failures.seen == []


class Interrupted(deque[Future[object]]):
    """A queue whose reader loses the processor right after it has looked at the head, once."""

    look_again: Thread | None = None

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        other, self.look_again = self.look_again, None
        if other is not None:
            other.start()
            other.join(0.2)
        return found


def test_work_in_flight_is_not_forgotten_when_two_threads_look_at_the_queue(failures: Failures) -> None:
    shard = Shard(0, Trader(MemoryLog(), 0, STAGES, worker="w", code_version="1"), failures)
    gate, other = Event(), Thread(target=shard.unfinished)
    done, running = shard.submit(lambda: None), shard.submit(gate.wait)
    done.result()
    queue = Interrupted(shard._queued)
    shard._queued, queue.look_again = queue, other
    try:
        assert shard.unfinished() == [running]
        assert not running.done()
    finally:
        gate.set()
        running.result()
        other.join()


class SlowToRecover(Trader):
    """A trader whose recovery waits for a gate, then ends as ``end`` says."""

    entered: Event
    gate: Event
    end: BaseException | None = None

    def start(self) -> Any:
        self.entered.set()
        assert self.gate.wait(10)
        if self.end is not None:
            raise self.end
        return super().start()


def slow_shards(log: MemoryLog, failures: Failures, end: BaseException | None = None) -> tuple[Shards, Event, Event]:
    """Return shards whose first trader recovers slowly, the event of its entry, and its gate; later ones are quick."""
    entered, gate = Event(), Event()
    made: list[Trader] = []

    def make(number: int) -> Trader:
        kind = Trader if made else SlowToRecover
        trader = kind(log, number, STAGES, worker="w", code_version="1")
        if isinstance(trader, SlowToRecover):
            trader.entered, trader.gate, trader.end = entered, gate, end
        made.append(trader)
        return trader

    return Shards(log, make, failures), entered, gate


@pytest.mark.parametrize("end", [None, Fenced("claimed by another")])
def test_a_shard_given_up_while_it_recovers_is_neither_waited_for_nor_live_later(
    log: MemoryLog, failures: Failures, end: BaseException | None
) -> None:
    async def scenario() -> None:
        shards, entered, gate = slow_shards(log, failures, end)
        starting = asyncio.ensure_future(shards.assign({0}))
        await asyncio.to_thread(entered.wait, 10)
        slow = shards._shards[0]
        async with asyncio.timeout(20):
            await shards.revoke()  # a second rebalance, sooner than the recovery ends
        async with asyncio.timeout(20):
            await starting
        assert not gate.is_set()
        gate.set()
        await slow.drained()
        assert not slow.live
        await shards.assign({0})
        assert shards.live() == [0]
        await shards.take(batch(log, 0))
        await shards.revoke()

    asyncio.run(scenario())
    assert failures.seen == []
    assert log.end_offset("signals", 0) > 0


def test_a_closed_shard_takes_no_more_work(log: MemoryLog, failures: Failures) -> None:
    async def scenario() -> None:
        shards = shards_over(log, failures)
        await shards.assign({0})
        shard = shards._shards[0]
        await shards.revoke()
        shard.offer(shard.process, batch(log, 0))
        shard.offer(shard.trader.heartbeat, only_idle=True)
        assert shard.unfinished() == []

    asyncio.run(scenario())
    assert failures.seen == []
