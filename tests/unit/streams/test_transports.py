"""The Faust drivers where no broker is needed: assignment, leases, batches, and what they use of Faust's insides."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

import aiokafka
import faust.streams
import pytest
from aiokafka.consumer.consumer import AIOKafkaConsumer
from faust.tables.manager import TableManager
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.worker import Worker

from streams import agents, app, shards
from streams.log.base import StoredRecord
from streams.transports import register
from streams.transports.batching import Batch, BatchApp, BatchConsumer, PassThrough, broker_url
from streams.transports.kafka import Consumer, ConsumerThread, ShardAssignor
from streams.transports.leases import EXPIRES_S, Leases
from streams.transports.sqlite import Consumer as SqliteConsumer


class Cluster:
    """The little of aiokafka's cluster metadata that an assignor asks for."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1, 2}


def shares(members: list[str], topics: tuple[str, ...] = ("ticks", "commands")) -> dict[str, dict[str, list[int]]]:
    metadata = ShardAssignor.metadata(topics)
    assigned = ShardAssignor.assign(Cluster(), dict.fromkeys(members, metadata))
    return {member: dict(assignment.assignment) for member, assignment in assigned.items()}


def test_one_member_gets_every_shard_of_every_topic() -> None:
    assert shares(["a-1"]) == {"a-1": {"commands": [0, 1, 2], "ticks": [0, 1, 2]}}


def test_a_shard_is_never_split_between_members() -> None:
    assert shares(["b-1", "a-1"]) == {
        "a-1": {"commands": [0, 2], "ticks": [0, 2]},
        "b-1": {"commands": [1], "ticks": [1]},
    }


def test_a_member_too_many_gets_nothing() -> None:
    assert shares(["a", "b", "c", "d"])["d"] == {"commands": [], "ticks": []}


def test_a_lone_worker_leases_every_shard_and_keeps_it(tmp_path: Path) -> None:
    leases = Leases(tmp_path / "log.db", "a", 3)

    assert leases.beat(0.0).shards == {0, 1, 2}
    assert leases.beat(1.0).to_release == frozenset()


def test_a_worker_that_joins_gets_its_share_once_it_is_released(tmp_path: Path) -> None:
    first, second = Leases(tmp_path / "log.db", "a", 2), Leases(tmp_path / "log.db", "b", 2)
    first.beat(0.0)

    assert second.beat(0.1).shards == frozenset()
    assert first.beat(0.2).to_release == {1}
    first.release({1})
    assert second.beat(0.3).shards == {1}
    assert first.beat(0.4).shards == {0}


def test_the_shards_of_a_silent_worker_go_to_the_others(tmp_path: Path) -> None:
    first, second = Leases(tmp_path / "log.db", "a", 1), Leases(tmp_path / "log.db", "b", 1)
    first.beat(0.0)

    assert second.beat(EXPIRES_S - 0.1).shards == frozenset()
    assert second.beat(EXPIRES_S + 0.1).shards == {0}
    assert first.beat(EXPIRES_S + 0.2).shards == frozenset()


def test_a_restarted_worker_has_its_shards_at_once(tmp_path: Path) -> None:
    Leases(tmp_path / "log.db", "a", 1).beat(0.0)

    assert Leases(tmp_path / "log.db", "a", 1).beat(0.5).shards == {0}


def test_a_clean_stop_frees_the_shards_at_once(tmp_path: Path) -> None:
    first, second = Leases(tmp_path / "log.db", "a", 1), Leases(tmp_path / "log.db", "b", 1)
    first.beat(0.0)
    first.leave()

    assert second.beat(0.1).shards == {0}


def test_a_member_from_before_a_reboot_counts_as_gone(tmp_path: Path) -> None:
    Leases(tmp_path / "log.db", "a", 1).beat(1_000_000.0)

    assert Leases(tmp_path / "log.db", "b", 1).beat(3.0).shards == {0}


@pytest.mark.parametrize(
    ("log_url", "expected"),
    [
        ("kafka://127.0.0.1:9092", "tapeline-kafka://127.0.0.1:9092"),
        ("kafka://127.0.0.1:9092/run1?flush=1", "tapeline-kafka://127.0.0.1:9092"),
        ("sqlite:////tmp/x.db?sync=full", "sqlite:////tmp/x.db"),
        ("sqlite:///var/x.db", f"sqlite:///{Path('var/x.db').absolute()}"),
    ],
)
def test_a_log_url_becomes_a_broker_url_of_our_drivers(log_url: str, expected: str) -> None:
    assert broker_url(log_url) == expected


@pytest.mark.parametrize("log_url", ["confluent://127.0.0.1:9092", "memory://", "127.0.0.1:9092", "aiokafka://x:1"])
def test_a_driver_that_loses_events_is_refused(log_url: str) -> None:
    with pytest.raises(ValueError, match="a worker reads"):
        broker_url(log_url)


def test_both_drivers_are_found_by_their_scheme() -> None:
    register()

    assert TRANSPORTS.by_name("tapeline-kafka").Consumer is Consumer
    assert TRANSPORTS.by_name("sqlite").Consumer is SqliteConsumer


def test_a_batch_carries_the_offset_of_its_last_record() -> None:
    records = [StoredRecord("ticks", 0, offset, b"", b"") for offset in (5, 6, 7)]

    assert Batch("ticks", 0, records).last_offset == 7


def test_a_commit_of_partitions_no_longer_held_does_not_reach_aiokafka() -> None:
    thread = ConsumerThread.__new__(ConsumerThread)
    thread.assignment = set  # type: ignore[method-assign]
    thread._ensure_consumer = lambda: pytest.fail("asked for the consumer")  # type: ignore[method-assign]

    assert asyncio.run(thread._commit({TP("ticks", 0): 7})) is False


def test_the_schema_hands_a_batch_on_untouched() -> None:
    class Message:
        key = None
        value = Batch("ticks", 0, [StoredRecord("ticks", 0, 0, b"", b"")])

    assert PassThrough().loads_value(None, Message()) is Message.value


# The drivers are written against these versions of Faust's and aiokafka's insides (faust.md, trap 21). When a release
# moves one of them, this is where it shows.

FAUST_INSIDES: list[tuple[type[Any], tuple[str, ...]]] = [
    (
        faust_consumer.Consumer,
        (
            "_getmany",
            "_to_message",
            "_new_topicpartition",
            "_commit",
            "_seek",
            "perform_seek",
            "force_commit",
            "on_buffer_full",
            "on_buffer_drop",
            "on_task_error",
            "seek_wait",
            "on_partitions_revoked",
            "on_partitions_assigned",
        ),
    ),
    (driver.Consumer, ("_new_consumer_thread",)),
    (driver.AIOKafkaConsumerThread, ("_create_worker_consumer", "_commit", "getmany", "_ensure_consumer")),
    (Worker, ("_sentinel_task",)),
    (TableManager, ("_update_channels", "recovery")),
    (BatchApp, ("_create_directories", "_on_agent_error", "on_rebalance_start", "consumer_generation_id")),
]


@pytest.mark.parametrize(("owner", "names"), FAUST_INSIDES)
def test_what_the_drivers_override_is_still_there(owner: type[Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not hasattr(owner, name)]

    assert missing == []


def test_the_compiled_stream_iterator_is_loaded() -> None:
    assert faust.streams._CStreamIterator is not None  # type: ignore[attr-defined]


def test_the_attributes_of_instances_that_the_drivers_touch_are_still_assigned() -> None:
    assert "self._read_offset = " in inspect.getsource(faust_consumer.Consumer.__init__)
    assert "self._committed_offset = " in inspect.getsource(faust_consumer.Consumer.__init__)
    assert "self._partition_assignment_strategy = " in inspect.getsource(AIOKafkaConsumer.__init__)
    assert "assignors=self._partition_assignment_strategy" in inspect.getsource(AIOKafkaConsumer.start)
    assert "self._new_consumer_thread()" in inspect.getsource(faust_consumer.ThreadDelegateConsumer.__init__)


def test_our_overrides_come_before_the_drivers_own() -> None:
    assert Consumer._getmany is BatchConsumer._getmany
    assert Consumer._to_message is BatchConsumer._to_message
    assert Consumer.perform_seek is BatchConsumer.perform_seek
    assert SqliteConsumer._getmany is BatchConsumer._getmany
    assert ConsumerThread._commit is not driver.AIOKafkaConsumerThread._commit
    assert not inspect.isabstract(Consumer)
    assert not inspect.isabstract(SqliteConsumer)


def test_the_versions_are_those_the_drivers_were_written_for() -> None:
    assert aiokafka.__version__ == "0.14.0"
    assert faust.__version__ == "0.15.3"


def test_topic_partitions_of_both_libraries_are_equal_keys() -> None:
    assert {TP("ticks", 0): 1}[aiokafka.TopicPartition("ticks", 0)] == 1  # type: ignore[index]


def test_nothing_is_sent_through_faust() -> None:
    """An unawaited send is lost with a log line, an awaited one may hang for minutes: outputs go through the log."""
    sources = [inspect.getsource(module) for module in (agents, shards, app)]
    calls = [
        node.func.attr
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]

    assert {"send", "send_soon", "send_and_wait", "forward", "cast", "noack", "add_sink"}.isdisjoint(calls)
