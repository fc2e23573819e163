"""Bytes on the wire <-> events: Avro in Confluent framing (magic byte 0, 4-byte big-endian schema id, record).

Schema ids are fixed in ``schemas/avro/ids.json``; the schema a record was written with is always at hand, so a log of
any age decodes without a registry server. Older versions are resolved to the current class by Avro's own rules.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path
from struct import pack, unpack_from
from typing import Any, NewType, get_args, get_origin, get_type_hints

from fastavro import parse_schema, schemaless_reader

from schemas.avro_write import WRONG, Writers, joined
from schemas.envelope import Envelope, Event
from schemas.events import EVENT_TYPES
from schemas.values import SCALES

AVRO_DIR = Path(__file__).parent / "avro"
IDS_FILE = AVRO_DIR / "ids.json"
HEADER_BYTES = 5
_MAGIC = 0

Convert = Callable[[Any], Any]
"""How one field crosses; where a table holds none, the field crosses as it is."""


class CodecError(ValueError):
    """Bytes that are not one of our records, or an event its schema cannot hold; says which and why."""


@cache
def schema_ids() -> dict[str, dict[str, int]]:
    """Return the lockfile: schema id by event name and version."""
    loaded: dict[str, dict[str, int]] = json.loads(IDS_FILE.read_text())
    return loaded


@cache
def schema_text(schema_id: int) -> str:
    """Return the Avro schema registered under an id, as JSON text. Raises CodecError for an unknown id."""
    name, version = _locate(schema_id)
    return (AVRO_DIR / name / f"v{version}.avsc").read_text()


@cache
def _locate(schema_id: int) -> tuple[str, int]:
    for name, versions in schema_ids().items():
        for version, known in versions.items():
            if known == schema_id:
                return name, int(version)
    raise CodecError(f"schema id {schema_id} is not in {IDS_FILE.name}: written by a newer version of Tapeline?")


def latest_version(name: str) -> int:
    """Return the newest schema version of an event type."""
    return max(map(int, schema_ids()[name]))


def _without_logical_types(schema: Any) -> Any:
    """Drop logical types; the bytes stay the same.

    Inside, a moment is an int, and decimals are converted here: the library takes 3-5 us to read one, this 0.3 us.
    """
    if isinstance(schema, list):
        return [_without_logical_types(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("logicalType") == "timestamp-micros":
        return "long"
    if schema.get("logicalType") == "decimal":
        return "bytes"
    return {
        key: _without_logical_types(value) if key in ("type", "fields", "items", "values") else value
        for key, value in schema.items()
    }


class _EventCodec:
    """Encoder and decoder of one event type at its latest version."""

    __slots__ = ("_from_wire", "_write", "_write_envelope", "_writers", "cls", "header", "schema")

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        version = latest_version(cls.__name__)
        schema_id = schema_ids()[cls.__name__][str(version)]
        self.header = pack(">bI", _MAGIC, schema_id)
        published = json.loads(schema_text(schema_id))
        self.schema = parse_schema(_without_logical_types(published))
        envelope, *own = published["fields"]
        writers = Writers()
        self._write_envelope = writers.make(envelope["type"])
        self._writers = writers.fields(own)
        self._write = joined(self._writers)
        hints = get_type_hints(cls)
        names = [field.name for field in fields(cls)]
        self._from_wire = [(name, back) for name in names if (back := _from_wire(hints[name])) is not None]

    def encode(self, envelope: Envelope, event: Event) -> bytes:
        try:
            return self.header + self._write_envelope(envelope) + self._write(event)
        except WRONG as error:
            raise CodecError(self._complaint(event, error)) from error

    def _complaint(self, event: Event, error: BaseException) -> str:
        """Name the field that cannot be written: the first of the event's, else it is the envelope."""
        where = "envelope"
        for name, write in self._writers.items():
            try:
                write(getattr(event, name))
            except WRONG as found:
                where, error = name, found
                break
        reason = f"{error} is not in its enum" if isinstance(error, KeyError) else str(error)
        return f"{self.cls.__name__}.{where}: {reason}"

    def build(self, record: dict[str, Any]) -> tuple[Envelope, Event]:
        envelope = Envelope._make(record.pop("envelope").values())
        for name, convert in self._from_wire:
            record[name] = convert(record[name])
        return envelope, self.cls(**record)


def _unwrap_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (typing.Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return inner[0], True
    return hint, False


def _optional(convert: Convert | None, optional: bool) -> Convert | None:
    if convert is None or not optional:
        return convert
    return lambda value: None if value is None else convert(value)


@cache
def _decimal_from_wire(scale: int) -> Convert:
    return lambda data: Decimal(int.from_bytes(data, "big", signed=True)).scaleb(-scale)


def _from_wire(hint: Any) -> Convert | None:
    inner, optional = _unwrap_optional(hint)
    if isinstance(inner, NewType) and inner.__supertype__ is Decimal:
        return _optional(_decimal_from_wire(SCALES[inner.__name__]), optional)
    if get_origin(inner) is tuple:
        item = _from_wire(get_args(inner)[0])
        return _optional(tuple if item is None else lambda values: tuple([item(value) for value in values]), optional)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return _optional({member.value: member for member in inner}.__getitem__, optional)
    if isinstance(inner, type) and is_dataclass(inner):
        return _optional(_record_from_wire(inner), optional)
    return None


def _record_from_wire(cls: type[Any]) -> Callable[[dict[str, Any]], Any]:
    hints = get_type_hints(cls)
    converts = [(field.name, back) for field in fields(cls) if (back := _from_wire(hints[field.name])) is not None]

    def build(record: dict[str, Any]) -> Any:
        for name, convert in converts:
            record[name] = convert(record[name])
        return cls(**record)

    return build


_CODECS: dict[type[Event], _EventCodec] = {}


def _codec(cls: type[Event]) -> _EventCodec:
    codec = _CODECS.get(cls)
    if codec is None:
        codec = _CODECS[cls] = _EventCodec(cls)
    return codec


@cache
def _reader(schema_id: int) -> tuple[_EventCodec, Any, Any]:
    """Return codec, writer schema and (only where the writer is older) reader schema of an id."""
    name, version = _locate(schema_id)
    if name not in EVENT_TYPES:
        raise CodecError(f"schema id {schema_id} is {name} v{version}, which this version of Tapeline no longer has")
    codec = _codec(EVENT_TYPES[name])
    if version == latest_version(name):
        return codec, codec.schema, None
    writer = parse_schema(_without_logical_types(json.loads(schema_text(schema_id))))
    return codec, writer, codec.schema


def encode(envelope: Envelope, event: Event) -> bytes:
    """Return the wire bytes of one event. Raises CodecError naming the field that does not fit its schema."""
    return _codec(type(event)).encode(envelope, event)


def decode(data: bytes) -> tuple[Envelope, Event]:
    """Return envelope and event of wire bytes. Raises CodecError when they are not one of our records."""
    if len(data) < HEADER_BYTES or data[0] != _MAGIC:
        raise CodecError(f"not Confluent-framed Avro: starts with {data[:HEADER_BYTES]!r}, {len(data)} bytes")
    codec, writer, reader = _reader(unpack_from(">I", data, 1)[0])
    try:
        record = schemaless_reader(BytesIO(data[HEADER_BYTES:]), writer, reader)
    except (EOFError, ValueError, IndexError, TypeError, StopIteration, UnicodeDecodeError) as error:
        raise CodecError(f"{codec.cls.__name__}: {len(data)} bytes do not decode: {error}") from error
    return codec.build(typing.cast(dict[str, Any], record))


def event_name(data: bytes) -> str:
    """Return the event type's name from the header alone."""
    return _locate(unpack_from(">I", data, 1)[0])[0]
