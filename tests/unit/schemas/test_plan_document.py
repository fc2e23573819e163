"""The plan document: what is accepted, and which field is named when it is not."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.common import OrderType, PositionSide, TriggerPriceType
from schemas.plan_document import PlanDocumentError, PriceSpec, parse_plan_document
from schemas.values import Percent, Price

EXAMPLE_FILE = Path(__file__).resolve().parents[3] / "examples" / "plan_trend.json"
EXAMPLE: dict[str, Any] = json.loads(EXAMPLE_FILE.read_text())
D = Decimal


def changed(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(EXAMPLE), **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in deepcopy(EXAMPLE).items() if key != name}


def problems(document: Any) -> tuple[tuple[str, str], ...]:
    with pytest.raises(PlanDocumentError) as caught:
        parse_plan_document(document)
    return caught.value.problems


def paths(document: Any) -> list[str]:
    return [path for path, _ in problems(document)]


def target(price: Any, fraction: str = "0.5") -> dict[str, Any]:
    return {"limit_price": price, "fraction": fraction}


def test_the_shipped_example_is_accepted_as_text_and_as_a_mapping() -> None:
    document = parse_plan_document(EXAMPLE_FILE.read_text())
    assert document == parse_plan_document(EXAMPLE) == parse_plan_document(EXAMPLE_FILE.read_bytes())
    assert (document.instrument_id, document.position_side) == ("BTC-USDT-SWAP", PositionSide.LONG)
    assert document.entry.type is OrderType.LIMIT
    assert document.entry.limit_price == PriceSpec(offset_pct=Percent(D("-0.10")))
    assert document.stop is not None
    assert document.stop.trigger_price_type is TriggerPriceType.MARK
    assert [item.fraction for item in document.targets] == [D("0.5"), D("0.5")]
    assert (document.valid_for_s, document.max_holding_s, document.confidence) == (900, 86400, D("0.6"))
    assert document.relative


@pytest.mark.parametrize("name", ["stop", "targets", "max_holding_s", "confidence"])
def test_what_may_be_left_out(name: str) -> None:
    parse_plan_document(without(name))


@pytest.mark.parametrize(
    "name", ["schema_version", "instrument_id", "position_side", "strategy", "entry", "valid_for_s", "rationale"]
)
def test_what_may_not_be_left_out_is_named(name: str) -> None:
    assert (f"$.{name}", "missing") in problems(without(name))


@pytest.mark.parametrize(
    "name",
    [
        "quantity",
        "notional",
        "leverage",
        "margin_mode",
        "risk_budget_pct",
        "account_id",
        "client_order_id",
        "time_in_force",
        "reduce_only",
        "fees",
    ],
)
def test_what_is_deliberately_absent_is_an_unknown_field(name: str) -> None:
    assert problems(changed(**{name: "1"})) == ((f"$.{name}", "unknown field"),)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"schema_version": 2}, "$.schema_version"),
        ({"schema_version": True}, "$.schema_version"),
        ({"instrument_id": "btc-usdt"}, "$.instrument_id"),
        ({"instrument_id": "BTC-USDT-SWAP\n"}, "$.instrument_id"),
        ({"position_side": "FLAT"}, "$.position_side"),
        ({"strategy": "Trend"}, "$.strategy"),
        ({"strategy": "t" * 33}, "$.strategy"),
        ({"entry": {"type": "ICEBERG"}}, "$.entry.type"),
        ({"entry": "MARKET"}, "$.entry.type"),
        ({"entry": {"type": "MARKET", "limit_price": "1"}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT"}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT", "limit_price": 80000.0}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT", "limit_price": "0"}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT", "limit_price": "-5"}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT", "limit_price": "1e5"}}, "$.entry.limit_price"),
        ({"entry": {"type": "LIMIT", "limit_price": {"offset_pct": "100"}}}, "$.entry.limit_price.offset_pct"),
        ({"entry": {"type": "LIMIT", "limit_price": {"offset_pct": -1.2}}}, "$.entry.limit_price.offset_pct"),
        ({"entry": {"type": "STOP", "trigger_price": "1", "post_only": True}}, "$.entry.post_only"),
        ({"stop": {}}, "$.stop.trigger_price"),
        ({"stop": {"trigger_price": "1", "trigger_price_type": "BID"}}, "$.stop.trigger_price_type"),
        ({"stop": {"trigger_price": "1", "break_even_at_r": "0"}}, "$.stop.break_even_at_r"),
        ({"stop": {"trigger_price": "1", "trail_from_r": "1"}}, "$.stop.trail_from_r"),
        ({"targets": [target("1", "1.01")]}, "$.targets[0].fraction"),
        ({"targets": [target("1", "0")]}, "$.targets[0].fraction"),
        ({"targets": [target(str(price), "0.1") for price in range(1, 7)]}, "$.targets"),
        ({"targets": [target("1", "0.6"), target("2", "0.41")]}, "$.targets"),
        ({"targets": [target("2"), target("1")]}, "$.targets[1].limit_price"),
        ({"targets": [target("2"), target("2")]}, "$.targets[1].limit_price"),
        ({"targets": [target({"offset_pct": "2"}), target({"offset_pct": "1"})]}, "$.targets[1].limit_price"),
        ({"position_side": "SHORT", "targets": [target("1"), target("2")]}, "$.targets[1].limit_price"),
        ({"valid_for_s": 0}, "$.valid_for_s"),
        ({"valid_for_s": 86401}, "$.valid_for_s"),
        ({"valid_for_s": "900"}, "$.valid_for_s"),
        ({"max_holding_s": 59}, "$.max_holding_s"),
        ({"rationale": {"summary": ""}}, "$.rationale.summary"),
        ({"rationale": {"summary": "s", "evidence": ["a", "a"]}}, "$.rationale.evidence"),
        ({"rationale": {"summary": "s", "mood": "x"}}, "$.rationale.mood"),
        ({"confidence": 0.6}, "$.confidence"),
    ],
)
def test_a_broken_rule_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    assert paths(changed(**change)) == [path]


def test_absolute_and_relative_targets_are_not_compared() -> None:
    mixed = [target("90000", "0.3"), target({"offset_pct": "1"}, "0.3"), target("91000", "0.4")]
    assert len(parse_plan_document(changed(targets=mixed)).targets) == 3


def test_fractions_may_sum_to_exactly_one() -> None:
    parse_plan_document(changed(targets=[target("1", "0.3"), target("2", "0.7")]))


def test_every_problem_is_listed() -> None:
    assert paths(changed(quantity="1", valid_for_s=0, entry={"type": "LIMIT"})) == [
        "$.entry.limit_price",
        "$.quantity",
        "$.valid_for_s",
    ]


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "[" * 100_000, b"\xff\xfe", "NaN"])
def test_what_is_no_document_is_refused_at_the_root(text: str | bytes) -> None:
    assert paths(text) == ["$"]


def test_prices_resolve() -> None:
    assert PriceSpec(absolute=Price(D("80000.0"))).resolve(None) == D("80000.0")
    assert PriceSpec(offset_pct=Percent(D("-1.20"))).resolve(D(80000)) == D(79040)
    assert PriceSpec(offset_pct=Percent(D(1))).resolve(None) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(sorted(EXAMPLE)), value=JSON)
def test_any_value_in_any_field_is_parsed_or_refused_and_nothing_else(field: str, value: Any) -> None:
    found: tuple[tuple[str, str], ...] = ()
    try:
        parse_plan_document(changed(**{field: value}))
    except PlanDocumentError as error:
        found = error.problems
    assert all(path.startswith("$") and reason for path, reason in found)


def test_refuses_text_that_no_event_could_carry() -> None:
    """Half a surrogate pair, escaped in JSON, would pass the schema and stop the trader when it writes the plan."""
    half = changed(rationale={"summary": "half a pair: \ud800"})
    for document in (half, json.dumps(half)):
        assert problems(document) == (("$", "holds text that is not Unicode: surrogates not allowed"),)


def test_refuses_a_multiple_of_r_finer_than_the_wire() -> None:
    stop = {
        "trigger_price": "79000",
        "break_even_at_r": "0.000000001",
        "trail_distance_pct": "1",
        "trail_from_r": "1.0",
    }
    assert problems(changed(stop=stop)) == (("$.stop.break_even_at_r", "has more than 8 decimals"),)


def test_a_trail_finer_than_the_wire_is_refused_and_the_finest_it_carries_is_not() -> None:
    """Thirteen decimals passed once: the answer of a model or an operator's plan stopped the trader for good."""
    finest = {"trigger_price": "79000", "trail_distance_pct": "0.000000000001"}
    assert parse_plan_document(changed(stop=finest)).stop is not None
    finer = {"trigger_price": "79000", "trail_distance_pct": "0.0000000000001"}
    assert problems(changed(stop=finer)) == (("$.stop.trail_distance_pct", "has more than 12 decimals"),)
