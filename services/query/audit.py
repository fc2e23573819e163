"""``/audit/{event_id}``: one event in full, the chain of causes it came from, and everything it led to."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from psycopg import Connection

from projections import trail
from projections.trail import TrailEvent
from services.errors import ApiError, invalid
from services.query.database import ReadDatabase, to_plain

EFFECTS_MAX = 200
DEPTH_MAX = 12
_EVENT_ID = re.compile(r"[0-9A-Za-z_.-]{1,64}")


def audit_router(database: ReadDatabase) -> APIRouter:
    """Return the audit route."""
    router = APIRouter(tags=["read"])

    @router.get("/audit/{event_id}", summary="An event with its causes and effects.")
    def audit(event_id: str, limit: int = EFFECTS_MAX) -> JSONResponse:
        if not _EVENT_ID.fullmatch(event_id):
            raise invalid("event_id", f"{event_id[:64]!r} is not an event id")
        if not 1 <= limit <= EFFECTS_MAX:
            raise invalid("limit", f"must be from 1 to {EFFECTS_MAX}")
        with database.connection() as connection:
            found = trail.find(connection, event_id)
            if found is None:
                raise ApiError(404, f"no event {event_id!r} in the projections; /ready shows how far they are")
            return JSONResponse(story(connection, found, limit=limit))

    return router


def story(connection: Connection[Any], event: TrailEvent, *, limit: int) -> dict[str, Any]:
    """Return an event with its row, its causes (nearest first) and its effects (level by level, bounded)."""
    effects, truncated = _effects(connection, event, limit)
    return {
        "event": _plain(event) | {"row": to_plain(trail.payload(connection, event))},
        "causes": [_plain(cause) | {"row": _row(connection, cause)} for cause in trail.causes(connection, event)],
        "effects": effects,
        "effects_truncated": truncated,
    }


def _effects(connection: Connection[Any], event: TrailEvent, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Return effects and effects of effects with their distance, and whether there may be more."""
    found: list[dict[str, Any]] = []
    seen = {event.event_id}
    waiting = deque([(event, 1)])
    while waiting:
        cause, depth = waiting.popleft()
        for effect in trail.effects(connection, cause, limit=limit + 1):
            if effect.event_id in seen:
                continue
            if len(found) == limit:
                return found, True
            seen.add(effect.event_id)
            found.append(_plain(effect) | {"depth": depth})
            if depth < DEPTH_MAX:
                waiting.append((effect, depth + 1))
    return found, False


def _plain(event: TrailEvent) -> dict[str, Any]:
    return to_plain(event._asdict())


def _row(connection: Connection[Any], event: TrailEvent) -> dict[str, Any]:
    return to_plain(trail.payload(connection, event))
