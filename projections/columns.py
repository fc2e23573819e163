"""Derive table columns from event classes, so that no event type needs a mapping of its own.

A record inside an event becomes prefixed columns (``sizing_notional``), a list or map becomes ``jsonb``, a moment
``timestamptz``, a decimal ``numeric`` with the scale of its unit. Bytes (a checkpoint's state) stay on the log: the
table keeps their size and SHA-256.

Values leave here in *COPY form*: what PostgreSQL's binary COPY carries, in the cheapest Python type that packs to it. A
moment is an integer of microseconds since 2000-01-01, JSON is bytes behind the version byte of ``jsonb``.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import partial
from hashlib import sha256
from operator import attrgetter
from typing import Any, NewType, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, Boolean, Double, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeEngine

from schemas.avro_types import DECIMAL_PRECISION
from schemas.values import SCALES, plain

PG_EPOCH = 946_684_800_000_000
"""2000-01-01 in Unix microseconds. Source: PostgreSQL documentation, date/time types (internal representation)."""
_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""What both PostgreSQL and Python's datetime can hold."""
JSONB_VERSION = b"\x01"
"""First byte of a ``jsonb`` value on the wire. Source: PostgreSQL, jsonb_recv()."""

Convert = Callable[[Any], Any] | None
"""From an event's value to its COPY form; None: as it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A column type and the type name its COPY form is packed as."""

    sql: TypeEngine[Any]
    wire: str
    convert: Convert = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """One column of an event: its name, where in the event it comes from (dotted), and its kind."""

    column: str
    path: str
    kind: Kind
    nullable: bool


def without_nul(text: str) -> str:
    """Replace NUL, which PostgreSQL text cannot hold, by the replacement character."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


class Unprojectable(ValueError):
    """A record whose content no row can hold; says what."""


def moment(micros: int) -> int:
    """Return Unix microseconds as PostgreSQL counts them. Raises Unprojectable outside the years 1 to 9999."""
    if _FIRST_MOMENT <= micros <= _LAST_MOMENT:
        return micros - PG_EPOCH
    raise Unprojectable(f"{micros} microseconds since 1970 is outside the years 1 to 9999: another unit?")


def json_bytes(value: Any) -> bytes:
    """Return the COPY form of a list, map or record: decimals as plain text, no NUL, non-finite floats as text."""
    try:
        text = json.dumps(value, default=_form, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_cleaned(value), default=_form, ensure_ascii=False)
    if "\\u0000" in text:
        text = json.dumps(_cleaned(json.loads(text)), ensure_ascii=False)
    return JSONB_VERSION + text.encode()


def _form(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _cleaned(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0.0 else str(value)
    if isinstance(value, str):
        return without_nul(value)
    if isinstance(value, dict):
        return {without_nul(key): _cleaned(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(part) for part in value]
    return _cleaned(_form(value)) if is_dataclass(value) else value


def _digest(value: bytes) -> str:
    return sha256(value).hexdigest()


TEXT = Kind(Text(), "text", without_nul)
NAME = Kind(Text(), "text")
"""Text that cannot hold a NUL: identifiers of ours and closed vocabularies."""
INTEGER = Kind(Integer(), "int4")
BIGINT = Kind(BigInteger(), "int8")
BOOLEAN = Kind(Boolean(), "bool")
FLOAT = Kind(Double(), "float8")
MOMENT = Kind(TIMESTAMP(timezone=True), "int8", moment)
JSON = Kind(JSONB(), "bytea", json_bytes)
_SIZE = Kind(BigInteger(), "int8", len)
_SHA256 = Kind(Text(), "text", _digest)
_SCALARS = {str: TEXT, bool: BOOLEAN, int: BIGINT, float: FLOAT}


def leaves(cls: type[Any], *, column: str = "", path: str = "", nullable: bool = False) -> Iterator[Leaf]:
    """Yield the columns of an event class (or of a record inside one), in field order."""
    hints = get_type_hints(cls)
    for field in fields(cls):
        inner, optional = _unwrap_optional(hints[field.name])
        name, source, maybe = column + field.name, path + field.name, nullable or optional
        if isinstance(inner, type) and is_dataclass(inner):
            yield from leaves(inner, column=f"{name}_", path=f"{source}.", nullable=maybe)
        elif inner is bytes:
            yield Leaf(f"{name}_size", source, _SIZE, maybe)
            yield Leaf(f"{name}_sha256", source, _SHA256, maybe)
        else:
            yield Leaf(name, source, _kind(inner), maybe)


def _kind(hint: Any) -> Kind:
    if isinstance(hint, NewType):
        if hint.__name__ == "Micros":
            return MOMENT
        return Kind(Numeric(DECIMAL_PRECISION, SCALES[hint.__name__]), "numeric")
    if get_origin(hint) in (tuple, dict):
        return JSON
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return NAME
    return _SCALARS[hint]


def _unwrap_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None)), True
    return hint, False


def values_getter(columns: list[Leaf]) -> Callable[[Any], list[Any]]:
    """Return ``event -> values in COPY form``, in the order of ``columns``. Pure."""
    get = _getter([leaf.path for leaf in columns])
    converts = [(index, _optional(leaf)) for index, leaf in enumerate(columns) if leaf.kind.convert is not None]

    def values(event: Any) -> list[Any]:
        row = get(event)
        for index, convert in converts:
            row[index] = convert(row[index])
        return row

    return values


def _optional(leaf: Leaf) -> Callable[[Any], Any]:
    convert = leaf.kind.convert
    assert convert is not None
    return partial(_convert_or_none, convert) if leaf.nullable else convert


def _convert_or_none(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


def _getter(paths: list[str]) -> Callable[[Any], list[Any]]:
    """Return the fastest reader of these dotted paths; a None on the way gives None."""
    if all("." not in path for path in paths) and len(paths) > 1:
        get = attrgetter(*paths)
        return lambda event: list(get(event))
    split = [path.split(".") for path in paths]
    return lambda event: [_walk(event, names) for names in split]


def _walk(value: Any, names: list[str]) -> Any:
    for name in names:
        if value is None:
            return None
        value = getattr(value, name)
    return value
