"""What the venue says without being asked: a push names its channel and who may hear it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""A JSON object of the wire."""
PRIVATE = frozenset({"account", "positions", "balance_and_position", "orders", "orders-algo", "fills"})


def same(names: str, value: object = "") -> Row:
    """Return a row in which all of these (separated by spaces) have one value; mostly: what the fake leaves empty."""
    return dict.fromkeys(names.split(), value)


@dataclass(frozen=True, slots=True)
class Push:
    """One frame for every subscription it matches; ``inst_id`` "" concerns everybody on the channel."""

    channel: str
    data: list[Row] | list[list[str]]
    inst_id: str = ""
    inst_type: str = ""
    action: str = ""
    fields: Row = field(default_factory=dict)


Listener = Callable[[Push], None]
