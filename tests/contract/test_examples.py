"""Every event type has an example, and every example goes through every consumer and comes back equal."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from projections.digest import table_digests
from projections.writer import Projector
from schemas.codec import HEADER_BYTES, decode, encode, latest_version, schema_ids, schema_text
from schemas.envelope import NOT_SEQUENCED
from schemas.events import EVENT_TYPES
from schemas.json_form import from_json, to_json
from schemas.topics import TOPIC_OF, TOPICS
from services.commands.log import form_of
from services.projection import LogSource
from services.review.run import Run, take
from streams.log.base import NewRecord, StoredRecord
from streams.log.memory import MemoryLog
from streams.reader import SeqReader
from tests.stock_client import as_json_form, without_iso

EXAMPLES = sorted((Path(__file__).parents[2] / "schemas" / "examples").glob("*/v*/*.json"))
OLD = [path for path in EXAMPLES if path.parts[-2] != f"v{latest_version(path.parts[-3])}"]
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    return path.parts[-3], json.loads(path.read_text())


def _today(name: str, form: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of an example as today's version has it: fields that came later have their defaults."""
    today: dict[str, Any] = to_json(*from_json(name, form))["payload"]
    assert form["payload"].items() <= today.items()
    return today


def test_every_version_of_every_event_type_has_an_example() -> None:
    there = {(path.parts[-3], path.parts[-2]) for path in EXAMPLES}
    wanted = {(name, f"v{version}") for name in EVENT_TYPES for version in range(1, latest_version(name) + 1)}
    assert wanted - there == set()
    assert {name for name, _ in there} <= EVENT_TYPES.keys()


@each_example
def test_an_example_round_trips_through_json_form_and_codec(path: Path) -> None:
    name, form = _read(path)
    envelope, event = from_json(name, form)
    assert decode(encode(envelope, event)) == (envelope, event)
    if path.parts[-2] == f"v{latest_version(name)}":
        assert to_json(envelope, event) == form


@each_example
def test_an_example_decodes_with_the_published_schema_alone(path: Path) -> None:
    name, form = _read(path)
    value = encode(*from_json(name, form))
    schema_id = int.from_bytes(value[1:HEADER_BYTES], "big")
    assert schema_id == schema_ids()[name][str(latest_version(name))]
    foreign = schemaless_reader(BytesIO(value[HEADER_BYTES:]), parse_schema(json.loads(schema_text(schema_id))), None)
    assert as_json_form(foreign) == without_iso({"envelope": form["envelope"], **_today(name, form)})


@pytest.mark.parametrize("path", OLD, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}-{path.stem}")
def test_bytes_of_an_older_version_decode_to_the_event_of_today(path: Path) -> None:
    name, form = _read(path)
    envelope, event = from_json(name, form)
    ids = schema_ids()[name]
    today, then = (json.loads(schema_text(ids[version])) for version in (str(latest_version(name)), path.parts[-2][1:]))
    foreign = schemaless_reader(BytesIO(encode(envelope, event)[HEADER_BYTES:]), parse_schema(today), None)
    assert isinstance(foreign, dict)
    written = BytesIO()
    schemaless_writer(written, parse_schema(then), {field["name"]: foreign[field["name"]] for field in then["fields"]})
    header = b"\x00" + ids[path.parts[-2][1:]].to_bytes(HEADER_BYTES - 1, "big")
    assert decode(header + written.getvalue()) == (envelope, event)


@each_example
def test_an_example_is_shown_by_log_cat_and_folded_by_the_review(path: Path) -> None:
    name, form = _read(path)
    envelope, event = from_json(name, form)
    record = StoredRecord(TOPIC_OF[type(event)].name, 0, 7, b"key", encode(envelope, event))
    shown = form_of(record)
    assert json.loads(json.dumps(shown, allow_nan=False))["payload"] == _today(name, form)
    take(Run(), envelope, event)


@pytest.mark.postgres
def test_all_examples_are_projected_and_twice_does_not_move_them(database: str) -> None:
    log = MemoryLog()
    log.create_topics({topic.name: 1 for topic in TOPICS})
    seqs: dict[str, int] = {}
    for path in EXAMPLES:
        envelope, event = from_json(*_read(path))
        topic = TOPIC_OF[type(event)]
        seq = seqs.get(topic.name, 0) if topic.sequenced else NOT_SEQUENCED
        seqs[topic.name] = seq + 1
        value = encode(envelope._replace(seq=seq), event)
        log.append([NewRecord(topic.name, 0, b"key", value, envelope.ts_event)])
    for _ in range(2):
        with Projector(LogSource(log), database) as projector:
            projector.run(until_caught_up=True)
        digests = table_digests(database)
    assert sum(log.end_offset(topic.name, 0) for topic in TOPICS) == len(EXAMPLES)
    accepted = sum(len(SeqReader(log, topic.name, 0).poll(10_000)) for topic in TOPICS)
    assert accepted == len(EXAMPLES)
    facts = {name: digest.rows for name, digest in digests.items() if name not in _BOOKS}
    assert sum(facts.values()) == len(EXAMPLES)


_BOOKS = ("audit", "projection_position", "quarantined_records")
