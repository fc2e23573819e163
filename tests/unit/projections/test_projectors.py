"""Every event type becomes a row of its family, whatever its fields hold; decisions get an audit row too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import generate
from projections.columns import JSONB_VERSION, PG_EPOCH, json_bytes, leaves
from projections.connect import connect
from projections.copying import copy_rows
from projections.families import FAMILIES, FAMILY_OF, LISTED
from projections.projectors import Rows, audit, project
from projections.source import LogPosition
from projections.tables import LAYOUTS, SCHEMA, column_name, table_of
from schemas.codec import AVRO_DIR
from schemas.envelope import Event
from schemas.events import EVENT_TYPES
from schemas.events.account import TradeClosed
from schemas.events.data import BarClosed
from schemas.events.intelligence import FeaturesComputed
from schemas.events.journal import CheckpointTaken
from schemas.events.orders import EntryEnded, OrderFilled
from schemas.events.risk import PlanDenied
from schemas.json_form import from_json
from schemas.topics import TOPIC_OF, TOPICS
from tests.events import any_event, envelope, sample

ALL = sorted(EVENT_TYPES)
EXAMPLES = AVRO_DIR.parent / "examples"
EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)


def rows_of(event: Event, *, offset: int = 7) -> Rows:
    position = LogPosition(TOPIC_OF[type(event)].name, 0, offset)
    return project(position, envelope("test", offset), event)


def as_dict(table: str, row: Iterable[Any]) -> dict[str, Any]:
    return dict(zip(LAYOUTS[table].columns, row, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_an_event_gives_one_row_of_its_family_and_a_decision_one_audit_row(name: str) -> None:
    event = sample(EVENT_TYPES[name], 5)
    rows = rows_of(event)
    expected = {FAMILY_OF[type(event)].table} | ({"audit"} if type(event) in audit.AUDITED else set())
    assert set(rows) == expected
    assert all(len(values) == 1 for values in rows.values())
    row = as_dict(FAMILY_OF[type(event)].table, rows[FAMILY_OF[type(event)].table][0])
    assert row["event_type"] == name
    assert (row["log_partition"], row["log_offset"]) == (0, 7)


def test_projecting_is_pure() -> None:
    event = sample(PlanDenied, 4)
    assert rows_of(event) == rows_of(event)


def test_every_event_type_is_in_exactly_one_family_and_a_family_is_on_one_topic() -> None:
    members = [event for family in FAMILIES for event in family.events]
    assert len(members) == len(set(members)) == len(EVENT_TYPES)
    assert all(len({TOPIC_OF[event].name for event in family.events}) == 1 for family in FAMILIES)
    assert {family.topic for family in FAMILIES} == {topic.name for topic in TOPICS}
    assert FAMILIES[: len(LISTED)] == LISTED


def test_a_bar_keeps_its_numbers_exactly() -> None:
    bar = sample(BarClosed, 2)
    row = as_dict("bars", rows_of(bar)["bars"][0])
    assert row["open_price"] == bar.open_price
    assert isinstance(row["open_price"], Decimal)
    assert row["ts_open"] == bar.ts_open - PG_EPOCH
    assert row["quality"] == bar.quality.value


def test_a_record_inside_an_event_becomes_columns_and_its_absence_nulls() -> None:
    columns = {column_name(leaf) for leaf in leaves(EVENT_TYPES["PlanApproved"])}
    assert {"sizing_notional", "entry_limit_price", "stop_trigger_price", "checks"} <= columns
    trade = replace(sample(TradeClosed, 4), excursion_last=None)
    row = as_dict("trades_closed", rows_of(trade)["trades_closed"][0])
    assert row["excursion_last_mae"] is None
    assert row["net_pnl"] == trade.net_pnl


def test_members_of_a_family_fill_their_own_columns() -> None:
    filled = as_dict("order_events", rows_of(sample(OrderFilled, 4))["order_events"][0])
    assert filled["filled_quantity"] == sample(OrderFilled, 4).filled_quantity
    assert filled["leaves_quantity"] is None
    assert filled["venue_order_id"] is None


def test_a_field_that_sql_or_the_envelope_claims_is_renamed() -> None:
    assert "event_end" in {column_name(leaf) for leaf in leaves(EntryEnded)}
    assert "event_step" in {column_name(leaf) for leaf in leaves(CheckpointTaken)}


def test_a_checkpoint_keeps_size_and_digest_of_its_state_not_the_state() -> None:
    row = as_dict("checkpoints", rows_of(sample(CheckpointTaken, 3))["checkpoints"][0])
    assert row["state_size"] == len(sample(CheckpointTaken, 3).state)
    assert len(row["state_sha256"]) == 64
    assert "state" not in row


def test_the_audit_row_carries_the_whole_payload() -> None:
    event = sample(PlanDenied, 4)
    row = as_dict("audit", rows_of(event)["audit"][0])
    payload = json.loads(row["payload"][len(JSONB_VERSION) :])
    assert payload["plan_id"] == row["plan_id"] == event.plan_id
    assert len(payload["checks"]) == len(event.checks)
    assert row["log_topic"] == "verdicts"


def test_json_has_no_nul_and_no_number_json_does_not_know() -> None:
    value = {"a\x00": "b\x00", "nan": float("nan"), "inf": (float("inf"), 1.5), "d": Decimal("1.50")}
    assert json.loads(json_bytes(value)[1:]) == {"a\ufffd": "b\ufffd", "nan": "nan", "inf": ["inf", 1.5], "d": "1.5"}
    assert json.loads(json_bytes({"path": "C:\\u0000"})[1:]) == {"path": "C:\\u0000"}


def test_the_generated_sql_is_what_the_event_classes_give() -> None:
    assert generate.check() == []


@pytest.mark.postgres
def test_every_schema_example_is_taken(module_database: str) -> None:
    taken = 0
    with connect(module_database, SCHEMA) as connection, connection.transaction(force_rollback=True):
        for path in sorted(EXAMPLES.glob("*/v*/*.json")):
            head, event = from_json(path.parents[1].name, json.loads(path.read_text()))
            taken += 1
            for table, rows in project(LogPosition(TOPIC_OF[type(event)].name, 0, taken), head, event).items():
                copy_rows(connection, SCHEMA, table, rows)
    assert taken


@pytest.mark.postgres
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_whatever_an_event_holds_postgres_takes_it(module_database: str, data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(list(EVENT_TYPES.values())).flatmap(any_event))
    with connect(module_database, SCHEMA) as connection, connection.transaction(force_rollback=True):
        for table, rows in rows_of(event).items():
            copy_rows(connection, SCHEMA, table, rows)


@pytest.mark.postgres
@pytest.mark.parametrize("name", ALL)
def test_a_row_reads_back_as_the_event_it_came_from(module_database: str, name: str) -> None:
    event = sample(EVENT_TYPES[name], 4)
    with connect(module_database, SCHEMA) as connection, connection.transaction(force_rollback=True):
        for table, rows in rows_of(event).items():
            copy_rows(connection, SCHEMA, table, rows)
        table = table_of(type(event)).name
        cursor = connection.execute(f"SELECT * FROM {table}".encode())
        fetched = cursor.fetchone()
        assert fetched is not None
        row = dict(zip([column.name for column in cursor.description or ()], fetched, strict=True))
    for leaf in leaves(type(event)):
        assert _same(row[column_name(leaf)], _at(event, leaf.path), leaf.column)
    assert row["ts_event"] == EPOCH_2000 + timedelta(microseconds=envelope("test", 7).ts_event - PG_EPOCH)


def _at(event: Any, path: str) -> Any:
    for part in path.split("."):
        event = None if event is None else getattr(event, part)
    return event


def _same(stored: Any, value: Any, column: str) -> bool:
    if isinstance(value, bytes):
        return stored == len(value) if column.endswith("_size") else len(stored) == 64
    if isinstance(stored, datetime):
        return bool(stored == EPOCH_2000 + timedelta(microseconds=value - PG_EPOCH))
    if isinstance(stored, (list, dict)):
        return bool(stored == json.loads(json_bytes(value)[1:]))
    return bool(stored == value)


def test_features_keep_their_names() -> None:
    event = sample(FeaturesComputed, 3)
    row = as_dict("features", rows_of(event)["features"][0])
    assert json.loads(row["features"][1:]) == event.features


def test_every_table_is_in_the_documentation() -> None:
    page = (AVRO_DIR.parents[1] / "docs" / "database.md").read_text()
    assert [name for name in LAYOUTS if f"`{name}`" not in page] == []
