"""Read a moment as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas.values import Micros

_DIGITS_MAX = 17
"""More digits than this are a moment past the year 5000."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str) -> Micros:
    """Return a moment given as microseconds since 1970 or as ISO 8601 with its zone. Raises ValueError."""
    if text.isdecimal() and len(text) <= _DIGITS_MAX:
        return Micros(int(text))
    try:
        return Micros((datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError) as error:
        wanted = "microseconds since 1970 or ISO 8601 with a zone, such as 2025-03-19T16:00:00Z"
        raise ValueError(f"{text[:40]!r} must be {wanted}") from error
