"""An event log on Kafka: bulk reads and awaited, idempotent writes with confluent-kafka, no consumer group.

What the broker acknowledged is in the log. Whatever else happens to a write (error, time-out, an acknowledgement
without offset) leaves it in doubt, and doubt is the caller's to handle: nothing is sent a second time from here.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.topics import INPUTS, JOURNAL, PREFIX, REPORTS
from streams.log.base import Append, LogError, NewRecord, NoTopic, StoredRecord
from streams.log.kafka_reader import INCURABLE, PartitionReader
from streams.log.kafka_topics import MESSAGE_BYTES_MAX, create_missing, refuse_forgetful, topic_settings

TIMEOUT_S = 30.0
"""How long a read or an administrative call may take, a broker restart included."""
DELIVERY_TIMEOUT_S = 15.0
"""How long a write may stay unacknowledged before it counts as in doubt (less when the URL's timeout is)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """Where a log is: ``kafka://host:port[,host:port][/prefix][?flush=1&timeout=30]``.

    prefix: put before every topic name; a path ``run1`` gives ``run1.``. flush: topics are created with an fsync per
    message on what recovery needs (inputs, journal), which a single broker needs to survive a power cut.
    """

    servers: str
    prefix: str = PREFIX
    flush: bool = False
    timeout_s: float = TIMEOUT_S

    @classmethod
    def parse(cls, url: str) -> KafkaAddress:
        """Return the parts of a URL. Raises LogError when it is not of the form above."""
        parts = urlsplit(url)
        if parts.scheme != "kafka" or not parts.netloc:
            raise LogError(f"{url!r}: a Kafka log is kafka://HOST:PORT[/PREFIX]")
        query = parse_qs(parts.query)
        name = parts.path.strip("/")
        timeout = query.get("timeout", [str(TIMEOUT_S)])[0]
        try:
            return cls(parts.netloc, f"{name}." if name else PREFIX, query.get("flush") == ["1"], float(timeout))
        except ValueError as error:
            raise LogError(f"{url!r}: timeout={timeout} is not a number of seconds") from error


class _Sending:
    """Delivery reports of one call: how many are out, the offsets, the first error."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.error: KafkaError | None = None

    def report(self, error: KafkaError | None, message: Any) -> None:
        self.outstanding -= 1
        if error is not None:
            self.error = self.error or error
        else:
            offset = message.offset()
            self.offsets[message.topic(), message.partition()].append(-1 if offset is None else offset)


class KafkaLog:
    """The log on a Kafka cluster. An object may be shared between threads; nothing connects before it is needed."""

    def __init__(self, address: KafkaAddress) -> None:
        self.address = address
        self._common: dict[str, Any] = {
            "bootstrap.servers": address.servers,
            # Errors reach the caller through results; librdkafka's own console lines would only repeat them.
            "log_level": 0,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 500,
            "socket.nagle.disable": True,
        }
        self._delivery_s = min(DELIVERY_TIMEOUT_S, address.timeout_s)
        self._lock = Lock()
        self._write_lock = Lock()
        self._closed = False
        self._readers: dict[tuple[str, int], PartitionReader] = {}
        self._partitions: dict[str, int] = {}
        self._producer: Producer | None = None
        self._metadata: Consumer | None = None
        # Checkpoints ask for the last record of every topic. Seeking there costs up to the broker's fetch wait (0.5 s)
        # each time; a record once acknowledged or read is the same for ever.
        self._last: dict[tuple[str, int], StoredRecord] = {}

    @classmethod
    def from_url(cls, url: str) -> KafkaLog:
        """Return the log of a ``kafka://`` URL. Raises LogError when the URL has another form."""
        return cls(KafkaAddress.parse(url))

    # -- topics ---------------------------------------------------------------------------------------------------

    def create_topics(self, topics: Mapping[str, int]) -> None:
        with self._write_lock:
            self._ensure_producer()  # who creates topics will write: the producer gets its id meanwhile (0.5 s)
        admin = AdminClient(self._common)
        settings = {self._name(name): self._settings(name) for name in topics}
        wanted = {self._name(name): count for name, count in topics.items()}
        try:
            existed = create_missing(admin, wanted, settings, self.address.timeout_s)
            refuse_forgetful(admin, existed, self.address.timeout_s)
        except LogError as error:
            raise LogError(f"{self.address.servers}: {error}") from error
        for name, count in topics.items():
            found = self._until(partial(self._appeared, name), f"topic {name} does not appear")
            if found != count:
                raise LogError(f"topic {name} has {found} partitions, not {count}: partition counts are fixed for ever")

    def partitions(self, topic: str) -> int:
        known = self._partitions.get(topic)
        if known is None:
            known = self._until(partial(self._count_partitions, topic), f"topic {topic} cannot be asked about")
            if known == 0:
                raise NoTopic(f"{self.address.servers}: topic {self._name(topic)} does not exist; create the log first")
            self._partitions[topic] = known
        return known

    # -- reading --------------------------------------------------------------------------------------------------

    def end_offset(self, topic: str, partition: int) -> int:
        self._check(topic, partition)
        place = TopicPartition(self._name(topic), partition)
        consumer = self._metadata_consumer()
        _, high = self._until(
            lambda: consumer.get_watermark_offsets(place, timeout=self.address.timeout_s), f"{place.topic} has no end"
        )
        return int(high)

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        self._check(topic, partition)
        last = self._last.get((topic, partition))
        if limit == 1 and last is not None and last.offset == offset:
            return [last]
        records = self._reader(topic, partition).read(offset, limit, lambda: self.end_offset(topic, partition))
        if limit == 1 and records:
            self._last[topic, partition] = records[0]
        return records

    # -- writing --------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        sending = self._send(records)
        if sending.error is not None:
            raise LogError(f"{self.address.servers}: an append is in doubt: {sending.error.str()}")
        # Within a partition the order sent is the order stored, so the n-th smallest offset is the n-th record's.
        offsets = {place: iter(sorted(found)) for place, found in sending.offsets.items()}
        result = [next(offsets[self._name(record.topic), record.partition]) for record in records]
        if any(offset < 0 for offset in result):
            raise LogError(f"{self.address.servers}: an append was acknowledged without its offset")
        return result

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        try:
            sending = self._send((record,))
        except LogError:
            return Append.UNSURE
        if sending.error is not None:
            return Append.UNSURE
        return judge_offset(sending.offsets[self._name(record.topic), record.partition], expected_offset)

    def publish(self, records: Sequence[NewRecord]) -> None:
        sending = self._send(records)
        if sending.error is not None:
            raise LogError(f"{self.address.servers}: outputs could not be published: {sending.error.str()}")

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        result = self.append_at(journal, expected_offset)
        if result is Append.ACCEPTED and outputs:
            self.publish(outputs)
        return result

    def close(self) -> None:
        with self._lock:  # taken for a moment only: a thread that reads holds its reader's lock and comes for this one
            self._closed = True
            readers, self._readers = list(self._readers.values()), {}
            self._metadata = None  # not closed: another thread may be inside a call, and is the last to hold it
        for reader in readers:
            reader.close()
        self._discard_producer()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _name(self, topic: str) -> str:
        return self.address.prefix + topic

    def _check(self, topic: str, partition: int) -> None:
        if not 0 <= partition < self.partitions(topic):
            raise LogError(f"topic {topic} has {self.partitions(topic)} partitions, there is no partition {partition}")

    def _settings(self, topic: str) -> dict[str, str]:
        return topic_settings(flush=self.address.flush and topic in (*INPUTS, REPORTS, JOURNAL))

    def _new_consumer(self) -> Consumer:
        settings = {
            "group.id": "tapeline-reader",  # demanded by the library; nothing is ever committed to it
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            # A seek waits behind the fetch under way, which at the end of a partition lasts this long (default: 500).
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,
            "fetch.error.backoff.ms": 20,
            "queued.max.messages.kbytes": 32_768,
            "fetch.message.max.bytes": MESSAGE_BYTES_MAX,
            "check.crcs": True,
        }
        return Consumer(self._common | settings)

    def _metadata_consumer(self) -> Consumer:
        with self._lock:
            self._refuse_closed()
            if self._metadata is None:
                self._metadata = self._new_consumer()
            return self._metadata

    def _reader(self, topic: str, partition: int) -> PartitionReader:
        with self._lock:
            self._refuse_closed()
            reader = self._readers.get((topic, partition))
            if reader is None:
                name = self._name(topic)
                reader = PartitionReader(self._new_consumer(), topic, name, partition, self.address.timeout_s)
                self._readers[topic, partition] = reader
            return reader

    def _refuse_closed(self) -> None:
        if self._closed:
            raise LogError(f"{self.address.servers}: this log was closed")

    def _appeared(self, topic: str) -> int | None:
        return self._count_partitions(topic) or None

    def _count_partitions(self, topic: str) -> int | None:
        """Return how many partitions a topic has; 0: it does not exist (yet); None: one of them has no leader."""
        consumer, name = self._metadata_consumer(), self._name(topic)
        found = self._until(lambda: consumer.list_topics(name, timeout=self.address.timeout_s), "no metadata")
        metadata = found.topics.get(name)
        if metadata is None or metadata.error is not None or not metadata.partitions:
            missing = metadata is None or metadata.error.code() in INCURABLE
            return 0 if missing else None
        return len(metadata.partitions) if all(each.leader >= 0 for each in metadata.partitions.values()) else None

    def _until(self, ask: Callable[[], T | None], complaint: str) -> T:
        """Ask until there is an answer. Raises LogError at the deadline, or at once when waiting cannot help."""
        deadline = time.monotonic() + self.address.timeout_s
        reason = "no answer"
        while True:
            try:
                if (answer := ask()) is not None:
                    return answer
            except KafkaException as error:
                reason = _words(error)
                if error.args[0].code() in INCURABLE:
                    raise LogError(f"{self.address.servers}: {complaint}: {reason}") from error
            if time.monotonic() > deadline:
                raise LogError(f"{self.address.servers}: {complaint}: {reason}")
            time.sleep(0.02)

    def _send(self, records: Sequence[NewRecord]) -> _Sending:
        """Send and wait for every report. On an error nothing of it stays queued: a later call cannot deliver it."""
        sending = _Sending()
        with self._write_lock:
            producer = self._ensure_producer()
            deadline = time.monotonic() + self._delivery_s + 2
            try:
                for record in records:
                    self._produce(producer, record, sending, deadline)
                while sending.outstanding and time.monotonic() < deadline:
                    producer.poll(max(0.0, deadline - time.monotonic()))
            except (KafkaException, BufferError, ValueError) as error:
                self._discard_locked()
                raise LogError(f"{self.address.servers}: cannot send: {error}") from error
            except BaseException:  # Ctrl-C: what is queued must not go out after the caller has given up
                self._discard_locked()
                raise
            if sending.outstanding:
                self._discard_locked()
                raise LogError(f"{self.address.servers}: {sending.outstanding} records stayed unacknowledged")
            if sending.error is not None:
                self._discard_locked()
            else:
                self._remember(records, sending)
        return sending

    def _remember(self, records: Sequence[NewRecord], sending: _Sending) -> None:
        """Keep the last acknowledged record of each partition written to, where its offset is known."""
        for (topic, partition), record in {(record.topic, record.partition): record for record in records}.items():
            offsets = sending.offsets[self._name(topic), partition]
            if min(offsets) >= 0:
                self._last[topic, partition] = StoredRecord(topic, partition, max(offsets), record.key, record.value)

    def _produce(self, producer: Producer, record: NewRecord, sending: _Sending, deadline: float) -> None:
        while True:
            try:
                producer.produce(
                    self.address.prefix + record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=sending.report,
                    timestamp=max(record.ts_event // 1000, 1),  # 0 would mean "now"
                )
            except BufferError:  # the local queue is full: let some of it go out
                if time.monotonic() > deadline:
                    raise
                producer.poll(0.1)
                continue
            sending.outstanding += 1
            return

    def _ensure_producer(self) -> Producer:
        if self._producer is None:
            settings = {
                "enable.idempotence": True,
                # A record given up fails those sent behind it: a batch lands as a prefix, never with a hole.
                "enable.gapless.guarantee": True,
                "acks": "all",
                "linger.ms": 0,
                "compression.codec": "zstd",
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "delivery.timeout.ms": int(self._delivery_s * 1000),
                "retry.backoff.ms": 20,
            }
            self._producer = Producer(self._common | settings)
        return self._producer

    def _discard_producer(self) -> None:
        with self._write_lock:
            self._discard_locked()

    def _discard_locked(self) -> None:
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


def judge_offset(acknowledged: Sequence[int], expected_offset: int) -> Append:
    """Return what an acknowledged offset says about a conditional append; none, or a negative one, says nothing."""
    if len(acknowledged) != 1 or acknowledged[0] < 0:
        return Append.UNSURE
    return Append.ACCEPTED if acknowledged[0] == expected_offset else Append.FENCED


def _words(error: KafkaException) -> str:
    return str(error.args[0].str())
