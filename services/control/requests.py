"""Read what a caller sent: bounded bodies, strict JSON, and every refusal as ``{field, reason}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fastapi import Request

from schemas.events.common import TradingState
from schemas.values import Money
from services.control.symbols import AMOUNT
from services.errors import ApiError, invalid

BODY_BYTES_MAX = 64 * 1024
REASON_LENGTH_MAX = 500


async def read_body(request: Request) -> bytes:
    """Return the body, at most BODY_BYTES_MAX long; raise ApiError 413 as soon as it is longer."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise ApiError(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_object(body: bytes, *, required: bool) -> dict[str, Any]:
    """Return the JSON object in a body; an empty body is an empty object unless one is required.

    Numbers with a fraction become Decimal, so that no float is ever made of a price. Raises ApiError 422.
    """
    if not body.strip() and not required:
        return {}
    try:
        parsed = json.loads(body.decode(), parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique)
        json.dumps(parsed, ensure_ascii=False, default=str).encode()  # half a surrogate pair cannot go on the log
    except (ValueError, RecursionError) as error:
        raise invalid("body", f"not valid JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise invalid("body", "must be a JSON object")
    return parsed


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} appears twice")
    return result


def only(body: Mapping[str, Any], *known: str) -> None:
    """Refuse fields that are not known."""
    unknown = [name for name in body if name not in known]
    if unknown:
        reason = f"unknown field; allowed: {', '.join(known)}"
        raise ApiError(422, f"{unknown[0]}: {reason}", errors=[{"field": name, "reason": reason} for name in unknown])


def text(body: Mapping[str, Any], field: str, *, required: bool = False) -> str | None:
    """Return a text field, or None where it is absent."""
    value = body.get(field)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value.strip():
        raise invalid(field, "must be a non-empty text")
    if len(value) > REASON_LENGTH_MAX:
        raise invalid(field, f"longer than {REASON_LENGTH_MAX} characters")
    return value.strip()


def flag(body: Mapping[str, Any], field: str) -> bool:
    """Return a true or false field; absent is false."""
    value = body.get(field, False)
    if not isinstance(value, bool):
        raise invalid(field, "must be true or false")
    return value


def pause_state(body: Mapping[str, Any]) -> TradingState:
    """Return the state a pause asks for; absent is REDUCING."""
    allowed = (TradingState.REDUCING, TradingState.HALTED)
    value = body.get("state", TradingState.REDUCING)
    if value not in allowed:
        raise invalid("state", f"must be one of {', '.join(allowed)}")
    return TradingState(value)


def money_amount(body: Mapping[str, Any], field: str) -> Money:
    """Return an amount of money, a decimal in a string with at most 8 decimals and 12 digits before the point."""
    value = body.get(field)
    if not isinstance(value, str) or not AMOUNT.fullmatch(value):
        raise invalid(field, 'must be a decimal in a string, such as "3000" or "-500.50"')
    return Money(Decimal(value))
