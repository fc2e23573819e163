"""Faust's aiokafka driver in batches, with whole shards assigned and positions from the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import aiokafka
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import get_logger

from streams.log.base import StoredRecord
from streams.transports.batching import BatchConsumer

logger = get_logger(__name__)


class ShardAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Gives partition n of every topic to one member: a shard is never split between workers.

    Members in the order of their ids take shards in turn. A static member's id begins with its instance id, so the
    same workers get the same shards again.
    """

    name = "tapeline-shard"
    version = 0

    @classmethod
    def assign(
        cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        order = sorted(members)
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        shards = {topic: sorted(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [
                    (topic, [shard for shard in shards[topic] if order[shard % len(order)] == member])
                    for topic in topics
                ],
                b"",
            )
            for member in order
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), b"")

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing to remember."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker: our assignor, and a failed commit of hints ends nothing."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._partition_assignment_strategy = (ShardAssignor,)
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        held = self.assignment()
        hints = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items() if tp in held
        }
        if not hints:  # a rebalance took the partitions meanwhile; aiokafka refuses an empty commit
            return False
        try:
            await self._ensure_consumer().commit(hints)
        except (KafkaError, IllegalStateError) as error:
            logger.info("the group was not told the positions: %r", error)
            return False
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: the worker's own watchdog compares positions with the log."""


class Consumer(BatchConsumer, driver.Consumer):
    """aiokafka's records of one fetch and partition, as one message."""

    _thread: ConsumerThread

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _fetch(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, Sequence[StoredRecord]]:
        fetched = await self._thread.getmany(active_partitions, timeout)
        bare = self._app.bare_name
        return {tp: _stored(bare(tp.topic), tp.partition, records) for tp, records in fetched.items()}


def _stored(topic: str, partition: int, records: Sequence[Any]) -> list[StoredRecord]:
    return [StoredRecord(topic, partition, each.offset, each.key or b"", each.value or b"") for each in records]


class Transport(driver.Transport):
    """The driver behind ``tapeline-kafka://``."""

    Consumer: ClassVar[type] = Consumer
