"""An event of every type without writing one by hand: samples that count up, and hypothesis strategies that push."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NewType, cast, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from schemas.codec import encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events import EVENT_TYPES
from schemas.ids import derive_id
from schemas.topics import TOPIC_OF
from schemas.values import SCALES, SECOND, Micros
from streams.log.base import NewRecord
from tests.builders import T0

DIGITS = 38
"""Precision of every decimal on the wire."""


def sample(event: type[Any], number: int) -> Any:
    """Return the ``number``-th sample of an event class: values differ by field and by sample."""
    hints = get_type_hints(event)
    return event(
        **{field.name: _value(hints[field.name], field.name, number + i) for i, field in enumerate(fields(event))}
    )


def _value(hint: Any, name: str, number: int) -> Any:
    inner, optional = _unwrap_optional(hint)
    if optional and number % 3 == 0:
        return None
    if isinstance(inner, NewType):
        return T0 + number * SECOND if inner.__name__ == "Micros" else Decimal(number * 37 % 9973).scaleb(-2)
    if get_origin(inner) is tuple:
        return tuple(_value(get_args(inner)[0], name, number + i) for i in range(number % 3))
    if get_origin(inner) is dict:
        return {f"{name}_{i}": _value(get_args(inner)[1], name, number + i) for i in range(number % 4)}
    if is_dataclass(inner):
        return sample(cast(type[Any], inner), number)
    if issubclass(inner, StrEnum):
        return list(inner)[number % len(inner)]
    return {
        str: f"{name}-{number}",
        bool: number % 2 == 0,
        int: number,
        float: number / 7,
        bytes: name.encode() * number,
    }[inner]


def _unwrap_optional(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (typing.Union, types.UnionType):
        return next(arg for arg in get_args(hint) if arg is not type(None)), True
    return hint, False


def envelope(name: str, number: int, *, seq: int = NOT_SEQUENCED, ts_event: int | None = None) -> Envelope:
    """Return an envelope whose ids follow from a name and a number."""
    when = Micros(T0 + number * SECOND if ts_event is None else ts_event)
    identity = derive_id(name, number)
    cause = derive_id(name, number - 1) if number else ""
    return Envelope(identity, derive_id(name), cause, "test", number, 0, seq, when, when, "test", "settings")


def tape(rounds: int, *, start: Mapping[str, int] | None = None) -> Iterator[NewRecord]:
    """Yield ``rounds`` samples of every event type in partition 0, with a dense ``seq`` per topic (from ``start``)."""
    seqs: dict[str, int] = dict(start or {})
    for number in range(rounds):
        for name, cls in EVENT_TYPES.items():
            topic = TOPIC_OF[cls]
            seq = NOT_SEQUENCED
            if topic.sequenced:
                seq = seqs.get(topic.name, 0)
                seqs[topic.name] = seq + 1
            head = envelope(name, number, seq=seq)
            yield NewRecord(topic.name, 0, b"key", encode(head, sample(cls, number)), head.ts_event)


def any_event(event: type[Event]) -> st.SearchStrategy[Any]:
    """Return a strategy of instances of ``event`` that uses the whole range of every field."""
    return _record(event)


def _record(cls: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: _strategy(hints[field.name]) for field in fields(cls)})


_MOMENTS = st.integers(min_value=0, max_value=4_102_444_800_000_000)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    bool: st.booleans(),
    int: st.integers(min_value=-(2**63), max_value=2**63 - 1),
    float: st.floats(),
    bytes: st.binary(max_size=30),
}


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    inner, optional = _unwrap_optional(hint)
    found = _strategy_of(inner)
    return st.none() | found if optional else found


def _strategy_of(inner: Any) -> st.SearchStrategy[Any]:
    if isinstance(inner, NewType):
        return _MOMENTS if inner.__name__ == "Micros" else _decimals(SCALES[inner.__name__])
    if get_origin(inner) is tuple:
        return st.lists(_strategy(get_args(inner)[0]), max_size=3).map(tuple)
    if get_origin(inner) is dict:
        return st.dictionaries(_TEXT, _strategy(get_args(inner)[1]), max_size=3)
    if is_dataclass(inner):
        return _record(inner)
    if issubclass(inner, StrEnum):
        return st.sampled_from(list(inner))
    return _SCALARS[inner]


def _decimals(scale: int) -> st.SearchStrategy[Decimal]:
    """Return every decimal of the wire: up to 38 digits, ``scale`` of them behind the point."""
    limit = 10**DIGITS - 1
    return st.integers(min_value=-limit, max_value=limit).map(lambda unscaled: Decimal(unscaled).scaleb(-scale))
