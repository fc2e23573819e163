"""Is it alive, and is what it needs reachable: ``/health`` and ``/ready`` with the lag of trader and projector."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.lag import ProjectorWatch, TraderWatch, projector_lag
from services.query.database import DatabaseUnavailable, ReadDatabase
from streams.log.base import EventLog, LogError
from streams.reader import Clock

AHEAD = "the tables reach further than this log: they are another one's; name the database of this log (TAPELINE_DB)"


def health_router(
    log: EventLog, database: ReadDatabase, *, shard: int, version: str, clock: Clock = time.monotonic
) -> APIRouter:
    """Return the health routes."""
    router = APIRouter(tags=["health"])
    trader, projector = TraderWatch(log, shard, clock=clock), ProjectorWatch(log, shard, clock=clock)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Say that the process answers; touches nothing."""
        return {"status": "ok", "version": version}

    @router.get("/ready")
    def ready() -> JSONResponse:
        """Say whether log and database are reachable, how far trader and projector are behind, and what is missing.

        503 with the ``reason`` where one is not, where inputs wait that no trader takes, or a number the projector
        needs does not come.
        """
        parts = {"log": _log(trader), "database": _database(log, database, shard, projector)}
        is_ready = all(part["reachable"] and "reason" not in part for part in parts.values())
        body = {"status": "ready" if is_ready else "not ready", **parts}
        return JSONResponse(body, status_code=200 if is_ready else 503)

    return router


def _log(trader: TraderWatch) -> dict[str, Any]:
    try:
        progress = trader.progress()
    except LogError as error:
        return {"reachable": False, "reason": str(error)}
    silent = None if progress.committed_at is None else progress.silent_s()
    return {
        "reachable": True,
        "inputs": progress.inputs,
        "trader_lag_inputs": progress.lag,
        "trader_last_commit_s_ago": None if silent is None else round(silent, 3),
    } | ({"reason": progress.words()} if progress.stalled else {})


def _database(log: EventLog, database: ReadDatabase, shard: int, watch: ProjectorWatch) -> dict[str, Any]:
    try:
        positions = database.positions()
        lag, missing = projector_lag(log, positions, shard), watch.overdue(positions)
    except DatabaseUnavailable as error:
        return {"reachable": False, "reason": str(error)}
    except LogError:
        return {"reachable": True}
    found = {"reachable": True, "projector_lag_records": sum(lag.values()), "lag_by_topic": lag}
    ahead = any(behind < 0 for behind in lag.values())
    words = [AHEAD] * ahead + [unfilled.words() for unfilled in missing]
    reason = {"reason": "; ".join(words)} if words else {}
    return found | {"unfilled": [asdict(unfilled) for unfilled in missing]} | reason
