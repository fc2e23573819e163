"""Shards in hand over a log in memory, and what stands in for the end of their process."""

from __future__ import annotations

from streams.log.memory import MemoryLog
from streams.shards import Shards
from streams.trader import Trader
from streams.transports.batching import Batch
from tests.toy import STAGES, fill


class Failures:
    """Stands in for the end of the process."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, BaseException]] = []

    def __call__(self, where: str, error: BaseException) -> None:
        self.seen.append((where, error))

    @property
    def errors(self) -> list[BaseException]:
        """Return what ended it, without the places."""
        return [error for _, error in self.seen]


def six_ticks() -> MemoryLog:
    """Return a log of six ticks, all of which cause outputs."""
    log = MemoryLog()
    fill(log, [4, 5, 7, 8, 10, 11])
    return log


def shards_over(log: MemoryLog, failures: Failures) -> Shards:
    """Return a worker's shards over a log, none of them in hand yet."""
    return Shards(log, lambda number: Trader(log, number, STAGES, worker="w", code_version="1"), failures)


def batch(log: MemoryLog, offset: int, limit: int = 1_000) -> Batch:
    """Return the ticks from an offset on, as a driver fetches them."""
    return Batch("ticks", 0, log.read("ticks", 0, offset, limit=limit))
