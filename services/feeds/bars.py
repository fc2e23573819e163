"""Import files of bars, mark bars and funding rates: ``<INSTRUMENT>_[mark_|funding_]<interval>_<range>.csv[.gz]``.

The first column is the OPEN time of the bar in epoch milliseconds; a bar becomes known, and a tick, at its close.
Volume is in base currency. Of a mark bar only the close is used. A funding row is a settlement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from schemas.events.market import Channel, FeedOrigin, FundingSettled, MarkPrice, VenueBar
from schemas.values import Micros, Price, Quantity, Rate
from services.feeds.lines import LineReader, Parse, read_text
from services.feeds.model import (
    RANK_BAR,
    RANK_MARK,
    RANK_SETTLED,
    BadLine,
    Declared,
    FeedError,
    FileCount,
    Item,
    Parsed,
    Run,
)
from services.feeds.numbers import MINUTE, milliseconds, number, positive

BAR_HEADER = "ts_ms,open,high,low,close,volume_base"
MARK_HEADER = "ts_ms,open,high,low,close"
FUNDING_HEADER = "ts_ms,funding_rate"

SPACING_TOLERANCE = MINUTE
"""How far two settlements may be from a whole funding interval and still count as neighbours (recordings jitter)."""

# One match checks digits, scale and sign of a whole row; anything else takes the slow path, which names the field.
_PRICE = r"(\d{1,12}(?:\.\d{1,12})?)"
_ROW = re.compile(rf"(\d{{13}}),{_PRICE},{_PRICE},{_PRICE},{_PRICE},{_PRICE}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileShape:
    """What the name and the header of a bar file say. ``kind``: bars, mark or funding."""

    instrument_id: str
    venue: str
    kind: str
    timeframe: str
    interval_us: int


class BarFile:
    """A source of VenueBar, MarkPrice or FundingSettled ticks, one file, one instrument."""

    origin = FeedOrigin.RECORDED

    def __init__(self, path: Path, shape: FileShape) -> None:
        self.path = path
        self.name = path.name
        self.shape = shape
        self.venue = shape.venue
        self.primary = shape.kind == "bars"
        channel = {"bars": Channel.BARS, "mark": Channel.MARK, "funding": Channel.FUNDING}[shape.kind]
        self.declared: Sequence[Declared] = (Declared(shape.instrument_id, channel, shape.interval_us),)
        self.counts = [FileCount(path.name, f"{shape.kind} csv", shape.venue)]

    def first_open(self) -> int | None:
        """Return the open time of the first readable bar; None for marks and funding."""
        if not self.primary:
            return None
        for line in read_text(self.path):
            match = _ROW.fullmatch(line)
            if match is not None:
                return int(match[1]) * 1000
        return None

    def items(self, run: Run, number: int) -> Iterator[Item]:
        """Yield the ticks of the file."""
        run.instrument(self.shape.instrument_id, self.name)
        if self.shape.kind == "funding":
            return _funding_items(self, run, number)
        reader = LineReader(
            self.path, self.counts[0], venue=self.venue, header=1, instrument_id=self.shape.instrument_id
        )
        parse = _bar_parser(self.shape, run) if self.primary else _mark_parser(self.shape)
        return reader.items(parse, run, number)


def _bar_parser(shape: FileShape, run: Run) -> Parse:
    instrument_id, timeframe, interval = shape.instrument_id, shape.timeframe, shape.interval_us
    rank = RANK_BAR + interval // 1_000_000

    def parse(line: str) -> tuple[Parsed]:
        match = _ROW.fullmatch(line)
        groups = match.groups() if match is not None else _explain(line)
        opened = int(groups[0]) * 1000
        o, h, lo, c, v = map(Decimal, groups[1:])
        if not (0 < lo <= o <= h and lo <= c <= h):
            raise BadLine(f"open {o}, high {h}, low {lo}, close {c} are not a bar")
        if opened % interval:
            raise BadLine(f"ts_ms={groups[0]} is not the open of a {timeframe} bar")
        closed = opened + interval
        bar = VenueBar(
            instrument_id,
            timeframe,
            Micros(opened),
            Price(o),
            Price(h),
            Price(lo),
            Price(c),
            Quantity(v),
            closed <= run.backfill_until,
        )
        return (Parsed(closed, closed, rank, instrument_id, f"{timeframe}|{opened}", bar),)

    return parse


def _explain(line: str) -> tuple[str, ...]:
    """Return the fields of a row the fast pattern refused but that is readable after all; else say what is wrong."""
    fields = line.split(",")
    names = BAR_HEADER.split(",")
    if len(fields) != len(names):
        raise BadLine(f"{len(fields)} fields instead of {len(names)} ({BAR_HEADER})")
    milliseconds(fields[0], "ts_ms")
    for name, text in zip(names[1:5], fields[1:5], strict=True):
        positive(text, name, "Price")
    if number(fields[5], "volume_base", "Quantity") < 0:
        raise BadLine(f"volume_base={fields[5]!r} is negative")
    return tuple(fields)


def _mark_parser(shape: FileShape) -> Parse:
    instrument_id, interval = shape.instrument_id, shape.interval_us

    def parse(line: str) -> tuple[Parsed]:
        fields = line.split(",")
        if len(fields) != 5:
            raise BadLine(f"{len(fields)} fields instead of 5 ({MARK_HEADER})")
        closed = milliseconds(fields[0], "ts_ms") + interval
        mark = MarkPrice(instrument_id, Price(positive(fields[4], "close", "Price")))
        return (Parsed(closed, closed, RANK_MARK, instrument_id, str(closed), mark),)

    return parse


def _funding_items(source: BarFile, run: Run, number: int) -> Iterator[Item]:
    """Yield settlements one row late, so that each knows when the next one came."""
    shape = source.shape
    reader = LineReader(source.path, source.counts[0], venue=source.venue, header=1, instrument_id=shape.instrument_id)
    held: Item | None = None
    try:
        for item in reader.items(_funding_parser(shape), run, number):
            if held is not None:
                yield _with_next(held, item[0], shape.interval_us)
            held = item
    except FeedError:
        if held is not None:
            yield held
        raise
    if held is not None:
        yield held


def _with_next(item: Item, ts_next: int, interval: int) -> Item:
    event = item[6]
    regular = 0 < ts_next - item[0] <= interval + SPACING_TOLERANCE
    if not isinstance(event, FundingSettled) or not regular:
        return item
    known = FundingSettled(event.instrument_id, event.funding_rate, event.ts_funding, Micros(ts_next))
    return (*item[:6], known)


def _funding_parser(shape: FileShape) -> Callable[[str], tuple[Parsed]]:
    instrument_id = shape.instrument_id

    def parse(line: str) -> tuple[Parsed]:
        fields = line.split(",")
        if len(fields) != 2:
            raise BadLine(f"{len(fields)} fields instead of 2 ({FUNDING_HEADER})")
        ts = milliseconds(fields[0], "ts_ms")
        rate = number(fields[1], "funding_rate", "Rate")
        if abs(rate) >= 1:
            raise BadLine(f"funding_rate={fields[1]!r} is not a rate")
        settled = FundingSettled(instrument_id, Rate(rate), Micros(ts))
        return (Parsed(ts, ts, RANK_SETTLED, instrument_id, str(ts), settled),)

    return parse
