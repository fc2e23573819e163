"""Identifiers that come from causes, never from chance, so that a replay gives every event the id it had."""

from __future__ import annotations

import re
from hashlib import sha256

ID_LENGTH = 32
"""Hex digits of an event id (128 bits)."""

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_CLIENT_ORDER_ID = re.compile("t[0-9a-z]{25}")


def derive_id(cause: str, *parts: object) -> str:
    """Return the id that follows from a cause and what tells its siblings apart: 32 hex digits."""
    text = "|".join((cause, *map(str, parts)))
    return sha256(text.encode()).hexdigest()[:ID_LENGTH]


def output_id(cause: str, stage: str, index: int) -> str:
    """Return the event id the kernel gives to the ``index``-th event ``stage`` emits for the message ``cause``."""
    return derive_id(cause, stage, index)


def is_client_order_id(text: str) -> bool:
    """Return whether ``client_order_id`` could have made it: a venue makes ids of its own for some orders."""
    return _CLIENT_ORDER_ID.fullmatch(text) is not None


def client_order_id(event_id: str) -> str:
    """Return the venue's client order id of an ``OrderIntended``: at most 32 characters of ``[a-z0-9]``, never reused.

    Source: OKX v5 accepts 1-32 case-sensitive alphanumerics; 25 base-36 digits hold the 128 bits of an event id.
    """
    number = int(event_id, 16)
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_BASE36[digit])
    return "t" + "".join(reversed(digits)).rjust(25, "0")
