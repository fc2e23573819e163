"""Put a feed on the log: the market gateway's stand-in for recorded data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain

from schemas.codec import encode
from schemas.envelope import Envelope, Event
from schemas.events.market import InstrumentDefined
from schemas.settings import SettingsError, TradingSettings, Venue
from schemas.topics import BY_NAME
from services.bootstrap import prepare_log
from streams.log.base import EventLog, LogError, NewRecord

TICKS = "ticks"
CHUNK = 5_000
"""Ticks appended at once."""
READ = 10_000
"""Ticks read at once while looking for where a feed begins on the log."""


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

    A feed the log already begins to hold, be it the first or the tenth on it, is taken up where the log ends, so an
    import that was killed or is in doubt is simply run again. Raises FeedError (of the feed; what came before is on the
    log), LogError, also where the log goes on otherwise than the feed, and SettingsError for a venue that is real.
    """
    if settings.venue != Venue.PAPER:
        raise SettingsError(f"venue={settings.venue}: a feed from files is traded on PAPER only; orders would be real")
    ticks = iter(feed)
    first = next(ticks, None)
    if first is None:
        return 0
    prepare_log(log, settings, shards=shards, ts_event=first[0].ts_event)
    records = (_record(envelope, event, shard) for envelope, event in chain((first,), ticks))
    skipped = _pass_over(log, shard, records, start_of(log, shard, first))
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


def warned(
    feed: Iterable[tuple[Envelope, Event]], allowed: Collection[str], warn: Callable[[str], None]
) -> Iterator[tuple[Envelope, Event]]:
    """Yield the feed and say once of each instrument that is not ``allowed`` that nothing will come of its data."""
    told = set(allowed)
    for envelope, event in feed:
        if isinstance(event, InstrumentDefined) and event.instrument_id not in told:
            told.add(event.instrument_id)
            warn(
                f"warning: {event.instrument_id} is not in TAPELINE_INSTRUMENTS_ALLOWED ({','.join(allowed)}): its "
                "data is taken in, but no plan for it will be approved"
            )
        yield envelope, event


def _flush(log: EventLog, chunk: list[NewRecord]) -> int:
    """Append what was collected; it counts as sent from then on, however the append ends: nothing is sent twice."""
    sent = chunk.copy()
    chunk.clear()
    if sent:
        log.append(sent)
    return len(sent)


def held(log: EventLog, shard: int, first: tuple[Envelope, Event]) -> int:
    """Return how many ticks the log holds from a feed's first tick on; 0: it does not hold the feed."""
    return log.end_offset(TICKS, shard) - start_of(log, shard, first)


def start_of(log: EventLog, shard: int, first: tuple[Envelope, Event]) -> int:
    """Return the offset at which the log holds a feed's first tick, the last one if it does twice; its end: nowhere."""
    wanted, offset, end = encode(*first), 0, log.end_offset(TICKS, shard)
    found = end
    while offset < end:
        records = log.read(TICKS, shard, offset, limit=min(READ, end - offset))
        if not records:
            break
        found = next((record.offset for record in reversed(records) if record.value == wanted), found)
        offset = records[-1].offset + 1
    return found


def _pass_over(log: EventLog, shard: int, records: Iterator[NewRecord], start: int) -> int:
    """Drop from the feed what the log holds from ``start`` on, and return how much. Raises LogError where they differ.

    A feed that ends before the log does is on the log in full: another one follows it.
    """
    offset, end = start, log.end_offset(TICKS, shard)
    while offset < end:
        stored = log.read(TICKS, shard, offset, limit=min(READ, end - offset))
        if not stored:
            break
        for there in stored:
            record = next(records, None)
            if record is None:
                return offset - start
            if record.value != there.value:
                raise LogError(
                    f"{TICKS} of shard {shard}: offset {there.offset} is not tick {offset - start} of this feed, which "
                    f"begins at offset {start}: the import was broken off and something else follows, or it ran with "
                    "other files or options; nothing was appended, import into a new log"
                )
            offset = there.offset + 1
    return offset - start


def _record(envelope: Envelope, event: Event, shard: int) -> NewRecord:
    key = str(getattr(event, BY_NAME[TICKS].key)).encode()
    return NewRecord(TICKS, shard, key, encode(envelope, event), envelope.ts_event)
