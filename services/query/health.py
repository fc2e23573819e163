"""Is it alive, and is what it needs reachable: ``/health`` and ``/ready`` with the lag of trader and projector."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from schemas.codec import CodecError, decode
from schemas.events.journal import Committed
from schemas.topics import INPUTS, JOURNAL, TOPICS
from services.query.database import DatabaseUnavailable, ReadDatabase
from streams.log.base import EventLog, LogError

JOURNAL_TAIL = 50
"""Journal records looked at for the newest commit; the last ones may be claims."""


def health_router(log: EventLog, database: ReadDatabase, *, shard: int, version: str) -> APIRouter:
    """Return the health routes."""
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process answers; touches nothing."""
        return {"status": "ok", "version": version}

    @router.get("/ready")
    def ready() -> JSONResponse:
        """Say whether log and database are reachable, and how far trader and projector are behind."""
        parts = {"log": _log(log, shard), "database": _database(log, database, shard)}
        is_ready = all(part["reachable"] for part in parts.values())
        body = {"status": "ready" if is_ready else "not ready", **parts}
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return router


def _log(log: EventLog, shard: int) -> dict[str, Any]:
    try:
        inputs = sum(log.end_offset(topic, shard) for topic in INPUTS)
        envelope_and_commit = _newest_commit(log, shard)
    except LogError as error:
        return {"reachable": False, "reason": str(error)}
    steps = envelope_and_commit[1].last_step + 1 if envelope_and_commit else 0
    silent = None if envelope_and_commit is None else time.time() - envelope_and_commit[0] / 1e6
    return {
        "reachable": True,
        "inputs": inputs,
        "trader_lag_inputs": max(0, inputs - steps),
        "trader_last_commit_s_ago": None if silent is None else round(silent, 3),
    }


def _newest_commit(log: EventLog, shard: int) -> tuple[int, Committed] | None:
    """Return wall-clock time and content of the newest commit: one step an input, so its last step is a position."""
    end = log.end_offset(JOURNAL, shard)
    for record in reversed(log.read(JOURNAL, shard, max(0, end - JOURNAL_TAIL), limit=JOURNAL_TAIL)):
        try:
            envelope, event = decode(record.value)
        except CodecError:
            continue
        if isinstance(event, Committed):
            return envelope.ts_ingest, event
    return None


def _database(log: EventLog, database: ReadDatabase, shard: int) -> dict[str, Any]:
    try:
        positions = database.positions()
    except DatabaseUnavailable as error:
        return {"reachable": False, "reason": str(error)}
    try:
        lag = {t.name: log.end_offset(t.name, shard) - positions.get((t.name, shard), 0) for t in TOPICS}
    except LogError:
        return {"reachable": True}
    return {"reachable": True, "projector_lag_records": sum(lag.values()), "lag_by_topic": lag}
