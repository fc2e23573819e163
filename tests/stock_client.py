"""Bring what a stock Avro client decoded, and our JSON form, to one shape."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.values import plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_json_form(value: Any) -> Any:
    """Return a stock client's value as our JSON form writes it."""
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {name: as_json_form(part) for name, part in value.items()}
    return [as_json_form(part) for part in value] if isinstance(value, list) else value


def without_iso(value: Any) -> Any:
    """Return our JSON form without the ISO times beside the microseconds."""
    if isinstance(value, dict):
        return {name: without_iso(part) for name, part in value.items() if not name.endswith("_iso")}
    return [without_iso(part) for part in value] if isinstance(value, list) else value
