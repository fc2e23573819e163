"""The read side over a real PostgreSQL: pages, filters, lag, schemas for stock clients, and no way to write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastapi import FastAPI

from projections.access import READ_ROLE
from projections.writer import Projector
from schemas.avro_types import NAMESPACE
from schemas.codec import decode, encode, schema_ids
from schemas.events import EVENT_TYPES
from schemas.json_form import to_json
from schemas.topics import BY_NAME, TOPICS
from services.api import create_app
from services.projection import LogSource
from services.query.database import ReadDatabase
from services.query.health import health_router
from services.query.reads import RESOURCES
from services.settings import Settings, load_settings
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.reader import SeqReader
from tests.answering import SETTINGS
from tests.clock import Clock
from tests.events import tape
from tests.live_server import serving
from tests.stock_client import as_json_form, without_iso

pytestmark = pytest.mark.postgres

ROUNDS = 7
SETTINGS_OFF = Settings(load_settings(environ={}, env_file=None).service, SETTINGS)


def unasked(records: Iterable[NewRecord]) -> list[NewRecord]:
    """Return the records without commands: one from long ago that no trader took is reason enough not to be ready."""
    return [record for record in records if record.topic != "commands"]


def filled_log(records: Iterable[NewRecord] | None = None) -> MemoryLog:
    filled = MemoryLog()
    filled.create_topics({topic.name: 1 for topic in TOPICS})
    filled.append(list(tape(ROUNDS) if records is None else records))
    return filled


@contextmanager
def opened(database: str) -> Iterator[ReadDatabase]:
    reads = ReadDatabase(database)
    yield reads
    reads.close()


@contextmanager
def asking(log: MemoryLog, database: str, reads: ReadDatabase) -> Iterator[httpx.Client]:
    """A client without a token, of an API over every event type projected ROUNDS times."""
    with Projector(LogSource(log), database) as projector:
        projector.run(until_caught_up=True)
    with (
        serving(create_app(log, reads, SETTINGS_OFF)) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def log() -> MemoryLog:
    return filled_log()


@pytest.fixture(scope="module")
def reads(module_database: str) -> Iterator[ReadDatabase]:
    with opened(module_database) as reads:
        yield reads


@pytest.fixture(scope="module")
def api(log: MemoryLog, module_database: str, reads: ReadDatabase) -> Iterator[httpx.Client]:
    with asking(log, module_database, reads) as client:
        yield client


@pytest.mark.parametrize("path", [resource.path for resource in RESOURCES])
def test_every_resource_answers_newest_first_and_pages_through_all_of_it(api: httpx.Client, path: str) -> None:
    whole = api.get(f"/{path}?limit=1000").json()
    assert whole["next_cursor"] is None
    assert whole["items"]
    pages, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/{path}?limit=2{cursor and '&cursor=' + cursor}").json()
        assert len(page["items"]) <= 2
        pages += page["items"]
        cursor = page["next_cursor"]
    assert pages == whole["items"]
    upwards = api.get(f"/{path}?limit=1000&order=asc").json()["items"]
    assert sorted(map(str, upwards)) == sorted(map(str, whole["items"]))
    times = [item.get("ts_event", item.get("ts_intended")) for item in upwards]
    assert times == sorted(times)


def test_rows_say_what_the_events_said(api: httpx.Client, log: MemoryLog) -> None:
    (newest,) = api.get("/bars?limit=1").json()["items"]
    accepted = SeqReader(log, "bars", 0).poll(100)[-1]
    form = to_json(accepted.envelope, accepted.event)
    assert newest["event_id"] == form["envelope"]["event_id"]
    assert newest["ts_event"] == form["envelope"]["ts_event"]
    assert newest["ts_event_iso"] == form["envelope"]["ts_event_iso"]
    for name in (
        "instrument_id",
        "timeframe",
        "open_price",
        "close_price",
        "vwap",
        "tick_count",
        "complete",
        "ts_open",
    ):
        assert newest[name] == form["payload"][name]


def test_filters_and_time_ranges_select(api: httpx.Client) -> None:
    every = api.get("/bars").json()["items"]
    one = every[2]
    same = api.get("/bars", params={"instrument_id": one["instrument_id"]}).json()["items"]
    assert same == [item for item in every if item["instrument_id"] == one["instrument_id"]]
    hourly = api.get("/bars", params={"timeframe": "1h"}).json()["items"]
    assert hourly == [item for item in every if item["timeframe"] == "1h"]
    until = api.get("/bars", params={"ts_to": one["ts_event_iso"]}).json()["items"]
    since = api.get("/bars", params={"ts_from": one["ts_event"]}).json()["items"]
    assert [*since, *until] == every
    assert api.get("/bars?instrument_id=nothing").json() == {"items": [], "next_cursor": None}
    declined = api.get("/plans?event_type=PlanDeclined").json()["items"]
    assert {item["event_type"] for item in declined} == {"PlanDeclined"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=", "cursor"),
        ("order=up", "order"),
        ("ts_from=yesterday", "ts_from"),
        ("ts_from=2025-03-19T16:00:00", "ts_from"),
        ("ts_to=99999999999999999999", "ts_to"),
        ("colour=red", "colour"),
        ("instrument_id=a&instrument_id=b", "instrument_id"),
        ("timeframe=2m", "timeframe"),
        ("open=true", "open"),
    ],
)
def test_a_malformed_query_is_422_and_names_the_parameter(api: httpx.Client, query: str, field: str) -> None:
    response = api.get(f"/bars?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("value", ["'; DROP TABLE bars; --", "a\x00b", "%", "x" * 5000, "é"])
def test_hostile_filter_values_are_values(api: httpx.Client, value: str) -> None:
    assert api.get("/bars", params={"instrument_id": value}).json()["items"] == []
    assert api.get("/bars").json()["items"]


def test_ready_says_no_while_the_projector_waits_for_a_number_that_does_not_come(database: str) -> None:
    log, clock, app = filled_log(unasked(tape(ROUNDS))), Clock(), FastAPI()
    at = log.end_offset("bars", 0)
    bar = log.read("bars", 0, at - 1, limit=1)[0]
    envelope, event = decode(bar.value)
    records = [NewRecord("bars", 0, bar.key, encode(envelope._replace(seq=at + n), event), 1) for n in (0, 1)]
    log.append(records[1:])
    with opened(database) as reads, Projector(LogSource(log), database) as projector:
        app.include_router(health_router(log, reads, shard=0, version="1", clock=clock))
        with serving(app) as url, httpx.Client(base_url=url, timeout=30) as client:
            projector.run(until_caught_up=True)
            assert client.get("/ready").status_code == 200
            clock.now = 10.0
            response = client.get("/ready")
            assert (response.status_code, response.json()["status"]) == (503, "not ready")
            missing = {"topic": "bars", "partition": 0, "expected_seq": at, "seen_seq": at + 1, "age_s": 10.0}
            assert response.json()["database"]["unfilled"] == [missing]
            assert f"bars[0]: seq {at} is missing for 10 s" in response.json()["database"]["reason"]
            log.append(records)
            projector.run(until_caught_up=True)
            assert client.get("/ready").json()["database"].get("reason") is None
            assert client.get("/ready").status_code == 200
            clock.now = 30.5
            response = client.get("/ready")
            assert (response.status_code, response.json()["status"]) == (503, "not ready")
            assert "no trader takes them (none was ever taken)" in response.json()["log"]["reason"]


def test_ready_says_no_to_a_command_from_long_ago_that_no_trader_took(database: str) -> None:
    log = filled_log()
    with opened(database) as reads, asking(log, database, reads) as api:
        response = api.get("/ready")
    assert (response.status_code, response.json()["log"]["reachable"]) == (503, True)
    assert "is `tapeline worker` running on this log?" in response.json()["log"]["reason"]


def test_ready_shows_the_lag_of_the_projector(database: str) -> None:
    log = filled_log(unasked(tape(ROUNDS)))
    with opened(database) as reads, asking(log, database, reads) as api:
        assert api.get("/ready").json()["database"]["projector_lag_records"] == 0
        log.append(unasked(tape(1)))
        body = api.get("/ready").json()
    assert body["status"] == "ready"
    assert body["database"]["lag_by_topic"]["ticks"] == len(BY_NAME["ticks"].events)


# --- no way to write -------------------------------------------------------------------------------------------------


def test_the_read_role_can_write_nothing(api: httpx.Client, reads: ReadDatabase) -> None:
    assert api.get("/bars").status_code == 200
    for statement in (
        b"INSERT INTO projection_position VALUES ('x', 'x', 'x', 0, 0, 0)",
        b"UPDATE bars SET close_price = 0",
        b"DELETE FROM audit",
        b"TRUNCATE bars",
        b"DROP TABLE bars",
        b"CREATE TABLE mine (a int)",
    ):
        for unlock in (b"SELECT 1", b"SET TRANSACTION READ WRITE"):
            with reads.connection() as connection:
                assert connection.execute("SELECT current_user").fetchone() == (READ_ROLE,)
                connection.rollback()
                connection.execute(unlock)
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                    connection.execute(statement)
                connection.rollback()


def test_no_route_of_the_read_side_takes_anything_but_get(api: httpx.Client) -> None:
    paths: dict[str, Any] = api.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            if "control" not in operation["tags"]:
                assert method == "get", path
    for path in ("/bars", "/subjects/tapeline.Trade/versions", "/config"):
        assert api.post(path, json={}).status_code == 405
        assert api.put(path, json={}).status_code == 405
        assert api.delete(path).status_code == 405


# --- schemas for stock clients ---------------------------------------------------------------------------------------


def test_the_stock_confluent_deserializer_decodes_every_event_type(api: httpx.Client, log: MemoryLog) -> None:
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": str(api.base_url)}))
    seen = set()
    for topic in TOPICS:
        context = SerializationContext(f"tapeline.{topic.name}", MessageField.VALUE)
        for accepted in SeqReader(log, topic.name, 0).poll(10_000):
            stock = as_json_form(deserialize(accepted.record.value, context))
            ours = without_iso(to_json(accepted.envelope, accepted.event))
            assert stock == {"envelope": ours["envelope"], **ours["payload"]}
            seen.add(type(accepted.event).__name__)
    assert seen == EVENT_TYPES.keys()


def test_the_registry_answers_as_its_clients_expect(api: httpx.Client) -> None:
    subjects = api.get("/subjects").json()
    assert subjects == [f"{NAMESPACE}.{name}" for name in schema_ids()]
    client = SchemaRegistryClient({"url": str(api.base_url)})
    trade = client.get_latest_version("tapeline.Trade")
    assert trade.schema_id == schema_ids()["Trade"]["1"]
    assert client.get_versions("tapeline.Trade") == [1]
    assert client.get_version("tapeline.Trade", 1).schema_id == trade.schema_id
    assert api.get(f"/schemas/ids/{trade.schema_id}/versions").json() == [{"subject": "tapeline.Trade", "version": 1}]
    assert api.get(f"/schemas/ids/{trade.schema_id}/subjects").json() == ["tapeline.Trade"]
    assert api.get("/schemas/types").json() == ["AVRO"]
    assert api.get("/config").json() == {"compatibilityLevel": "FULL"}
    assert api.get("/config/tapeline.Trade").json() == {"compatibilityLevel": "FULL"}
    assert api.get("/mode").json() == {"mode": "READONLY"}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/schemas/ids/999999", 404, 40403),
        ("/schemas/ids/999999/versions", 404, 40403),
        ("/subjects/tapeline.Nothing/versions", 404, 40401),
        ("/subjects/Trade/versions", 404, 40401),
        ("/subjects/tapeline.Trade/versions/99", 404, 40402),
        ("/subjects/tapeline.Trade/versions/first", 422, 42202),
        ("/subjects/tapeline.Trade/versions/0", 422, 42202),
        ("/config/tapeline.Nothing", 404, 40401),
    ],
)
def test_the_registry_refuses_as_its_clients_expect(api: httpx.Client, path: str, status: int, code: int) -> None:
    response = api.get(path)
    assert (response.status_code, response.json()["error_code"]) == (status, code)
