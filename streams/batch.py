"""The batch runner: a plain loop that takes a shard's inputs from the log as fast as they can be stepped through."""

from __future__ import annotations

from collections.abc import Callable

from streams.log.base import EventLog
from streams.trader import Trader

FETCH = 2_000
"""Input records fetched at once: one commit covers at least the outputs of this many."""


def run_batch(
    log: EventLog,
    trader: Trader,
    *,
    progress: Callable[[int], None] | None = None,
    until: Callable[[], bool] | None = None,
) -> int:
    """Take every input there is, topic by topic in the order of ``trader.inputs``; return how many were taken.

    The trader must have been started. ``progress``: called with the running total.
    ``until``: stop early when it says so. Raises TraderStopped.
    """
    taken = 0
    while not (until and until()):
        fetched = 0
        for topic in trader.inputs:
            records = log.read(topic, trader.shard, trader.position(topic), limit=FETCH)
            if records:
                trader.process(topic, records)
                fetched += len(records)
        taken += fetched
        if progress:
            progress(taken)
        if not fetched:
            break
    trader.finish()
    return taken
