"""What is on the ``context`` topic already, so that nothing is written twice, also after a restart. Of bounded size.

A headline is written once, by its id. A number or a trend is written when it differs from the last of its name. The
values seen are kept as the history that new ones are held against.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from schemas.codec import CodecError, decode
from schemas.envelope import Event
from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus, TrendPoint
from schemas.values import Ratio
from services.adapters.numbers import measure_of
from streams.log.base import EventLog

CONTEXT = "context"
IDS_KEPT = 2_000
"""Ids of headlines remembered, by source: twenty times what one answer is cut to."""
NAMES_KEPT = 100
"""Numbers remembered, by source; a source that makes up names pushes out its own."""
HISTORY_KEPT = 32
TAIL_MAX = 50_000
"""Records looked back over at a start."""
READ = 5_000

K = TypeVar("K")
V = TypeVar("V")


class Ledger:
    """One shard's context, as far as it matters for what comes next."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}
        self._last: dict[str, dict[tuple[object, ...], Event]] = {}
        self._history: dict[tuple[str, str], deque[Ratio]] = {}
        self.statuses: dict[str, SourceStatus] = {}

    def state(self, source: str) -> SourceState | None:
        """Return what was last said of a source."""
        status = self.statuses.get(source)
        return None if status is None else status.state

    def history(self, source: str, name: str) -> Sequence[Ratio]:
        """Return a metric's last values, oldest first, without the impossible ones."""
        return tuple(self._history.get((source, name), ()))

    def unsaid(self, events: Sequence[Event]) -> list[Event]:
        """Return what is not on the log yet; a headline that is shown again is remembered anew."""
        return [event for event in events if not self._is_known(event)]

    def _is_known(self, event: Event) -> bool:
        if not isinstance(event, NewsItem):
            return self._last.get(_source(event), {}).get(_name(event)) == event
        ids = self._ids.get(event.source, {})
        if event.item_id not in ids:
            return False
        ids[event.item_id] = ids.pop(event.item_id)
        return True

    def take(self, event: Event) -> None:
        """Note that an event is on the log."""
        if isinstance(event, SourceStatus):
            self.statuses[event.source] = event
        elif isinstance(event, NewsItem):
            _remember(self._ids.setdefault(event.source, {}), event.item_id, None, IDS_KEPT)
        else:
            _remember(self._last.setdefault(_source(event), {}), _name(event), event, NAMES_KEPT)
            if isinstance(event, OnchainMetric) and not measure_of(event.name).refuses(event.value):
                key = (event.source, event.name)
                _remember(self._history, key, self._history.get(key, deque(maxlen=HISTORY_KEPT)), 10 * NAMES_KEPT)
                self._history[key].append(event.value)


def _remember(known: dict[K, V], key: K, value: V, most: int) -> None:
    known.pop(key, None)
    known[key] = value
    if len(known) > most:
        del known[next(iter(known))]


def _source(event: Event) -> str:
    return event.source if isinstance(event, OnchainMetric | TrendPoint) else ""


def _name(event: Event) -> tuple[object, ...]:
    """Return what of two numbers of a source makes them values of one thing."""
    if isinstance(event, TrendPoint):
        return event.keyword, event.partial
    return (event.name,) if isinstance(event, OnchainMetric) else ()


def read_ledger(log: EventLog, shard: int, *, limit: int = TAIL_MAX) -> Ledger:
    """Return what the end of a shard's ``context`` says; what cannot be read is passed over, as the trader does."""
    ledger, end = Ledger(), log.end_offset(CONTEXT, shard)
    offset = max(0, end - limit)
    while offset < end:
        records = log.read(CONTEXT, shard, offset, limit=READ)
        if not records:
            break
        for record in records:
            try:
                ledger.take(decode(record.value)[1])
            except CodecError:
                continue
        offset = records[-1].offset + 1
    return ledger
