"""Every event type, by area. ``EVENT_TYPES`` is the closed list that codec, topics and examples are checked against."""

from __future__ import annotations

from dataclasses import is_dataclass
from types import ModuleType

from schemas.envelope import Event
from schemas.events import (
    account,
    context,
    control,
    data,
    gateway,
    intelligence,
    journal,
    market,
    model,
    orders,
    plan,
    risk,
)

AREAS: tuple[ModuleType, ...] = (
    market,
    data,
    intelligence,
    context,
    control,
    plan,
    model,
    risk,
    orders,
    gateway,
    account,
    journal,
)


def _collect() -> dict[str, type[Event]]:
    return {
        name: value
        for area in AREAS
        for name, value in vars(area).items()
        if isinstance(value, type) and issubclass(value, Event) and is_dataclass(value)
    }


EVENT_TYPES: dict[str, type[Event]] = _collect()
"""Event class by name, in the order of the areas."""
