"""The compiled plan schema and the validator of ``jsonschema`` agree on every document."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fits import NotCompiled, compile_schema
from schemas.plan_document import schema, validator

FITS = compile_schema(schema())
PRICES = ("80000", "0.5", "1.50", {"offset_pct": "-0.10"}, {"offset_pct": "2"})
PRICE = st.sampled_from(PRICES)
FRACTION = st.sampled_from(("1", "0.5", "0.25", "1.0"))


def some(**fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {"optional": fields}


ENTRY = st.one_of(
    st.just({"type": "MARKET"}),
    st.fixed_dictionaries({"type": st.just("LIMIT"), "limit_price": PRICE}, **some(post_only=st.booleans())),
    st.fixed_dictionaries({"type": st.just("STOP"), "trigger_price": PRICE}),
)
STOP = st.fixed_dictionaries(
    {"trigger_price": PRICE},
    **some(trigger_price_type=st.sampled_from(("MARK", "LAST", "INDEX")), trail_distance_pct=st.just("1.5")),
)
RATIONALE = st.fixed_dictionaries(
    {"summary": st.text(min_size=1, max_size=20)},
    **some(invalidation=st.text(max_size=5), evidence=st.lists(st.text(max_size=3), unique=True, max_size=4)),
)
VALID = st.fixed_dictionaries(
    {
        "schema_version": st.just(1),
        "instrument_id": st.sampled_from(("BTC-USDT-SWAP", "ETH-USDT")),
        "position_side": st.sampled_from(("LONG", "SHORT")),
        "strategy": st.sampled_from(("trend", "a_1")),
        "entry": ENTRY,
        "valid_for_s": st.integers(1, 86_400),
        "rationale": RATIONALE,
    },
    **some(
        stop=STOP,
        targets=st.lists(st.fixed_dictionaries({"limit_price": PRICE, "fraction": FRACTION}), max_size=5),
        max_holding_s=st.integers(60, 2_592_000),
        confidence=FRACTION,
    ),
)
NEARLY_ALL: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 1.0, 1.5, 60.0, 10**12, float("nan"), float("inf"), "", "\n", "1", "1\n", "0.0",
    "1.0000000", "12345678901234567890123456", "LONG", "LONG\n", "MARKET", "LIMIT", "trend\n", "Trend", "x" * 601,
    "BTC-USDT\n", [], ["a", "a"], ["a", 1], [1, 1], list("abcdef"), [str(n) for n in range(33)], {},
    {"offset_pct": 1}, {"offset_pct": "1\n"}, {"offset_pct": "1.1234567"}, {"type": "LIMIT"}, {"type": []},
    {"summary": ""}, [{"limit_price": "1", "fraction": "1"}] * 6,
)  # fmt: skip
"""Values that fit somewhere, or almost."""
NEARLY = st.sampled_from(NEARLY_ALL)
FULL: dict[str, Any] = {
    "schema_version": 1,
    "instrument_id": "BTC-USDT-SWAP",
    "position_side": "LONG",
    "strategy": "trend",
    "entry": {"type": "MARKET"},
    "stop": {"trigger_price": {"offset_pct": "-2"}, "trigger_price_type": "MARK", "trail_from_r": "1"},
    "targets": [{"limit_price": "90000", "fraction": "0.5"}],
    "valid_for_s": 900,
    "max_holding_s": 86400,
    "rationale": {"summary": "s", "invalidation": "i", "evidence": ["e"]},
    "confidence": "0.6",
}


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every (container, key) of a document, names that an object may lack included."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found = [(value, name) for name in value] + [(value, name) for name in ("stray", "limit_price", "post_only")]
        for part in list(value.values()):
            found += places(part)
    elif isinstance(value, list):
        found = [(value, number) for number in range(len(value))]
        for part in value:
            found += places(part)
    return found


@given(VALID)
def test_what_is_valid_fits(document: Any) -> None:
    assert validator().is_valid(document)
    assert FITS(document)


@pytest.mark.parametrize("entry", [{"type": "MARKET"}, {"type": "LIMIT", "limit_price": "1", "post_only": True}])
def test_both_give_the_same_answer_whatever_one_value_becomes(entry: dict[str, Any]) -> None:
    full = {**FULL, "entry": entry}
    assert validator().is_valid(full)
    for number in range(len(places(full))):
        for value in NEARLY_ALL:
            document = deepcopy(full)
            container, key = places(document)[number]
            container[key] = value
            assert FITS(document) == validator().is_valid(document), document
        if isinstance(container, dict):
            container.pop(key, None)
            assert FITS(document) == validator().is_valid(document), document


@settings(max_examples=300)
@given(VALID, st.data())
def test_both_give_the_same_answer_whatever_two_values_become(valid: Any, data: st.DataObject) -> None:
    document = deepcopy(valid)
    for _ in range(2):
        container, key = data.draw(st.sampled_from(places(document)))
        if isinstance(container, dict) and data.draw(st.integers(0, 3)) == 0:
            container.pop(key, None)
        else:
            container[key] = deepcopy(data.draw(NEARLY))

    assert FITS(document) == validator().is_valid(document)


@given(NEARLY)
def test_both_give_the_same_answer_on_what_is_no_plan_at_all(document: Any) -> None:
    assert FITS(document) is validator().is_valid(document) is False


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ({"type": "string", "format": "date"}, "format beside string"),
        ({"type": "object", "properties": {}}, "not closed"),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "uniqueItems"),
        ({"enum": ["A", 1]}, "enum"),
        ({"const": True}, "const True"),
        ({"$ref": "other.json#/x"}, "a reference to other.json"),
        ({"anyOf": []}, "nothing in"),
        ({"type": "number"}, "number in"),
    ],
)
def test_a_schema_that_says_more_than_is_compiled_is_refused(said: dict[str, Any], missing: str) -> None:
    with pytest.raises(NotCompiled, match=missing):
        compile_schema(said)
