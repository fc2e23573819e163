"""Bytes on the wire: framing, exact decimals, and clear refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_reader
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import CodecError, decode, encode, event_name, schema_ids, schema_text
from schemas.events import EVENT_TYPES
from schemas.events.common import Side
from schemas.events.market import Trade
from schemas.values import Price, Quantity, price
from tests.builders import message

TRADE = Trade("BTC-USDT-SWAP", "1", Side.BUY, Price(Decimal("80000.1")), Quantity(Decimal("0.01")))


def roundtrip(event: Trade) -> Trade:
    decoded = decode(encode(message(event).envelope, event))[1]
    assert isinstance(decoded, Trade)
    return decoded


def test_a_record_is_framed_with_magic_byte_and_locked_schema_id() -> None:
    data = encode(message(TRADE).envelope, TRADE)
    assert data[0] == 0
    assert int.from_bytes(data[1:5], "big") == schema_ids()["Trade"]["1"]
    assert event_name(data) == "Trade"


@given(st.decimals(min_value=0, max_value=10**12, places=12, allow_nan=False))
def test_a_price_crosses_the_wire_exactly(value: Decimal) -> None:
    assert roundtrip(replace(TRADE, last_price=price(value))).last_price == value


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_a_stock_reader_decodes_every_decimal_to_the_same_value(unscaled: int) -> None:
    value = Decimal(unscaled).scaleb(-12)
    data = encode(message(TRADE).envelope, replace(TRADE, last_price=Price(value)))
    schema = parse_schema(json.loads(schema_text(int.from_bytes(data[1:5], "big"))))
    record = schemaless_reader(BytesIO(data[5:]), schema, None)
    assert isinstance(record, dict)
    assert record["last_price"] == value
    assert roundtrip(replace(TRADE, last_price=Price(value))).last_price == value


@pytest.mark.parametrize(
    "value",
    [
        Decimal(10) ** 26, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e-13"),
        Decimal("1e+999999"), Decimal("1e-999999999"),
    ],
)  # fmt: skip
def test_a_decimal_that_does_not_fit_its_unit_is_refused_by_name(value: Decimal) -> None:
    wrong = replace(TRADE, last_price=Price(value))
    with pytest.raises(CodecError, match=r"Trade\.last_price"):
        encode(message(wrong).envelope, wrong)


def test_a_float_in_a_price_fails_loudly_and_names_the_field() -> None:
    wrong = replace(TRADE, last_price=80000.1)  # type: ignore[arg-type]
    with pytest.raises(CodecError, match=r"80000\.1 is a float where a Decimal is required"):
        encode(message(wrong).envelope, wrong)


def test_more_places_than_the_unit_has_are_refused() -> None:
    wrong = replace(TRADE, last_price=Price(Decimal("0.0000000000001")))
    with pytest.raises(CodecError, match="Trade"):
        encode(message(wrong).envelope, wrong)


def test_a_float_that_meets_a_decimal_raises() -> None:
    with pytest.raises(Exception, match="FloatOperation"):
        Decimal(1) + Decimal(0.5)  # noqa: RUF032


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not Confluent-framed Avro"),
        (b"\x01\x00\x00\x00\x01", "not Confluent-framed Avro"),
        (b"\x00\x7f\xff\xff\xff", "schema id 2147483647 is not in ids.json"),
    ],
)
def test_bytes_that_are_not_ours_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        decode(data)


def test_a_torn_record_is_refused() -> None:
    data = encode(message(TRADE).envelope, TRADE)
    for length in range(5, len(data)):
        with pytest.raises(CodecError, match="Trade"):
            decode(data[:length])


def test_a_log_written_with_an_older_schema_still_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older version lacks a field that has a default now; Avro's resolution fills it in."""
    for name in EVENT_TYPES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "v1.avsc").write_text((codec.AVRO_DIR / name / "v1.avsc").read_text())
    newer = json.loads((tmp_path / "FeedStatus" / "v1.avsc").read_text())
    older = {**newer, "fields": [field for field in newer["fields"] if field["name"] != "lost_us"]}
    (tmp_path / "FeedStatus" / "v1.avsc").write_text(json.dumps(older))
    (tmp_path / "FeedStatus" / "v2.avsc").write_text(json.dumps(newer))
    ids = {name: dict(versions) for name, versions in schema_ids().items()}
    ids["FeedStatus"]["2"] = 9999
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus

    event = FeedStatus("T", Channel.BARS, FeedState.OPEN, FeedOrigin.RECORDED, "x", 60, "news", 3)
    new_bytes = encode(message(event).envelope, event)
    old_bytes = new_bytes[: -len(b"\x02\x06")]
    monkeypatch.setattr(codec, "AVRO_DIR", tmp_path)
    monkeypatch.setattr(codec, "IDS_FILE", tmp_path / "ids.json")
    for cached in (codec.schema_ids, codec.schema_text, codec._locate, codec._reader):
        cached.cache_clear()
    monkeypatch.setattr(codec, "_CODECS", {})
    try:
        decoded = decode(old_bytes)[1]
        assert decoded == replace(event, lost_us=None)
    finally:
        monkeypatch.undo()
        for cached in (codec.schema_ids, codec.schema_text, codec._locate, codec._reader):
            cached.cache_clear()


def test_every_schema_id_is_unique_and_has_its_text() -> None:
    ids = [schema_id for versions in schema_ids().values() for schema_id in versions.values()]
    assert len(ids) == len(set(ids)) >= len(EVENT_TYPES)
    for schema_id in ids:
        assert json.loads(schema_text(schema_id))["namespace"] == "tapeline"
