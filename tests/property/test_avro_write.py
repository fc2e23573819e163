"""Our Avro writer and fastavro's write the same bytes for every event type, and refuse the same values."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from enum import StrEnum
from io import BytesIO
from typing import Any, NewType, get_args, get_origin, get_type_hints

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_write import WRONG, Writers, write_long
from schemas.codec import HEADER_BYTES, CodecError, encode, schema_text
from schemas.envelope import Envelope, Event
from schemas.events import EVENT_TYPES
from schemas.events.common import Side
from schemas.events.market import Trade
from schemas.values import SCALES, Price, Quantity
from tests.builders import message

_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(alphabet=st.characters(codec="utf-8"), max_size=12) | st.just("long " * 300),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1) | st.integers(-130, 130),
    bytes: st.binary(max_size=9) | st.just(b"x" * 1024),
    float: st.floats(),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if isinstance(hint, NewType):
        if hint.__name__ == "Micros":
            return st.integers(0, 4_000_000_000_000_000)
        largest = 10**38 - 1
        return st.integers(-largest, largest).map(lambda n, scale=SCALES[hint.__name__]: Decimal(n).scaleb(-scale))
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return st.none() | values(next(arg for arg in get_args(hint) if arg is not type(None)))
    if origin is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_SIMPLE[str], values(get_args(hint)[1]), max_size=2)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    return st.sampled_from(list(hint)) if issubclass(hint, StrEnum) else records(hint)


def records(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    names = Envelope._fields if cls is Envelope else [field.name for field in fields(cls)]
    return st.fixed_dictionaries({name: values(hints[name]) for name in names}).map(lambda found: cls(**found))


def as_plain(value: Any) -> Any:
    """Turn an event into what fastavro takes; decimals stay decimals, it knows the logical type."""
    if is_dataclass(value):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_plain(part) for part in value]
    return value


def by_fastavro(envelope: Envelope, event: Event, header: bytes) -> bytes:
    out = BytesIO()
    out.write(header)
    schema = parse_schema(json.loads(schema_text(int.from_bytes(header[1:], "big"))))
    schemaless_writer(out, schema, {"envelope": envelope._asdict(), **as_plain(event)})
    return out.getvalue()


@pytest.mark.parametrize("name", list(EVENT_TYPES))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_is_written_as_fastavro_writes_it(name: str, data: st.DataObject) -> None:
    envelope, event = data.draw(records(Envelope)), data.draw(records(EVENT_TYPES[name]))
    written = encode(envelope, event)
    assert written == by_fastavro(envelope, event, written[:HEADER_BYTES])


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_long_is_zigzag_in_groups_of_seven_bits(value: int) -> None:
    out = BytesIO()
    schemaless_writer(out, parse_schema({"type": "long"}), value)
    assert write_long(value) == out.getvalue()


TRADE = Trade("BTC-USDT-SWAP", "1", Side.BUY, Price(Decimal("80000.1")), Quantity(Decimal("0.01")))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("trade_id", 7, "Trade.trade_id: 'int' object has no attribute 'encode'"),
        ("trade_id", None, "Trade.trade_id: 'NoneType' object has no attribute 'encode'"),
        ("trade_id", "half \ud800", "Trade.trade_id: 'utf-8' codec"),
        ("side", "UP", "Trade.side: 'UP' is not in its enum"),
        ("side", None, "Trade.side: None is not in its enum"),
        ("last_price", 1, "Trade.last_price: 1 is a int where a Decimal is required"),
        ("last_price", None, "Trade.last_price: None is a NoneType where a Decimal is required"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(field: str, value: Any, reason: str) -> None:
    with pytest.raises(CodecError) as caught:
        encode(message(TRADE).envelope, replace(TRADE, **{field: value}))
    assert str(caught.value).startswith(reason)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1.0, "1", None])
def test_an_envelope_number_that_is_no_64_bit_integer_is_refused(value: Any) -> None:
    assert write_long(1) == b"\x02", "an equal integer is remembered"
    with pytest.raises(CodecError, match=r"Trade\.envelope"):
        encode(message(TRADE).envelope._replace(step=value), TRADE)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": "string"}, None),
        ({"type": "array", "items": "string"}, 0),
        ({"type": "map", "values": "string"}, None),
        ({"type": "map", "values": "string"}, {1: "a"}),
        ({"type": "map", "values": "string"}, {"a": 1}),
        ("double", "1.5"),
        ("double", None),
        ("bytes", "text"),
    ],
)
def test_a_container_or_number_of_another_type_is_refused(schema: Any, value: Any) -> None:
    write: Callable[[Any], bytes] = Writers().make(schema)
    with pytest.raises(WRONG):
        write(value)
