"""The Kafka log where it differs from the others: doubt, topic settings, a broker that dies."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from deploy.kafka.broker import LocalBroker, free_port
from streams.log.base import Append, LogError, NewRecord
from streams.log.kafka import KafkaAddress, KafkaLog, judge_offset


def record(topic: str, value: bytes) -> NewRecord:
    return NewRecord(topic, 0, b"k", value, 1_700_000_000_000_000)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://a:1", KafkaAddress("a:1", "tapeline.")),
        ("kafka://a:1,b:2/run1", KafkaAddress("a:1,b:2", "run1.")),
        ("kafka://a:1/?flush=1&timeout=2", KafkaAddress("a:1", "tapeline.", flush=True, timeout_s=2.0)),
    ],
)
def test_reads_servers_prefix_and_options_from_the_url(url: str, expected: KafkaAddress) -> None:
    assert KafkaAddress.parse(url) == expected


@pytest.mark.parametrize("url", ["kafka://", "confluent://a:1", "kafka://a:1?timeout=soon"])
def test_refuses_a_url_of_another_form(url: str) -> None:
    with pytest.raises(LogError):
        KafkaAddress.parse(url)


@pytest.mark.parametrize(
    ("acknowledged", "expected"),
    [
        ([7], Append.ACCEPTED),
        ([8], Append.FENCED),
        ([6], Append.FENCED),
        ([-1], Append.UNSURE),
        ([-1001], Append.UNSURE),
        ([], Append.UNSURE),
    ],
)
def test_an_acknowledgement_without_an_offset_is_in_doubt(acknowledged: list[int], expected: Append) -> None:
    assert judge_offset(acknowledged, 7) is expected


def test_without_a_broker_reads_fail_and_writes_are_in_doubt() -> None:
    log = KafkaLog.from_url(f"kafka://127.0.0.1:{free_port()}?timeout=1")
    attempts: tuple[Callable[[], object], ...] = (
        lambda: log.create_topics({"ticks": 1}),
        lambda: log.partitions("ticks"),
        lambda: log.publish([record("ticks", b"x")]),
        lambda: log.append([record("ticks", b"x")]),
    )
    for attempt in attempts:
        with pytest.raises(LogError):
            attempt()
    assert log.append_at(record("journal", b"x"), 0) is Append.UNSURE
    log.close()


@pytest.mark.kafka
def test_a_record_too_large_for_the_broker_is_an_error_not_a_loss(kafka_url: str) -> None:
    log = KafkaLog.from_url(kafka_url)
    log.create_topics({"ticks": 1, "journal": 1})
    too_large = b"x" * (17 * 1024 * 1024)

    with pytest.raises(LogError):
        log.publish([record("ticks", too_large)])
    assert log.append_at(record("journal", too_large), 0) is Append.UNSURE
    assert log.append([record("ticks", b"after")]) == [0]
    log.close()


@pytest.mark.kafka
def test_topics_keep_facts_for_ever_and_take_any_date(kafka_url: str) -> None:
    log = KafkaLog.from_url(kafka_url + "?flush=1")
    log.create_topics({"journal": 1, "bars": 1})
    settings = {name: topic_settings(log, name) for name in ("journal", "bars")}

    for found in settings.values():
        assert found["cleanup.policy"] == "delete"
        assert found["retention.ms"] == "-1"
        assert found["compression.type"] == "zstd"
        assert found["message.timestamp.type"] == "CreateTime"
        assert int(found["max.message.bytes"]) >= 16 * 1024 * 1024
    assert settings["journal"]["flush.messages"] == "1"
    assert settings["bars"]["flush.messages"] != "1"
    far_future = NewRecord("bars", 0, b"k", b"v", 4_000_000_000_000_000)
    assert log.append([far_future]) == [0]
    log.close()


def topic_settings(log: KafkaLog, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, log.address.prefix + topic)
    admin = AdminClient({"bootstrap.servers": log.address.servers})
    found = admin.describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in found.items()}


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("setting", "value"),
    [("retention.ms", "604800000"), ("retention.bytes", "1000000"), ("cleanup.policy", "compact")],
)
def test_a_topic_that_would_lose_records_is_refused(kafka_url: str, setting: str, value: str) -> None:
    log = KafkaLog.from_url(kafka_url)
    log.create_topics({"journal": 1, "bars": 1})
    log.create_topics({"journal": 1, "bars": 1})
    change = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    name = log.address.prefix + "bars"
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[change])
    admin = AdminClient({"bootstrap.servers": log.address.servers})
    admin.incremental_alter_configs([resource])[resource].result(30)

    with pytest.raises(LogError, match=f"{name} has {setting}={value}"):
        log.create_topics({"journal": 1, "bars": 1})
    log.close()


@pytest.mark.kafka
def test_closing_waits_for_no_reader_that_waits_for_it(kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = KafkaLog.from_url(kafka_url)
    log.create_topics({"ticks": 1})
    log.append([record("ticks", b"1")])
    asked, closing = Event(), Event()
    ask = log.end_offset
    errors: list[LogError] = []

    def end_offset(topic: str, partition: int) -> int:
        """Ask for the end, inside the reader's lock, only once the log is being closed."""
        asked.set()
        assert closing.wait(10)
        return ask(topic, partition)

    def read() -> None:
        try:
            log.read("ticks", 0, 0, limit=10)
        except LogError as error:
            errors.append(error)

    monkeypatch.setattr(log, "end_offset", end_offset)
    reader, closer = Thread(target=read, daemon=True), Thread(target=log.close, daemon=True)
    reader.start()
    assert asked.wait(10)
    closer.start()
    closer.join(0.2)  # by now it waits for the reader
    closing.set()
    for thread in (reader, closer):
        thread.join(20)
        assert not thread.is_alive()
    assert "closed" in str(errors[0])
    with pytest.raises(LogError, match="closed"):
        log.read("ticks", 0, 0, limit=10)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_killed_broker_keeps_what_it_acknowledged_and_the_log_goes_on(
    kafka_broker: LocalBroker, kafka_url: str
) -> None:
    log = KafkaLog.from_url(kafka_url)
    log.create_topics({"ticks": 1, "journal": 1})
    log.append([record("ticks", b"%d" % number) for number in range(500)])
    assert log.append_at(record("journal", b"0"), 0) is Append.ACCEPTED

    kafka_broker.kill()
    kafka_broker.start()

    assert [each.value for each in log.read("ticks", 0, 0, limit=1000)] == [b"%d" % number for number in range(500)]
    assert log.append_at(record("journal", b"1"), 1) is Append.ACCEPTED
    assert log.append([record("ticks", b"after")]) == [500]
    log.close()
