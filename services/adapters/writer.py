"""Put what sources say on one shard's ``context`` topic, as its only writer, while the shard's market is live.

``ts_event`` is the moment of writing: not before it does anybody have it. A recording gets no context: today's news
would be the future to it. Nor does a market whose history is still coming in: a record stamped now would move the
trader's clock past the bars that follow. What was held back is judged anew when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from schemas.codec import CodecError, decode, encode
from schemas.envelope import Event
from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus, TrendPoint
from schemas.events.market import VenueBar
from schemas.ids import derive_id
from schemas.topics import BY_NAME
from schemas.values import SECOND, Micros
from services.adapters.errors import SourceError
from services.adapters.judging import Verdict, judge
from services.adapters.ledger import CONTEXT, read_ledger
from services.feeds.feed import PRODUCER
from services.feeds.model import make_envelope
from services.logs import redact_text
from services.market_time import RECORDED_AFTER_S
from services.sole_writer import SoleWriter
from streams.log.base import EventLog, LogError, NewRecord, end_of

STAGE = "adapters"
"""The stage named in the envelope of all context, and the mark of its writer."""
TICKS = "ticks"
LOOK = 10
"""Ticks looked at to tell whether the market is live: the newest that can be read."""
DETAIL_MAX = 300
_logger = structlog.get_logger("tapeline.adapters")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking a source: events, or why there are none. ``ts_last_ok``: when it last was UP."""

    source: str
    events: tuple[Event, ...]
    stale_after_us: int | None
    error: SourceError | None = None
    ts_last_ok: Micros | None = None


class ContextWriter:
    """The end of one shard's context. ``session``: when this process started; the later one writes (ADR 23)."""

    def __init__(self, log: EventLog, shard: int, *, session: int) -> None:
        self._log = log
        self._shard = shard
        self.ledger = read_ledger(log, shard)
        self._pending: dict[str, Answer] = {}
        self._writer = SoleWriter(
            log, CONTEXT, shard, mark=STAGE, who="context adapter", producer=PRODUCER, session=session
        )

    def verdict(self, answer: Answer, now: int) -> Verdict:
        """Return what an answer means now."""
        if answer.error is not None:
            return Verdict(SourceState.DOWN, redact_text(str(answer.error))[:DETAIL_MAX])
        return judge(answer.events, now, stale_after_us=answer.stale_after_us, known=self.ledger.history)

    def offer(self, answer: Answer) -> None:
        """Keep a source's newest answer until it is written."""
        self._pending[answer.source] = answer

    def flush(self, now: int) -> dict[str, int] | None:
        """Write what is pending and is not on the log; return how many events by source.

        None: it stays pending, the market is not live or the log does not answer. Raises WriterStopped.
        """
        if not self._pending:
            return {}
        if not self._may_write(now):
            return None
        written: dict[str, int] = {}
        for source, answer in list(self._pending.items()):
            events = self._unsaid(answer, now)
            self._writer.append([self._record(event, now) for event in events])
            for event in events:
                self.ledger.take(event)
            del self._pending[source]
            written[source] = len(events)
        return written

    def _may_write(self, now: int) -> bool:
        try:
            return is_live(self._log, self._shard, now)
        except LogError as error:  # nothing was sent: what is pending can wait until the log is back
            _logger.warning("the log does not answer", shard=self._shard, reason=str(error))
            return False

    def _unsaid(self, answer: Answer, now: int) -> list[Event]:
        """Return the change of state, if it is one, and what was said that is new."""
        verdict, before = self.verdict(answer, now), self.ledger.state(answer.source)
        said = self.ledger.unsaid(verdict.events)
        if verdict.state is before:
            return said
        last = Micros(now) if verdict.state is SourceState.UP else answer.ts_last_ok
        return [SourceStatus(answer.source, verdict.state, before, verdict.detail, last), *said]

    def _record(self, event: Event, now: int) -> NewRecord:
        source = str(getattr(event, BY_NAME[CONTEXT].key))
        identity = derive_id(CONTEXT, self._shard, source, *_what(event, now))
        envelope = make_envelope(identity, now, now, self._writer.producer)._replace(stage=STAGE)
        return NewRecord(CONTEXT, self._shard, source.encode(), encode(envelope, event), now)


def _what(event: Event, now: int) -> tuple[object, ...]:
    """Return what tells events of one source apart: a headline is one for ever, the others are of their moment."""
    match event:
        case NewsItem():
            return (event.item_id,)
        case SourceStatus():
            return (event.previous, event.state, now)
        case OnchainMetric():
            return (event.name, event.value, now)
        case TrendPoint():
            return (event.keyword, event.ts_from, event.value, now)
        case _:
            raise TypeError(f"{type(event).__name__} is no context")


def is_live(log: EventLog, shard: int, now: int) -> bool:
    """Return whether a shard's newest tick is of this hour and no history. Source: ADR 12 for the hour."""
    start = max(0, end_of(log, TICKS, shard) - LOOK)
    for record in reversed(log.read(TICKS, shard, start, limit=LOOK)):
        try:
            envelope, event = decode(record.value)
        except CodecError:
            continue
        history = isinstance(event, VenueBar) and event.backfill
        return not history and now - envelope.ts_event <= RECORDED_AFTER_S * SECOND
    return False


def shards_of(log: EventLog) -> Sequence[int]:
    """Return the shards there are; each has its own copy of all context, as each has its own trader."""
    return range(log.partitions(CONTEXT))
