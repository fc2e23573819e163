"""How bars are built: from prints by the minute, longer ones from shorter ones. Changes a Book, returns what closed.

- A bar opens at a multiple of its timeframe (UTC) and holds what happened in [open, close).
- A print bar closes at the instrument's first print at or after its close, or when the clock is GRACE_US past it
  (prints of two instruments interleave by their own delays). A minute without prints has no bar.
- A longer bar closes with the piece that ends it. If that piece never comes it closes with the first later piece, or
  when the clock is one piece past its end (GRACE_US for prints).
- ``complete`` is False if any part may be missing: a piece not there or not complete, a gap in the prints, prints not
  watched since the open. Minutes without prints while the feed was watched are not missing.
- ``quality`` is the worst that held while the bar was open. ``backfill`` is that of the piece that ended it. History is
  closed by later pieces only: its clock is long past.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import Quality
from schemas.events.data import BarClosed
from schemas.events.market import Trade, VenueBar
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, Micros, Price, Quantity, price
from streams.core.bars.state import NEVER, Book, Bucket, PrintBar

PRINT_TIMEFRAME = "1m"
PRINT_US = TIMEFRAMES[PRINT_TIMEFRAME]
GRACE_US = SECOND

_RANK = {Quality.GOOD: 0, Quality.DEGRADED: 1, Quality.BAD: 2}


def worst(one: Quality, other: Quality) -> Quality:
    """Return the worse of two qualities."""
    return one if _RANK[one] >= _RANK[other] else other


def fold_print(book: Book, event: Trade, ts: int) -> list[BarClosed]:
    """Take in a print; return the bars that it closed, short before long."""
    if book.venue:
        return []
    if book.watched_from == NEVER:
        book.watched_from = ts
    bar = book.prints
    if bar is not None and bar.ts_open <= ts < bar.ts_close:
        _extend(bar, event)
        return []
    ts_open = ts - ts % PRINT_US
    if ts_open <= book.closed.get(PRINT_TIMEFRAME, -1):
        _late(book)
        return []
    closed = [] if bar is None else close_prints(book, event.instrument_id)
    closed += _lapse(book, event.instrument_id, ts_open)
    book.prints = _start(book, event, ts_open)
    return closed


def fold_venue_bar(book: Book, event: VenueBar) -> list[BarClosed]:
    """Take in the venue's bar; return it, unless that bar is out already, and the bars it closed, short before long."""
    if not event.backfill:
        book.venue, book.prints = True, None
    if event.ts_open <= book.closed.get(event.timeframe, -1):
        return []
    closed = _lapse(book, event.instrument_id, event.ts_open)
    bucket = book.buckets.get(event.timeframe)
    if bucket is not None and bucket.ts_open <= event.ts_open:
        del book.buckets[event.timeframe]
    bar = venue_bar_closed(event, book.quality)
    book.closed[event.timeframe] = event.ts_open
    if event.timeframe == PRINT_TIMEFRAME and book.prints is not None and book.prints.ts_open <= event.ts_open:
        book.prints = None
    return [*closed, bar, *_fold_piece(book, bar, None, from_prints=False)]


def venue_bar_closed(event: VenueBar, quality: Quality) -> BarClosed:
    """Return the venue's bar as a bar of ours."""
    return BarClosed(
        instrument_id=event.instrument_id,
        timeframe=event.timeframe,
        ts_open=event.ts_open,
        ts_close=Micros(event.ts_open + TIMEFRAMES[event.timeframe]),
        open_price=event.open_price,
        high_price=event.high_price,
        low_price=event.low_price,
        close_price=event.close_price,
        base_volume=event.base_volume,
        tick_count=0,
        vwap=None,
        quality=quality,
        complete=True,
        backfill=event.backfill,
    )


def closes_only_itself(book: Book, event: VenueBar) -> bool:
    """Say whether a new venue bar closes no longer bar: none ended before it, and none ends with it."""
    if event.ts_open <= book.closed.get(event.timeframe, -1):
        return False
    ts_close = event.ts_open + TIMEFRAMES[event.timeframe]
    if any(longer > ts_close - event.ts_open and ts_close % longer == 0 for longer in TIMEFRAMES.values()):
        return False
    return all(event.ts_open < bucket.ts_close for bucket in book.buckets.values())


def close_by_clock(book: Book, instrument_id: str, now: int) -> list[BarClosed]:
    """Close what is due although no message of the instrument says so."""
    closed: list[BarClosed] = []
    if book.prints is not None and now >= book.prints.ts_close + GRACE_US:
        closed = close_prints(book, instrument_id)
    for timeframe in TIMEFRAMES:
        bucket = book.buckets.get(timeframe)
        if bucket is not None and now >= _bucket_due(bucket):
            closed.append(_close_bucket(book, instrument_id, timeframe))
    return closed


def close_prints(book: Book, instrument_id: str) -> list[BarClosed]:
    """Close the bar that prints were building, and the longer bars it ends."""
    bar = book.prints
    assert bar is not None
    book.prints = None
    closed = BarClosed(
        instrument_id=instrument_id,
        timeframe=PRINT_TIMEFRAME,
        ts_open=Micros(bar.ts_open),
        ts_close=Micros(bar.ts_close),
        open_price=Price(bar.open_price),
        high_price=Price(bar.high_price),
        low_price=Price(bar.low_price),
        close_price=Price(bar.close_price),
        base_volume=Quantity(bar.base_volume),
        tick_count=bar.tick_count,
        vwap=price(bar.turnover / bar.base_volume),
        quality=bar.quality,
        complete=bar.complete,
        backfill=False,
    )
    book.closed[PRINT_TIMEFRAME] = bar.ts_open
    lapsed = _lapse(book, instrument_id, bar.ts_open)
    return [*lapsed, closed, *_fold_piece(book, closed, bar.turnover, from_prints=True)]


def next_due(book: Book) -> int:
    """Return when the clock alone would close something of this instrument."""
    due = NEVER if book.prints is None else book.prints.ts_close + GRACE_US
    return min([due, *map(_bucket_due, book.buckets.values())])


def _bucket_due(bucket: Bucket) -> int:
    if bucket.backfill:
        return NEVER
    return bucket.ts_close + (GRACE_US if bucket.from_prints else bucket.piece_us)


def _start(book: Book, event: Trade, ts_open: int) -> PrintBar:
    return PrintBar(
        ts_open=ts_open,
        ts_close=ts_open + PRINT_US,
        open_price=event.last_price,
        high_price=event.last_price,
        low_price=event.last_price,
        close_price=event.last_price,
        base_volume=event.base_quantity,
        turnover=event.last_price * event.base_quantity,
        tick_count=1,
        complete=book.watched_from <= ts_open and not book.gap,
        quality=book.quality,
    )


def _extend(bar: PrintBar, event: Trade) -> None:
    last_price, quantity = event.last_price, event.base_quantity
    if last_price > bar.high_price:
        bar.high_price = last_price
    elif last_price < bar.low_price:
        bar.low_price = last_price
    bar.close_price = last_price
    bar.base_volume += quantity
    bar.turnover += last_price * quantity
    bar.tick_count += 1


def _late(book: Book) -> None:
    """A print of a minute that is out already: what is out stays; the longer bars it belongs to are not complete."""
    for bucket in book.buckets.values():
        bucket.complete = False


def _lapse(book: Book, instrument_id: str, ts: int) -> list[BarClosed]:
    """Close the longer bars that ended at or before ``ts`` without their last piece."""
    ended = [timeframe for timeframe in TIMEFRAMES if _ended(book.buckets.get(timeframe), ts)]
    return [_close_bucket(book, instrument_id, timeframe) for timeframe in ended]


def _ended(bucket: Bucket | None, ts: int) -> bool:
    return bucket is not None and bucket.ts_close <= ts


def _fold_piece(book: Book, bar: BarClosed, turnover: Decimal | None, *, from_prints: bool) -> list[BarClosed]:
    length = bar.ts_close - bar.ts_open
    closed: list[BarClosed] = []
    for timeframe, longer in TIMEFRAMES.items():
        ts_open = bar.ts_open - bar.ts_open % longer
        if longer <= length or ts_open <= book.closed.get(timeframe, -1):
            continue
        bucket = book.buckets.get(timeframe)
        if bucket is None:
            bucket = book.buckets[timeframe] = _first_piece(bar, ts_open, longer, turnover, from_prints)
        elif bar.ts_open >= bucket.ts_next:
            _next_piece(bucket, bar, turnover, from_prints)
        if bucket.ts_next >= bucket.ts_close:
            closed.append(_close_bucket(book, bar.instrument_id, timeframe))
    return closed


def _first_piece(bar: BarClosed, ts_open: int, longer: int, turnover: Decimal | None, from_prints: bool) -> Bucket:
    length = bar.ts_close - bar.ts_open
    return Bucket(
        ts_open=ts_open,
        ts_close=ts_open + longer,
        ts_next=bar.ts_close,
        covered_us=length,
        open_price=bar.open_price,
        high_price=bar.high_price,
        low_price=bar.low_price,
        close_price=bar.close_price,
        base_volume=bar.base_volume,
        turnover=turnover,
        tick_count=bar.tick_count,
        complete=bar.complete,
        quality=bar.quality,
        backfill=bar.backfill,
        from_prints=from_prints,
        piece_us=length,
    )


def _next_piece(bucket: Bucket, bar: BarClosed, turnover: Decimal | None, from_prints: bool) -> None:
    bucket.ts_next = bar.ts_close
    bucket.covered_us += bar.ts_close - bar.ts_open
    bucket.high_price = max(bucket.high_price, bar.high_price)
    bucket.low_price = min(bucket.low_price, bar.low_price)
    bucket.close_price = bar.close_price
    bucket.base_volume += bar.base_volume
    bucket.turnover = None if turnover is None or bucket.turnover is None else bucket.turnover + turnover
    bucket.tick_count += bar.tick_count
    bucket.complete = bucket.complete and bar.complete
    bucket.quality = worst(bucket.quality, bar.quality)
    bucket.backfill = bar.backfill
    bucket.from_prints = bucket.from_prints and from_prints
    bucket.piece_us = bar.ts_close - bar.ts_open


def _close_bucket(book: Book, instrument_id: str, timeframe: str) -> BarClosed:
    bucket = book.buckets.pop(timeframe)
    book.closed[timeframe] = bucket.ts_open
    watched = bucket.from_prints and book.watched_from <= bucket.ts_open and not book.gap
    covered = bucket.covered_us == bucket.ts_close - bucket.ts_open
    turnover, volume = bucket.turnover, bucket.base_volume
    return BarClosed(
        instrument_id=instrument_id,
        timeframe=timeframe,
        ts_open=Micros(bucket.ts_open),
        ts_close=Micros(bucket.ts_close),
        open_price=Price(bucket.open_price),
        high_price=Price(bucket.high_price),
        low_price=Price(bucket.low_price),
        close_price=Price(bucket.close_price),
        base_volume=Quantity(volume),
        tick_count=bucket.tick_count,
        vwap=None if turnover is None or not volume else price(turnover / volume),
        quality=bucket.quality,
        complete=bucket.complete and (covered or watched),
        backfill=bucket.backfill,
    )
