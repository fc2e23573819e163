"""One suite over every event log: what the kernel, the projector and verify take for granted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from streams.log import open_log
from streams.log.base import RECORD_BYTES_MAX, Append, EventLog, LogError, NewRecord, NoTopic, end_of

KINDS = ("memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka))
TOPICS = {"ticks": 2, "journal": 1, "bars": 1, "checkpoints": 1}
Open = Callable[[], EventLog]


@pytest.fixture(params=KINDS)
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens one and the same log any number of times; the memory log has one object only."""
    opened: list[EventLog] = []
    if request.param == "memory":
        url = "memory://"
    elif request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/log.db"
    else:
        url = request.getfixturevalue("kafka_url")

    def open_it() -> EventLog:
        if request.param == "memory" and opened:
            return opened[0]
        opened.append(open_log(url))
        return opened[-1]

    yield open_it
    for log in opened:
        log.close()


@pytest.fixture
def log(open_again: Open) -> EventLog:
    opened = open_again()
    opened.create_topics(TOPICS)
    return opened


def record(topic: str, value: bytes, partition: int = 0, key: bytes = b"k") -> NewRecord:
    return NewRecord(topic, partition, key, value, 1_700_000_000_000_000)


def values(log: EventLog, topic: str, partition: int = 0, offset: int = 0, limit: int = 1000) -> list[bytes]:
    return [each.value for each in log.read(topic, partition, offset, limit=limit)]


def test_a_topic_that_is_not_there_is_told_from_a_log_that_cannot_be_reached(log: EventLog) -> None:
    with pytest.raises(NoTopic, match="does not exist"):
        log.partitions("regimes")
    with pytest.raises(NoTopic):
        log.read("regimes", 0, 0, limit=1)
    assert (end_of(log, "regimes", 0), end_of(log, "ticks", 1)) == (0, 0)
    with pytest.raises(LogError, match="no partition 9"):
        end_of(log, "ticks", 9)


def test_append_returns_dense_offsets_from_zero_per_partition(log: EventLog) -> None:
    first = log.append([record("ticks", b"a"), record("ticks", b"b", 1), record("ticks", b"c")])
    second = log.append([record("ticks", b"d", 1)])

    assert (first, second) == ([0, 0, 1], [1])
    assert (log.end_offset("ticks", 0), log.end_offset("ticks", 1)) == (2, 2)


def test_reads_back_key_value_and_place_in_order(log: EventLog) -> None:
    log.append([record("ticks", b"%d" % number, key=b"k%d" % number) for number in range(5)])

    (third, fourth) = log.read("ticks", 0, 2, limit=2)

    assert (third.topic, third.partition, third.offset, third.key, third.value) == ("ticks", 0, 2, b"k2", b"2")
    assert (fourth.offset, fourth.value) == (3, b"3")


def test_the_largest_record_there_may_be_is_stored_whole(log: EventLog) -> None:
    """Bytes that do not compress: what a broker takes must not depend on what is in them."""
    value = random.Random(1).randbytes(RECORD_BYTES_MAX - 1)
    log.publish([record("bars", value, key=b"k")])
    assert [each.value == value for each in log.read("bars", 0, 0, limit=1)] == [True]


def test_reading_at_or_past_the_end_returns_nothing_and_does_not_wait(log: EventLog) -> None:
    log.append([record("ticks", b"a")])

    assert values(log, "ticks", offset=1) == []
    assert values(log, "ticks", offset=99) == []
    assert values(log, "ticks", partition=1) == []


def test_reads_forwards_backwards_and_again(log: EventLog) -> None:
    log.append([record("ticks", b"%d" % number) for number in range(100)])

    assert values(log, "ticks", offset=90) == [b"%d" % number for number in range(90, 100)]
    assert values(log, "ticks", offset=0, limit=3) == [b"0", b"1", b"2"]
    assert values(log, "ticks", offset=3, limit=3) == [b"3", b"4", b"5"]
    assert values(log, "ticks", offset=50, limit=1) == [b"50"]
    assert values(log, "ticks", offset=50, limit=1) == [b"50"]


def test_sees_what_another_writer_appended_after_the_last_read(log: EventLog, open_again: Open) -> None:
    log.append([record("ticks", b"a")])
    assert values(log, "ticks") == [b"a"]

    open_again().append([record("ticks", b"b")])

    assert values(log, "ticks", offset=1) == [b"b"]


def test_reading_from_the_start_again_sees_the_new_end(log: EventLog, open_again: Open) -> None:
    log.append([record("ticks", b"a")])
    assert values(log, "ticks") == [b"a"]

    open_again().append([record("ticks", b"b")])

    assert values(log, "ticks") == [b"a", b"b"]


def test_keeps_what_was_written_when_opened_again(log: EventLog, open_again: Open) -> None:
    log.append([record("ticks", b"a")])

    assert values(open_again(), "ticks") == [b"a"]
    assert open_again().partitions("ticks") == 2


def test_append_at_accepts_the_next_offset_only(log: EventLog) -> None:
    assert log.append_at(record("journal", b"claim"), 0) is Append.ACCEPTED
    assert log.append_at(record("journal", b"commit"), 1) is Append.ACCEPTED
    assert log.append_at(record("journal", b"late"), 1) is Append.FENCED


def test_of_two_writers_at_one_offset_exactly_one_is_accepted(log: EventLog, open_again: Open) -> None:
    results: list[Append] = []
    writers = [
        Thread(target=lambda: results.append(open_again().append_at(record("journal", b"x"), 0))) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert sorted(result.value for result in results) == ["accepted", "fenced"]


def test_commit_publishes_its_outputs_in_order(log: EventLog) -> None:
    outputs = [record("bars", b"%d" % number) for number in range(20)]

    assert log.commit(record("journal", b"c"), 0, outputs) is Append.ACCEPTED
    assert values(log, "bars") == [b"%d" % number for number in range(20)]
    assert values(log, "journal") == [b"c"]


def test_a_fenced_commit_publishes_nothing(log: EventLog, open_again: Open) -> None:
    assert log.append_at(record("journal", b"mine"), 0) is Append.ACCEPTED
    other = open_again()
    assert other.append_at(record("journal", b"theirs"), 1) is Append.ACCEPTED

    assert log.commit(record("journal", b"late"), 1, [record("bars", b"x")]) is Append.FENCED
    assert values(other, "bars") == []


def test_publish_of_nothing_is_allowed(log: EventLog) -> None:
    log.publish([])
    assert log.append([]) == []


def test_order_holds_over_a_large_batch(log: EventLog) -> None:
    count = 25_000
    log.publish([record("bars", b"%d" % number) for number in range(count)])

    seen: list[bytes] = []
    while more := values(log, "bars", offset=len(seen), limit=7_000):
        seen += more
    assert seen == [b"%d" % number for number in range(count)]


def test_holds_a_checkpoint_of_several_megabytes(log: EventLog) -> None:
    state = bytes(range(256)) * 16 * 1024
    log.publish([record("checkpoints", state)])

    assert values(log, "checkpoints") == [state]


def test_an_empty_key_is_read_back_empty(log: EventLog) -> None:
    log.append([record("journal", b"v", key=b"")])

    assert log.read("journal", 0, 0, limit=1)[0].key == b""


def test_creating_topics_again_changes_nothing(log: EventLog) -> None:
    log.append([record("ticks", b"a")])
    log.create_topics(TOPICS)

    assert values(log, "ticks") == [b"a"]


def test_refuses_another_partition_count(log: EventLog) -> None:
    with pytest.raises(LogError, match="2 partitions, not 3"):
        log.create_topics({"ticks": 3})


def test_names_an_unknown_topic_and_a_partition_that_is_not_there(log: EventLog) -> None:
    with pytest.raises(LogError, match="nowhere"):
        log.end_offset("nowhere", 0)
    with pytest.raises(LogError, match="no partition 2"):
        log.read("ticks", 2, 0, limit=1)


def test_reads_while_another_thread_writes(log: EventLog, open_again: Open) -> None:
    writer = open_again()
    thread = Thread(target=lambda: [writer.append([record("ticks", b"%d" % number)]) for number in range(200)])
    thread.start()
    seen: list[bytes] = []
    while thread.is_alive() or len(seen) < log.end_offset("ticks", 0):
        seen += values(log, "ticks", offset=len(seen), limit=50)
    thread.join(60)

    assert seen == [b"%d" % number for number in range(200)]
