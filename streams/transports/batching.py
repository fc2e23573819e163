"""What both drivers share: one Faust message per fetched batch, and positions that come from the journal.

Faust spends its time per message, so a message here is everything one fetch brought from one partition. Faust's own
bookkeeping of acknowledgements is switched off (``acks=False`` on the topics): it acknowledges a message whose handler
raised, and it cannot see inside a batch. Where to read from is asked of the trader, which knows from the journal.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.transport import base
from faust.transport.consumer import ensure_TP
from faust.types import TP, ConsumerMessage

from streams.log.base import StoredRecord

FETCH_RECORDS_MAX = 2_000
"""Records in one batch at most: bounds memory and the time until another topic has its turn."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one input partition, oldest first, as fetched; never empty. ``topic`` has no prefix."""

    topic: str
    partition: int
    records: Sequence[StoredRecord]

    @property
    def last_offset(self) -> int:
        """Return the offset of the last record."""
        return self.records[-1].offset


class Positions(Protocol):
    """Who knows where reading goes on."""

    def next_offset(self, topic: str, partition: int) -> int | None:
        """Return the offset of the next input to take; None: the shard is not in hand, or takes no such topic."""

    def takes(self, topic: str, partition: int) -> bool:
        """Return whether the topic is to be fetched for this partition's shard."""


class Nowhere:
    """Positions before anybody has recovered a shard."""

    def next_offset(self, topic: str, partition: int) -> int | None:
        return None

    def takes(self, topic: str, partition: int) -> bool:
        return True


Fail = Callable[[str, BaseException], None]
"""Ends the process, saying where and why; called from any thread, does not return in production."""


def _crash(where: str, error: BaseException) -> None:
    raise RuntimeError(f"{where} failed") from error


class PassThrough(faust.Schema[Any, Any]):
    """Leaves the batch as it is: bytes are decoded in the kernel, where an error stops the shard, not by Faust."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class _Boot(BootStrategy):
    """Consumer, agents and conductor only: outputs go through the event log, and nothing listens on a port."""

    enable_web = False
    enable_kafka_producer = False


class _NoTables(TableManager):
    """Faust's table manager without the second it waits for tables to be declared: there are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class BatchApp(faust.App):
    """A Faust app whose driver reads on from ``positions`` and strips ``topic_prefix`` from topic names.

    fail: what to do when an agent raises, before Faust goes on with the next message; production ends the process.
    """

    BootStrategy = _Boot
    positions: Positions = Nowhere()
    topic_prefix: str = ""
    fail: Fail = staticmethod(_crash)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, TableManager=_NoTables, **kwargs)

    def _create_directories(self) -> None:
        """Create nothing: there are no tables, and a worker leaves no folder behind."""

    def bare_name(self, topic: str) -> str:
        """Return a topic name without the prefix it has in this app."""
        return topic.removeprefix(self.topic_prefix)


class BatchConsumer(base.Consumer):
    """Consumer whose records are batches. A driver fetches in ``_fetch`` and seeks in ``seek_wait``."""

    seeks = 0
    """How often positions were set: a fetch that began before a seek has nothing to say after it."""

    @abstractmethod
    async def _fetch(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, Sequence[StoredRecord]]:
        """Return what one fetch brings, by partition; empty after ``timeout`` seconds without news."""

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Batch]]:
        seeks = self.seeks
        fetched = await self._fetch(self._taken(active_partitions), timeout)
        if seeks != self.seeks:
            await self.perform_seek()
            return {}
        bare = self._app.bare_name
        return {tp: [Batch(bare(tp.topic), tp.partition, records)] for tp, records in fetched.items() if records}

    def _taken(self, partitions: set[TP] | None) -> set[TP] | None:
        if partitions is None:
            return None
        app = self._app
        return {tp for tp in partitions if app.positions.takes(app.bare_name(tp.topic), tp.partition)}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        batch = cast(Batch, record)
        return ConsumerMessage(
            tp.topic, tp.partition, batch.last_offset, 0.0, 0, None, None, record, None, 0, 0, ensure_TP(tp),
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: a full queue holds the fetcher up by itself, pausing the partition would cost a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing, as for a full buffer."""

    async def on_task_error(self, exc: BaseException) -> None:
        """End the worker: an agent raised, and Faust would go on with the next message."""
        self._app.fail("agent", exc)

    async def perform_seek(self) -> None:
        """Go to where the journal says each partition stands; a partition nobody owns yet stays where it is."""
        self.seeks += 1
        wanted = self._wanted(self.assignment())
        await self.seek_wait(wanted)
        self._read_offset.update({tp: offset or None for tp, offset in wanted.items()})

    def _wanted(self, partitions: Iterable[TP]) -> dict[TP, int]:
        app = self._app
        found = {tp: app.positions.next_offset(app.bare_name(tp.topic), tp.partition) for tp in partitions}
        return {tp: offset for tp, offset in found.items() if offset is not None}

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Tell the group where the shards stand: a hint for lag monitors, never read back by us."""
        offsets = self._wanted(self.assignment())
        news = {tp: offset for tp, offset in offsets.items() if self._committed_offset[tp] != offset}
        if not news or not await self._commit(news):
            return False
        self._committed_offset.update(news)
        return True

    @property
    def _app(self) -> BatchApp:
        return cast(BatchApp, self.app)


def broker_url(log_url: str) -> str:
    """Return Faust's broker URL for a log URL. Raises ValueError for a scheme no driver of ours serves."""
    scheme, separator, rest = log_url.partition("://")
    if separator and scheme == "kafka":
        return f"tapeline-kafka://{rest.partition('/')[0].partition('?')[0]}"
    if separator and scheme == "sqlite":
        path = Path(rest[1:].partition("?")[0]).absolute()
        return f"sqlite:///{path}"
    raise ValueError(f"{log_url!r}: a worker reads kafka://HOST:PORT or sqlite:///PATH")
