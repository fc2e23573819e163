"""Control and schemas on a real broker: a command finds its answer, stock clients decode what is on Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer

from schemas.json_form import to_json
from schemas.topics import TOPICS
from services.api import create_app
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log import open_log
from streams.log.base import EventLog
from streams.log.kafka import KafkaAddress
from streams.reader import SeqReader
from tests.answering import SETTINGS, answering, prepare
from tests.events import tape
from tests.live_server import serving
from tests.stock_client import as_json_form, without_iso

pytestmark = pytest.mark.kafka

TOKEN = "correct-horse-battery-staple"
CONSUME_S = 30.0


@pytest.fixture
def log(kafka_url: str) -> Iterator[EventLog]:
    opened = open_log(kafka_url)
    yield opened
    opened.close()


def _api(log: EventLog) -> Settings:
    return Settings(load_settings(environ={"TAPELINE_API_TOKEN": TOKEN}, env_file=None).service, SETTINGS)


def test_a_command_on_kafka_finds_its_answer(log: EventLog) -> None:
    prepare(log)
    with answering(log), serving(create_app(log, ReadDatabase("host=127.0.0.1 port=1"), _api(log))) as url:
        client = httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=60)
        answered = client.post("/plans/generate?symbol=BTC-USDT&market_type=perp")
        assert (answered.status_code, answered.json()["status"]) == (200, "proposed")
        assert client.post("/risk/resume").status_code == 409
        found = client.get(f"/commands/{answered.json()['command_id']}")
        assert found.json()["outcome"] == answered.json()["outcome"]
        assert client.get("/ready").json()["log"]["reachable"] is True


def test_a_stock_consumer_decodes_every_topic_on_kafka(log: EventLog, kafka_url: str) -> None:
    log.create_topics({topic.name: 1 for topic in TOPICS})
    log.append(list(tape(2)))
    address = KafkaAddress.parse(kafka_url)
    with serving(create_app(log, ReadDatabase("host=127.0.0.1 port=1"), _api(log))) as url:
        consumer = DeserializingConsumer(
            {
                "bootstrap.servers": address.servers,
                "group.id": f"{address.prefix}stock",
                "auto.offset.reset": "earliest",
                "value.deserializer": AvroDeserializer(SchemaRegistryClient({"url": url})),
            }
        )
        consumer.subscribe([f"{address.prefix}{topic.name}" for topic in TOPICS])
        expected = {
            (f"{address.prefix}{topic.name}", accepted.record.offset): without_iso(
                to_json(accepted.envelope, accepted.event)
            )
            for topic in TOPICS
            for accepted in SeqReader(log, topic.name, 0).poll(10_000)
        }
        seen = {}
        while len(seen) < len(expected):
            message = consumer.poll(CONSUME_S)
            assert message is not None, f"{len(seen)} of {len(expected)} records came"
            seen[(message.topic(), message.offset())] = as_json_form(message.value())
        consumer.close()
    assert seen == {place: {"envelope": form["envelope"], **form["payload"]} for place, form in expected.items()}
