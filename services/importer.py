"""Put a feed on the log: the market gateway's stand-in for recorded data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice

from schemas.codec import encode
from schemas.envelope import Envelope, Event
from schemas.settings import TradingSettings
from schemas.topics import BY_NAME
from services.bootstrap import prepare_log
from streams.log.base import EventLog, NewRecord

TICKS = "ticks"
CHUNK = 5_000
"""Ticks appended at once: what a killed importer may have to write again."""


def import_feed(
    log: EventLog,
    feed: Iterable[tuple[Envelope, Event]],
    settings: TradingSettings,
    *,
    shard: int = 0,
    shards: int = 1,
    chunk_size: int = CHUNK,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Append a feed's ticks in order and return how many were appended; the first settings go before them.

    ``chunk_size``: ticks appended at once; 1 where the feed is paced and a tick must not wait for the next.

    A feed whose first tick is already the log's first is taken up where the log ends, so an import that was killed is
    simply run again. Raises FeedError (of the feed; what came before is on the log) and LogError.
    """
    ticks = iter(feed)
    first = next(ticks, None)
    if first is None:
        return 0
    prepare_log(log, settings, shards=shards, ts_event=first[0].ts_event)
    records = (_record(envelope, event, shard) for envelope, event in chain((first,), ticks))
    done = _already_there(log, shard, first)
    skipped = sum(1 for _ in islice(records, done))
    appended = 0
    chunk: list[NewRecord] = []
    try:
        for record in records:
            chunk.append(record)
            if len(chunk) >= chunk_size:
                appended += _flush(log, chunk)
                if progress:
                    progress(skipped + appended)
    finally:
        appended += _flush(log, chunk)  # a feed that breaks off leaves what it gave before
    if progress:
        progress(skipped + appended)
    return appended


def _flush(log: EventLog, chunk: list[NewRecord]) -> int:
    if chunk:
        log.append(chunk)
    count = len(chunk)
    chunk.clear()
    return count


def _already_there(log: EventLog, shard: int, first: tuple[Envelope, Event]) -> int:
    end = log.end_offset(TICKS, shard)
    if end == 0 or log.read(TICKS, shard, 0, limit=1)[0].value != encode(*first):
        return 0
    return end


def _record(envelope: Envelope, event: Event, shard: int) -> NewRecord:
    key = str(getattr(event, BY_NAME[TICKS].key)).encode()
    return NewRecord(TICKS, shard, key, encode(envelope, event), envelope.ts_event)
