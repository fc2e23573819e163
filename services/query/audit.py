"""``/audit/{event_id}``: one event in full, the chain of causes it came from, everything it led to, and its trade idea.

A fill's cause is the tick that filled it; why there was an order at all is in the idea: the events that share its
correlation id, and the causes of the first of them, down to the bar the plan rests on.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from psycopg import Connection, sql

from projections import trail
from projections.trail import TrailEvent
from services.errors import ApiError, invalid
from services.query.database import ReadDatabase, to_plain

EFFECTS_MAX = 200
DEPTH_MAX = 12
_IDEA_COLUMNS = (
    "event_type", "event_id", "causation_id", "stage", "step", "ordinal", "ts_event", "log_topic", "log_offset",
)  # fmt: skip
_IDEA = sql.SQL("SELECT {} FROM audit WHERE correlation_id = %s ORDER BY step, ordinal, log_offset LIMIT %s").format(
    sql.SQL(", ").join(map(sql.Identifier, _IDEA_COLUMNS))
)
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
    """Return an event with its row, causes (nearest first), effects (level by level, bounded) and idea."""
    effects, truncated = _effects(connection, event, limit)
    idea = _idea(connection, event, limit)
    first = trail.find(connection, idea[0]["event_id"]) if idea else None
    return {
        "event": _with_row(connection, event),
        "causes": [_with_row(connection, cause) for cause in trail.causes(connection, event)],
        "effects": effects,
        "effects_truncated": truncated,
        "idea": idea,
        "idea_causes": [_with_row(connection, cause) for cause in trail.causes(connection, first)] if first else [],
    }


def _idea(connection: Connection[Any], event: TrailEvent, limit: int) -> list[dict[str, Any]]:
    """Return the decision events of the same trade idea, first to last, at most ``limit``."""
    rows = connection.execute(_IDEA, (event.correlation_id, limit)).fetchall()
    return [to_plain(dict(zip(_IDEA_COLUMNS, row, strict=True))) for row in rows]


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


def _with_row(connection: Connection[Any], event: TrailEvent) -> dict[str, Any]:
    return _plain(event) | {"row": to_plain(trail.payload(connection, event))}
