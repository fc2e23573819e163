"""The JSON form of an event: what people, examples, the HTTP API and `log cat` read, and an exact way back.

``{"event": "Trade", "envelope": {...}, "payload": {...}}``. Decimals are plain strings, moments integer microseconds
with a ``<name>_iso`` beside them (ignored on the way back), enums their value, bytes base64. Floats (features, signals)
are JSON numbers; the three that JSON has no number for are the strings ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import math
import types
import typing
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache
from typing import Any, NewType, get_args, get_origin, get_type_hints

from schemas.envelope import Envelope, Event
from schemas.events import EVENT_TYPES
from schemas.values import plain

ISO_SUFFIX = "_iso"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Write = Callable[[Any], Any]
Read = Callable[[Any, str], Any]
"""``(value, path) -> value``; the path names the field in an error."""


class JsonFormError(ValueError):
    """JSON that is not the form of an event; names the field by its path and what is wrong with it."""


def to_json(envelope: Envelope, event: Event) -> dict[str, Any]:
    """Return the JSON form of a record: only what ``json.dumps(..., allow_nan=False)`` takes."""
    return {"event": type(event).__name__, "envelope": envelope_to_json(envelope), "payload": event_to_json(event)}


def from_json(event_name: str, form: Mapping[str, Any]) -> tuple[Envelope, Event]:
    """Return envelope and event of a JSON form, equal to those it was written from.

    Raises JsonFormError for an unknown event, a missing, unknown or malformed field.
    """
    if form.get("event", event_name) != event_name:
        raise JsonFormError(f"event: {form['event']!r} where {event_name!r} was expected")
    for part in ("envelope", "payload"):
        if part not in form:
            raise JsonFormError(f"{part}: missing")
    return envelope_from_json(form["envelope"]), event_from_json(event_name, form["payload"])


def envelope_to_json(envelope: Envelope) -> dict[str, Any]:
    """Return the JSON form of an envelope."""
    result: dict[str, Any] = _record_writer(Envelope)(envelope)
    return result


def envelope_from_json(form: Any) -> Envelope:
    """Return the envelope of its JSON form. Raises JsonFormError."""
    envelope: Envelope = _record_reader(Envelope)(form, "envelope")
    return envelope


def event_to_json(event: Event) -> dict[str, Any]:
    """Return the JSON form of an event without its envelope."""
    cls: Any = type(event)
    result: dict[str, Any] = _record_writer(cls)(event)
    return result


def event_from_json(event_name: str, payload: Any) -> Event:
    """Return the event of its JSON form without envelope. Raises JsonFormError."""
    cls: Any = EVENT_TYPES.get(event_name)
    if cls is None:
        raise JsonFormError(f"event: {event_name!r} is not one of {', '.join(EVENT_TYPES)}")
    event: Event = _record_reader(cls)(payload, "payload")
    return event


def iso(moment: int) -> str | None:
    """Write microseconds since 1970 as ``2025-03-19T16:00:00.000000Z``; None where no calendar has that day."""
    try:
        return (_EPOCH + timedelta(microseconds=moment)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except OverflowError:
        return None


def _unwrap_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None)), True
    return hint, False


def _is_moment(hint: Any) -> bool:
    inner = _unwrap_optional(hint)[0]
    return isinstance(inner, NewType) and inner.__name__ == "Micros"


def _is_record(hint: Any) -> bool:
    return hint is Envelope or (isinstance(hint, type) and is_dataclass(hint))


# --- writing ---------------------------------------------------------------------------------------------------------


@cache
def _record_writer(cls: type[Any]) -> Write:
    plan = [(name, _writer(hint), _is_moment(hint)) for name, hint in _own_hints(cls)]

    def write(record: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, convert, moment in plan:
            value = getattr(record, name)
            result[name] = None if value is None else convert(value)
            if moment and value is not None:
                result[name + ISO_SUFFIX] = iso(value)
        return result

    return write


def _own_hints(cls: type[Any]) -> list[tuple[str, Any]]:
    hints = get_type_hints(cls)
    names = Envelope._fields if cls is Envelope else tuple(field.name for field in fields(cls))
    return [(name, hints[name]) for name in names]


def _writer(hint: Any) -> Write:
    inner = _unwrap_optional(hint)[0]
    if isinstance(inner, NewType):
        return int if _is_moment(inner) else plain
    if get_origin(inner) is tuple:
        item = _writer(get_args(inner)[0])
        return lambda values: [item(value) for value in values]
    if get_origin(inner) is dict:
        item = _writer(get_args(inner)[1])
        return lambda values: {key: item(value) for key, value in values.items()}
    if _is_record(inner):
        return _record_writer(inner)
    if issubclass(inner, StrEnum):
        return str
    return _SCALAR_WRITERS.get(inner, _same)


def _same(value: Any) -> Any:
    return value


def _write_bytes(value: bytes) -> str:
    return b64encode(value).decode()


def _write_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


_SCALAR_WRITERS: dict[Any, Write] = {bytes: _write_bytes, float: _write_float}


# --- reading ---------------------------------------------------------------------------------------------------------


@cache
def _record_reader(cls: type[Any]) -> Read:
    plan = [(name, _reader(hint)) for name, hint in _own_hints(cls)]
    known = {name for name, _ in plan} | {name + ISO_SUFFIX for name, hint in _own_hints(cls) if _is_moment(hint)}
    optional = _defaults(cls)

    def read(form: Any, path: str) -> Any:
        if not isinstance(form, Mapping):
            raise JsonFormError(f"{path}: must be an object")
        for name in form:
            if name not in known:
                raise JsonFormError(f"{path}.{name}: unknown field of {cls.__name__}")
        values: dict[str, Any] = {}
        for name, convert in plan:
            if name in form:
                values[name] = convert(form[name], f"{path}.{name}")
            elif name not in optional:
                raise JsonFormError(f"{path}.{name}: missing")
        return cls(**values)

    return read


def _defaults(cls: type[Any]) -> set[str]:
    """Return the fields an old example may lack: those with a default, as on the wire."""
    return set() if cls is Envelope else {field.name for field in fields(cls) if field.default is not MISSING}


def _reader(hint: Any) -> Read:
    inner, optional = _unwrap_optional(hint)
    read = _reader_of(inner)
    return (lambda value, path: None if value is None else read(value, path)) if optional else read


def _reader_of(inner: Any) -> Read:
    if isinstance(inner, NewType):
        return _typed(int, "an integer number of microseconds") if _is_moment(inner) else _read_decimal
    if get_origin(inner) is tuple:
        return _read_tuple(_reader(get_args(inner)[0]))
    if get_origin(inner) is dict:
        return _read_map(_reader(get_args(inner)[1]))
    if _is_record(inner):
        return _record_reader(inner)
    if issubclass(inner, StrEnum):
        return _read_enum(inner)
    return _SCALARS[inner]


def _typed(kind: type[Any], wanted: str) -> Read:
    def read(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise JsonFormError(f"{path}: {value!r} must be {wanted}")
        return value

    return read


def _read_decimal(value: Any, path: str) -> Decimal:
    if not isinstance(value, str):
        raise JsonFormError(f"{path}: {value!r} must be a decimal in a string, not a JSON {type(value).__name__}")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise JsonFormError(f"{path}: {value!r} is not a decimal number") from error
    if not number.is_finite():
        raise JsonFormError(f"{path}: {value!r} is not a finite number")
    return number


def _read_float(value: Any, path: str) -> float:
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if type(value) not in (float, int):
        raise JsonFormError(f"{path}: {value!r} must be a number")
    return float(value)


def _read_bytes(value: Any, path: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (TypeError, ValueError, Base64Error) as error:
        raise JsonFormError(f"{path}: must be base64 text") from error


def _read_tuple(item: Read) -> Read:
    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise JsonFormError(f"{path}: must be a list")
        return tuple([item(part, f"{path}[{index}]") for index, part in enumerate(value)])

    return read


def _read_map(item: Read) -> Read:
    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise JsonFormError(f"{path}: must be an object")
        return {str(key): item(part, f"{path}.{key}") for key, part in value.items()}

    return read


def _read_enum(cls: type[StrEnum]) -> Read:
    def read(value: Any, path: str) -> StrEnum:
        try:
            return cls(value)
        except ValueError as error:
            raise JsonFormError(f"{path}: {value!r} must be one of {', '.join(cls)}") from error

    return read


_SCALARS: dict[Any, Read] = {
    str: _typed(str, "text"),
    bool: _typed(bool, "true or false"),
    int: _typed(int, "a whole number"),
    float: _read_float,
    bytes: _read_bytes,
}
