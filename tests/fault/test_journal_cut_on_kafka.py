"""A real broker whose journal has lost records: whoever recovers the shard stops, and publishes nothing (kernel, 5.3).

Kafka cuts no tail on request, so a cut log is written anew, every topic of it as it was and the journal shorter; a
whole journal is deleted and made again on the broker itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.codec import decode
from schemas.events.journal import Committed
from schemas.topics import CHECKPOINTS, JOURNAL, OUTPUTS, TOPICS
from streams.app import RESTART
from streams.journal import FailStop, TraderStopped
from streams.log import create_log, open_log
from streams.log.base import EventLog, LogError, NewRecord, StoredRecord
from streams.log.kafka import KafkaAddress
from streams.log.memory import MemoryLog
from streams.trader import Trader
from streams.verify import verify
from tests.toy import STAGES, fill, mark
from tests.worker_process import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
TICKS = [(number * 7) % 11 for number in range(60)]
PATIENCE_S = 60.0
Cut = Callable[[list[StoredRecord]], list[StoredRecord]]
"""Which journal records are still there."""


@pytest.fixture(scope="module")
def traded() -> MemoryLog:
    """A finished run: many commits with outputs, and checkpoints up to its end."""
    log = MemoryLog()
    fill(log, TICKS)
    trader = Trader(log, 0, STAGES, worker="w", code_version="1", checkpoint_inputs=10)
    trader.start()
    while records := log.read("ticks", 0, trader.position("ticks"), limit=5):
        trader.process("ticks", records)
    trader.finish()
    return log


@pytest.fixture
def kafka(kafka_url: str) -> Iterator[EventLog]:
    opened = open_log(kafka_url)
    create_log(opened)
    yield opened
    opened.close()


def written(original: MemoryLog, to: EventLog, cut: Cut) -> dict[str, int]:
    """Write a log to Kafka with its journal cut; return the ends of the output topics."""
    for topic in TOPICS:
        records = list(original.read(topic.name, 0, 0, limit=100_000))
        kept = cut(records) if topic.name == JOURNAL else records
        to.append([NewRecord(topic.name, 0, record.key, record.value, 1) for record in kept])
    return ends(to)


def ends(log: EventLog) -> dict[str, int]:
    return {topic: log.end_offset(topic, 0) for topic in OUTPUTS}


def trader(log: EventLog) -> Trader:
    return Trader(log, 0, STAGES, worker="heir", code_version="1")


def commits(records: list[StoredRecord]) -> list[int]:
    """Return the indices of the commits with outputs."""
    events = [decode(record.value)[1] for record in records]
    return [index for index, event in enumerate(events) if isinstance(event, Committed) and event.outputs]


def without_tail(records: list[StoredRecord]) -> list[StoredRecord]:
    return records[: commits(records)[-1]]


def without_half(records: list[StoredRecord]) -> list[StoredRecord]:
    return records[: commits(records)[len(commits(records)) // 2]]


def without_one_in_the_middle(records: list[StoredRecord]) -> list[StoredRecord]:
    gone = commits(records)[len(commits(records)) // 2]
    return records[:gone] + records[gone + 1 :]


def without_any(records: list[StoredRecord]) -> list[StoredRecord]:
    return []


@pytest.mark.parametrize("checkpoints", ["with", "without"])
@pytest.mark.parametrize("cut", [without_tail, without_half, without_one_in_the_middle, without_any])
def test_recovery_stops_where_outputs_go_beyond_the_journal(
    traded: MemoryLog, kafka: EventLog, cut: Cut, checkpoints: str, kafka_url: str
) -> None:
    before = written(traded, kafka, cut)
    if checkpoints == "without":
        recreate(kafka_url, kafka, CHECKPOINTS)
    for _ in range(2):  # whoever tries again comes to the same end
        heir = trader(kafka)
        with pytest.raises(FailStop, match=r"topic \w+ holds seq \d+, but the journal accounts only for \d+"):
            heir.start()
        assert ends(kafka) == before
    assert not verify(kafka, 0, STAGES).proven


def test_the_worker_ends_with_that_and_publishes_nothing(traded: MemoryLog, kafka: EventLog, kafka_url: str) -> None:
    before = written(traded, kafka, without_tail)
    worker = WorkerProcess(kafka_url)
    try:
        assert worker.exit_code() == RESTART
    finally:
        worker.kill()
    assert "FailStop: shard 0: topic " in worker.said()
    assert "the journal has lost records; restore it from a backup, do not trade on" in worker.said()
    assert "Traceback" not in worker.said()
    assert ends(kafka) == before


def test_an_uncut_copy_is_gone_on_with(traded: MemoryLog, kafka: EventLog) -> None:
    """The tests above stop for the cut and for nothing else."""
    written(traded, kafka, lambda records: records)
    recovered = trader(kafka).start()
    assert (recovered.to_step, recovered.republished) == (len(TICKS) + 1, 0)


def test_a_journal_made_anew_under_a_live_trader_ends_it_before_it_publishes(
    traded: MemoryLog, kafka: EventLog, kafka_url: str
) -> None:
    before = written(traded, kafka, lambda records: records)
    live = trader(kafka)
    live.start()
    recreate(kafka_url, kafka, JOURNAL)
    kafka.append([mark(len(TICKS), 4)])
    with pytest.raises(TraderStopped):
        live.process("ticks", kafka.read("ticks", 0, len(TICKS), limit=1))
    assert ends(kafka) == before
    heir = open_log(kafka_url)  # a process of its own
    with pytest.raises(FailStop, match="the journal has lost records"):
        trader(heir).start()
    assert ends(heir) == before
    heir.close()


def test_a_journal_whose_beginning_was_deleted_is_not_guessed_at(
    traded: MemoryLog, kafka: EventLog, kafka_url: str
) -> None:
    before = written(traded, kafka, lambda records: records)
    recreate(kafka_url, kafka, CHECKPOINTS)
    address = KafkaAddress.parse(kafka_url)
    place = TopicPartition(address.prefix + JOURNAL, 0, 5)
    admin = AdminClient({"bootstrap.servers": address.servers})
    for future in admin.delete_records([place]).values():
        future.result(PATIENCE_S)
    with pytest.raises(LogError, match=r"journal\[0\] at offset 0"):
        trader(kafka).start()
    assert ends(kafka) == before


def recreate(url: str, log: EventLog, topic: str) -> None:
    """Delete a topic on the broker and make it again, empty."""
    address = KafkaAddress.parse(url)
    admin = AdminClient({"bootstrap.servers": address.servers})
    for future in admin.delete_topics([address.prefix + topic], operation_timeout=PATIENCE_S).values():
        future.result(PATIENCE_S)
    again = open_log(url)
    create_log(again)
    assert again.end_offset(topic, 0) == 0
    again.close()
