"""Derive each event's Avro schema from its class, so that the Python types and the wire format cannot drift apart."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType, get_args, get_origin, get_type_hints

from schemas.envelope import Envelope, Event
from schemas.values import SCALES

NAMESPACE = "tapeline"
DECIMAL_PRECISION = 38

_PRIMITIVES: dict[Any, Any] = {str: "string", bool: "boolean", int: "long", float: "double", bytes: "bytes"}


def event_schema(event: type[Event]) -> dict[str, Any]:
    """Return the Avro record schema of an event: its envelope, then its fields in class order."""
    seen: set[str] = {"Envelope"}
    envelope_fields = [{"name": name, "type": _type(hint, seen)} for name, hint in get_type_hints(Envelope).items()]
    envelope = {"type": "record", "name": "Envelope", "fields": envelope_fields}
    return {
        "type": "record",
        "name": event.__name__,
        "namespace": NAMESPACE,
        "doc": " ".join((event.__doc__ or "").split()),
        "fields": [{"name": "envelope", "type": envelope}, *_record_fields(event, seen)],
    }


def _record_fields(cls: Any, seen: set[str]) -> list[dict[str, Any]]:
    hints = get_type_hints(cls)
    result = []
    for field in fields(cls):
        entry: dict[str, Any] = {"name": field.name, "type": _type(hints[field.name], seen)}
        if field.default is not MISSING:
            entry["default"] = _default(field.default)
        result.append(entry)
    return result


def _default(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _type(hint: Any, seen: set[str]) -> Any:
    if isinstance(hint, NewType):
        return _unit(hint)
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return ["null", _type(inner[0], seen)]
    if origin is tuple:
        return {"type": "array", "items": _type(get_args(hint)[0], seen)}
    if origin is dict:
        return {"type": "map", "values": _type(get_args(hint)[1], seen)}
    return _named(hint, seen)


def _unit(hint: NewType) -> Any:
    if hint.__name__ == "Micros":
        return {"type": "long", "logicalType": "timestamp-micros"}
    assert hint.__supertype__ is Decimal, hint
    return {"type": "bytes", "logicalType": "decimal", "precision": DECIMAL_PRECISION, "scale": SCALES[hint.__name__]}


def _named(cls: type[Any], seen: set[str]) -> Any:
    name = cls.__name__
    if name in seen:
        return f"{NAMESPACE}.{name}"
    seen.add(name)
    if issubclass(cls, StrEnum):
        return {"type": "enum", "name": name, "namespace": NAMESPACE, "symbols": [member.value for member in cls]}
    if is_dataclass(cls):
        return {"type": "record", "name": name, "namespace": NAMESPACE, "fields": _record_fields(cls, seen)}
    raise TypeError(f"{name}: no Avro type for it; use a unit of schemas.values, an enum or a dataclass")
