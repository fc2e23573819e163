"""The JSON form of every event type goes out and comes back equal, and says by path what is wrong with it."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events import EVENT_TYPES
from schemas.events.common import Side
from schemas.events.market import Trade
from schemas.json_form import JsonFormError, from_json, iso, to_json
from schemas.values import SCALES, Price, Quantity
from tests.builders import T0

_TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
_LONG = st.integers(-(2**63), 2**63 - 1)
_MICROS = st.integers(0, 4_000_000_000_000_000)
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    bool: st.booleans(),
    int: _LONG,
    bytes: st.binary(max_size=9),
    float: st.floats(allow_nan=False),
}


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, NewType):
        if hint.__name__ == "Micros":
            return _MICROS
        return st.integers(-(10**24), 10**24).map(lambda n, scale=SCALES[hint.__name__]: Decimal(n).scaleb(-scale))
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return st.none() | _values(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_TEXT, _values(get_args(hint)[1]), max_size=2)
    simple = {
        str: _TEXT,
        bool: st.booleans(),
        int: _LONG,
        bytes: st.binary(max_size=9),
        float: st.floats(allow_nan=False),
    }
    if hint in simple:
        return simple[hint]
    return st.sampled_from(list(hint)) if issubclass(hint, StrEnum) else _records(hint)


def _records(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    names = Envelope._fields if cls is Envelope else [field.name for field in fields(cls)]
    return st.fixed_dictionaries({name: _values(hints[name]) for name in names}).map(lambda values: cls(**values))


@pytest.mark.parametrize("name", list(EVENT_TYPES))
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_round_trips_through_json_text_and_wire(name: str, data: st.DataObject) -> None:
    envelope, event = data.draw(_records(Envelope)), data.draw(_records(EVENT_TYPES[name]))
    text = json.dumps(to_json(envelope, event), allow_nan=False)
    assert from_json(name, json.loads(text)) == (envelope, event)
    decoded = decode(encode(envelope, event))
    assert from_json(name, json.loads(json.dumps(to_json(*decoded)))) == decoded


def _trade() -> tuple[Envelope, Event]:
    return decode(
        encode(
            Envelope("e1", "c1", "", "feed", -1, 0, -1, T0, T0, "test", ""),
            Trade("BTC-USDT-SWAP", "t1", Side.BUY, Price(Decimal("80000.10")), Quantity(Decimal("0.000001"))),
        )
    )


def test_writes_decimals_plain_and_times_twice() -> None:
    form = to_json(*_trade())
    assert form["payload"] == {
        "instrument_id": "BTC-USDT-SWAP",
        "trade_id": "t1",
        "side": "BUY",
        "last_price": "80000.1",
        "base_quantity": "0.000001",
    }
    assert form["envelope"]["ts_event"] == T0
    assert form["envelope"]["ts_event_iso"] == "2025-03-19T16:00:00.000000Z"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("last_price", 80000.1, "payload.last_price: 80000.1 must be a decimal in a string, not a JSON float"),
        ("last_price", "NaN", "payload.last_price: 'NaN' is not a finite number"),
        ("last_price", "x", "payload.last_price: 'x' is not a decimal number"),
        ("side", "UP", "payload.side: 'UP' must be one of BUY, SELL, UNKNOWN"),
        ("trade_id", 7, "payload.trade_id: 7 must be text"),
        ("colour", "red", "payload.colour: unknown field of Trade"),
    ],
)
def test_names_the_field_that_does_not_fit(field: str, value: object, message: str) -> None:
    form = to_json(*_trade())
    form["payload"][field] = value
    with pytest.raises(JsonFormError) as caught:
        from_json("Trade", form)
    assert str(caught.value) == message


def test_names_a_missing_field_and_an_unknown_event() -> None:
    form = to_json(*_trade())
    del form["payload"]["side"]
    with pytest.raises(JsonFormError, match=r"payload\.side: missing"):
        from_json("Trade", form)
    with pytest.raises(JsonFormError, match="'Trad' is not one of"):
        from_json("Trad", {"envelope": form["envelope"], "payload": {}})


def test_a_moment_outside_the_calendar_has_no_iso() -> None:
    assert iso(2**62) is None
