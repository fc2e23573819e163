"""A Faust driver over the SQLite log: the same agents on one machine, without a broker.

Whole shards are leased to workers (``leases.py``); news is noticed by SQLite's ``data_version``, which costs a few
microseconds to ask, so the driver asks five times a millisecond while data flows, every three when it does not. It
asks from a thread of its own: the event loop's timers round up to whole milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, cast

from aiokafka.partitioner import DefaultPartitioner
from faust.transport import base
from faust.types import TP, RecordMetadata
from faust.types.core import HeadersArg

from streams.log.base import LogError, NewRecord, StoredRecord
from streams.log.sqlite import SqliteLog
from streams.transports.batching import FETCH_RECORDS_MAX, BatchApp, BatchConsumer
from streams.transports.leases import BEAT_S, Leases

logger = logging.getLogger("tapeline.worker")

PAUSE_S = 0.0002
"""Pause between two looks for news while news keeps coming."""
PAUSE_QUIET_S = 0.003
"""The same once there has been none for ``QUIET_S``."""
QUIET_S = 1.0
TIDY_S = 0.5
"""How often the write-ahead log is moved into the file, by a thread and a connection that nothing else waits for."""


class Consumer(BatchConsumer):
    """Reads the partitions of the shards this worker holds a lease on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log_file: SqliteLog = _transport(self).open_log()
        self._topics: frozenset[str] = frozenset()
        self._held: frozenset[int] = frozenset()
        self._positions: dict[TP, int] = {}
        self._leases: Leases | None = None
        self._news_at = 0.0
        self._watcher = ThreadPoolExecutor(1, thread_name_prefix="news")
        self._tidier = ThreadPoolExecutor(1, thread_name_prefix="tidy")
        self._tidied = _transport(self).open_log()

    # -- membership -----------------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Remember the topics and start asking for shards; must not call back at once, or Faust waits for itself."""
        first = not self._topics
        self._topics = frozenset(topics)
        if first:
            self.add_future(self._keep_leases())
            self.add_future(self._keep_tidy())

    async def _keep_leases(self) -> None:
        shards = min(self.log_file.partitions(topic) for topic in self._topics)
        self._leases = Leases(_transport(self).path, _transport(self).worker, shards)
        announced = False
        while not self.should_stop:
            held = self._leases.beat()
            wanted = held.shards - held.to_release
            if wanted != self._held or not announced:
                announced = True
                await self._change_shards(wanted)
                self._leases.release(held.to_release)
                continue
            await self.sleep(BEAT_S)

    async def _keep_tidy(self) -> None:
        while not self.should_stop:
            try:
                await self.loop.run_in_executor(self._tidier, self._tidied.checkpoint)
            except LogError as error:  # it only saves time: commits do it themselves where nobody else does
                logger.warning("%s; commits will do it and take longer", error)
                return
            await self.sleep(TIDY_S)

    async def _change_shards(self, wanted: frozenset[int]) -> None:
        """Announce a change of assignment in the order Faust's own driver does."""
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(self.assignment())
        self._held = wanted
        self._positions = dict.fromkeys(self.assignment(), 0)
        self.app.consumer_generation_id += 1
        await self.on_partitions_assigned(self.assignment(), self.app.consumer_generation_id)

    def assignment(self) -> set[TP]:
        """Return the partitions of the shards in hand."""
        return {TP(topic, shard) for topic in self._topics for shard in self._held}

    # -- reading --------------------------------------------------------------------------------------------------

    async def _fetch(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, Sequence[StoredRecord]]:
        deadline = time.monotonic() + timeout
        while self.flow_active and not self.should_stop:
            version = self.log_file.data_version()
            if found := self._read(active_partitions or ()):
                return found
            if not await self.loop.run_in_executor(self._watcher, self._wait_for_news, version, deadline):
                break
        return {}

    def _read(self, partitions: Iterable[TP]) -> dict[TP, Sequence[StoredRecord]]:
        found = {}
        for tp in sorted(partitions):
            position = self._positions.get(tp)
            if position is None:
                continue
            records = self.log_file.read(self._app.bare_name(tp.topic), tp.partition, position, limit=FETCH_RECORDS_MAX)
            if records:
                self._positions[tp] = records[-1].offset + 1
                found[tp] = records
        return found

    def _wait_for_news(self, version: int, deadline: float) -> bool:
        """Look until somebody else has written or it is time to answer. Runs on the watcher's thread."""
        while self.flow_active and not self.should_stop and (now := time.monotonic()) < deadline:
            time.sleep(PAUSE_S if now - self._news_at < QUIET_S else PAUSE_QUIET_S)
            if self.log_file.data_version() != version:
                self._news_at = time.monotonic()
                return True
        return False

    # -- positions ------------------------------------------------------------------------------------------------

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Read on from these offsets."""
        self._positions.update(partitions)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Return the positions the shards stand at."""
        return self._wanted(self.assignment())

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Store nothing: the journal has the positions."""
        return True

    async def position(self, tp: TP) -> int | None:
        """Return the offset of the next record to read."""
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        """Return the offset after the last record."""
        return self.log_file.end_offset(self._app.bare_name(tp.topic), tp.partition)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the offset after the last record, by partition."""
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return 0 for every partition: nothing is ever deleted."""
        return dict.fromkeys(partitions, 0)

    # -- the rest of what Faust asks of a consumer ----------------------------------------------------------------

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic."""
        return self.log_file.partitions(self._app.bare_name(topic))

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition of a key: Kafka's murmur2, as on the other log."""
        if partition is not None:
            return partition
        every = list(range(self.log_file.partitions(self._app.bare_name(topic))))
        return int(DefaultPartitioner()(key, every, every))

    async def create_topic(self, topic: str, partitions: int, replication: int, **_: Any) -> None:
        """Create a topic; one that exists with this count is left as it is."""
        self.log_file.create_topics({self._app.bare_name(topic): partitions})

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: there are no tables to recover."""

    async def on_stop(self) -> None:
        """Give the leases up and close the file."""
        await super().on_stop()
        if self._leases is not None:
            self._leases.leave()
        for thread, used in ((self._watcher, self.log_file), (self._tidier, self._tidied)):
            thread.shutdown()
            used.close()

    def close(self) -> None:
        """Do nothing: ``on_stop`` closes."""


class Producer(base.Producer):
    """Appends to the log; every send is durable when it returns. Our own agents write through the event log."""

    async def on_start(self) -> None:
        await super().on_start()
        self._log: SqliteLog = _transport(self).open_log()

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Append one record and return where it is. Headers are not stored: no reader of ours needs them."""
        name = cast(BatchApp, self.app).bare_name(topic)
        place = self.key_partition(topic, key or b"").partition if partition is None else partition
        moment = int((timestamp or 0) * 1_000_000)
        (offset,) = self._log.append([NewRecord(name, place, key or b"", value or b"", moment)])
        return RecordMetadata(topic, place, TP(topic, place), offset, timestamp, 0)

    async def send(self, *args: Any, **kwargs: Any) -> asyncio.Future[RecordMetadata]:
        """Append one record and return its place as a finished future."""
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        done.set_result(await self.send_and_wait(*args, **kwargs))
        return done

    async def flush(self) -> None:
        """Wait for what Faust has buffered; the log itself buffers nothing."""
        await self.buffer.flush()

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition of a key: Kafka's murmur2."""
        every = list(range(self._log.partitions(cast(BatchApp, self.app).bare_name(topic))))
        return TP(topic, int(DefaultPartitioner()(key, every, every)))


class Transport(base.Transport):
    """The driver behind ``sqlite:////absolute/path``."""

    Consumer: ClassVar[type] = Consumer
    Producer: ClassVar[type] = Producer
    default_port = 0
    driver_version = "tapeline-sqlite=1"

    @property
    def path(self) -> Path:
        """Return the log file."""
        return Path("/" + str(self.url[0].path).lstrip("/"))

    @property
    def worker(self) -> str:
        """Return the name this worker leases shards under."""
        return str(self.app.conf.consumer_group_instance_id or self.app.conf.id)

    def open_log(self) -> SqliteLog:
        """Return a connection of one's own: each notices what the others commit."""
        return SqliteLog(self.path)


def _transport(owner: Consumer | Producer) -> Transport:
    return cast(Transport, owner.transport)
