"""How far the trader and the projector are behind the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.codec import CodecError, decode
from schemas.events.journal import Committed
from schemas.topics import INPUTS, JOURNAL, TOPICS
from streams.log.base import EventLog

JOURNAL_TAIL = 50
"""Journal records looked at for the newest commit; the last ones may be claims."""


class TraderProgress(NamedTuple):
    """Inputs on the log, inputs taken (a step takes one), wall-clock microseconds of the newest commit."""

    inputs: int
    taken: int
    committed_at: int | None

    @property
    def lag(self) -> int:
        """Return how many inputs wait."""
        return max(0, self.inputs - self.taken)


def trader_progress(log: EventLog, shard: int) -> TraderProgress:
    """Return how far the trader of a shard has come, by its journal. Raises LogError."""
    inputs = sum(log.end_offset(topic, shard) for topic in INPUTS)
    end = log.end_offset(JOURNAL, shard)
    for record in reversed(log.read(JOURNAL, shard, max(0, end - JOURNAL_TAIL), limit=JOURNAL_TAIL)):
        try:
            envelope, event = decode(record.value)
        except CodecError:
            continue
        if isinstance(event, Committed):
            return TraderProgress(inputs, event.last_step + 1, envelope.ts_ingest)
    return TraderProgress(inputs, 0, None)


def projector_lag(log: EventLog, positions: Mapping[tuple[str, int], int], shard: int) -> dict[str, int]:
    """Return records not yet projected, by topic; ``positions`` are next offsets by (topic, partition)."""
    return {topic.name: log.end_offset(topic.name, shard) - positions.get((topic.name, shard), 0) for topic in TOPICS}
