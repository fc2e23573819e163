"""The time that inputs of ours carry: the wall clock on a live log, the market's on a recorded one (ADR 12)."""

from __future__ import annotations

import time

from schemas.values import SECOND, Micros
from services.control.scan import newest_time
from streams.log.base import EventLog

RECORDED_AFTER_S = 3600
"""A log whose newest tick is older than this is a recording: what is said to it carries the market's time."""


def wall_time() -> Micros:
    """Return microseconds since 1970 by this machine's clock."""
    return Micros(time.time_ns() // 1000)


def market_time(log: EventLog, shard: int) -> Micros:
    """Return the time a message of now carries: the wall clock, or the newest tick's on a recording.

    ``now`` in the trader is the largest ``ts_event`` seen: a message stamped by the wall clock would push the clock of
    a recorded run years ahead and make every later tick stale.
    """
    wall = wall_time()
    newest = newest_time(log, "ticks", shard) or newest_time(log, "settings", shard)
    if newest is None or wall - newest < RECORDED_AFTER_S * SECOND:
        return wall
    return Micros(newest)
