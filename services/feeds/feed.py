"""One feed out of many files: merged in feed order, announced, clipped, counted, streamed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import merge
from pathlib import Path

from schemas.envelope import Event
from schemas.events.market import (
    BookTop,
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.ids import derive_id
from schemas.values import SECOND
from services.feeds.detect import open_sources
from services.feeds.instruments import load_instruments, shipped_instruments
from services.feeds.model import (
    RANK_CONTEXT,
    TRADES_CADENCE,
    Declared,
    FeedError,
    FileCount,
    Item,
    Run,
    Source,
    Tick,
    make_envelope,
)

PRODUCER = "tapeline/0.1.0"
"""Written into the envelope of every tick where the caller names no other."""

WARMUP = timedelta(days=3)
"""History before the first decision on bars: 200 bars of 15 minutes and what the regime needs. Source: section 9."""

RAW_MARK_CADENCE = 10 * SECOND
"""Cadence declared for mark and index prices of a raw recording. Source: OKX v5: pushed at least every 10 s."""

_CHANNELS: dict[type[Event], tuple[Channel, int | None]] = {
    Trade: (Channel.TRADES, TRADES_CADENCE),
    Quote: (Channel.QUOTES, None),
    BookTop: (Channel.BOOK, None),
    VenueBar: (Channel.BARS, None),
    MarkPrice: (Channel.MARK, RAW_MARK_CADENCE),
    IndexPrice: (Channel.INDEX, RAW_MARK_CADENCE),
    FundingRate: (Channel.FUNDING, None),
    FundingSettled: (Channel.FUNDING, None),
}


@dataclass(frozen=True, slots=True)
class FeedSummary:
    """What was read, for the run's summary.

    ``passed_over``: files of a named folder that are none of the known formats.
    ``funding_missing``: settlements inside the period without a row, by instrument; no entry: no funding at all.
    ``mark_cadence_us``: by instrument, None where the marks have no fixed cadence; no entry: no marks at all.
    """

    origin: FeedOrigin
    venues: tuple[str, ...]
    instruments: tuple[str, ...]
    files: tuple[FileCount, ...]
    passed_over: tuple[str, ...]
    lines: int
    ticks: dict[str, int]
    quarantined: int
    backfill_bars: int
    ts_first: int | None
    ts_last: int | None
    mark_cadence_us: dict[str, int | None]
    funding_missing: dict[str, int]


@dataclass(slots=True)
class _Tally:
    """What has passed so far."""

    ticks: dict[str, int] = field(default_factory=dict)
    backfill_bars: int = 0
    ts_first: int | None = None
    ts_last: int | None = None
    marks: set[str] = field(default_factory=set)
    last_settled: dict[str, int] = field(default_factory=dict)
    funding_missing: dict[str, int] = field(default_factory=dict)


class Feed:
    """An iterator of ticks in feed order; ``summary()`` tells what has passed so far, complete once it is exhausted."""

    def __init__(
        self,
        sources: Sequence[Source],
        run: Run,
        *,
        instruments: Collection[str] | None = None,
        start: int | None = None,
        end: int | None = None,
        warmup: timedelta | None = None,
        passed_over: Sequence[str] = (),
    ) -> None:
        self._passed_over = tuple(passed_over)
        self._sources = [source for source in sources if _wanted(source, instruments)]
        if not self._sources:
            raise FeedError("no file of the feed holds a wanted instrument")
        self._run = run
        self._instruments = instruments
        self._start = start
        self._end = end
        self._tally = _Tally()
        self._primary_left = sum(source.primary for source in self._sources)
        self._opened: dict[str, set[type[Event]]] = {}
        declared = [entry for source in self._sources for entry in source.declared]
        self._declared = sorted(declared, key=lambda d: (d.instrument_id, d.channel.value, d.cadence_us or 0))
        self._cadence = {(d.instrument_id, d.channel): d.cadence_us for d in reversed(self._declared)}
        self._set_backfill(warmup)
        self._ticks = self._stream()

    @property
    def origin(self) -> FeedOrigin:
        """Where the data comes from; SYNTHETIC as soon as one source is."""
        synthetic = any(source.origin is FeedOrigin.SYNTHETIC for source in self._sources)
        return FeedOrigin.SYNTHETIC if synthetic else self._sources[0].origin

    def __iter__(self) -> Iterator[Tick]:
        return self

    def __next__(self) -> Tick:
        return next(self._ticks)

    def summary(self) -> FeedSummary:
        """Return what has been read so far."""
        tally, counts = self._tally, [count for source in self._sources for count in source.counts]
        return FeedSummary(
            origin=self.origin,
            venues=tuple(sorted({source.venue for source in self._sources})),
            instruments=tuple(sorted(name for name in self._opened if name)),
            files=tuple(counts),
            passed_over=self._passed_over,
            lines=sum(count.lines for count in counts),
            ticks=dict(sorted(tally.ticks.items())),
            quarantined=sum(count.quarantined for count in counts),
            backfill_bars=tally.backfill_bars,
            ts_first=tally.ts_first,
            ts_last=tally.ts_last,
            mark_cadence_us={name: self._cadence.get((name, Channel.MARK)) for name in sorted(tally.marks)},
            funding_missing=self._funding_missing(),
        )

    def _set_backfill(self, warmup: timedelta | None) -> None:
        bars = [opened for source in self._sources if source.primary and (opened := source.first_open()) is not None]
        only_bars = len(bars) == self._primary_left
        length = warmup if warmup is not None else WARMUP if only_bars else timedelta(0)
        if bars:
            self._run.backfill_until = max(min(bars), self._start or 0) + length // timedelta(microseconds=1)

    def _stream(self) -> Iterator[Tick]:
        """Yield every tick; that quotes ended is said once something else goes on, so not at the feed's own end."""
        ended: list[Item] = []
        for item in self._clipped(merge(*self._heads())):
            event = item[6]
            if type(event) is FeedStatus and event.state is FeedState.ENDED:
                ended.append(item)
                continue
            for before in ended:
                self._count(before)
                yield before[5], before[6]
            ended.clear()
            known = self._opened.get(item[2])
            if known is None or type(event) not in known:
                yield from self._announce(item)
            self._count(item)
            yield item[5], event

    def _heads(self) -> list[Iterator[Item]]:
        """Open every source; start the marks and funding one cadence before the first bar, trade or quote."""
        opened = [(source, self._with_end(source, number)) for number, source in enumerate(self._sources)]
        primary = [self._counted(items) for source, items in opened if source.primary]
        heads = [(head, items) for items in primary if (head := next(items, None)) is not None]
        first = min((head[0] for head, _ in heads), default=0)
        result: list[Iterator[Item]] = [_chain(head, items) for head, items in heads]
        for source, items in opened:
            if not source.primary:
                lead = max((d.cadence_us or 0 for d in source.declared), default=0)
                result.append(_from(items, first - lead))
        return result

    def _with_end(self, source: Source, number: int) -> Iterator[Item]:
        """Yield a source's ticks, and after the last of them that its quotes have ended: none of them is news now."""
        quoted: dict[tuple[str, Channel], None] = {}
        item: Item | None = None
        for item in source.items(self._run, number):
            kind = type(item[6])
            if kind is Quote or kind is BookTop:
                quoted[item[2], _CHANNELS[kind][0]] = None
            yield item
        for name, channel in sorted(quoted):
            assert item is not None
            event = FeedStatus(name, channel, FeedState.ENDED, self.origin, source.name)
            envelope, _ = self._wrapped(event, name, f"{channel}|{FeedState.ENDED}|{number}|{item[0]}", item[0])
            yield item[0], RANK_CONTEXT, name, number, item[4] + 1, envelope, event

    def _counted(self, items: Iterator[Item]) -> Iterator[Item]:
        yield from items
        self._primary_left -= 1

    def _clipped(self, items: Iterable[Item]) -> Iterator[Item]:
        """Drop what the caller did not ask for, and marks and funding later than the last bar, trade or quote."""
        has_primary, last = self._primary_left > 0, 0
        for item in items:
            ts = item[0]
            if has_primary:
                if self._primary_left == 0 and ts > last:
                    return
                last = ts
            if self._end is not None and ts >= self._end:
                return
            if (self._start is None or ts >= self._start) and (
                self._instruments is None or not item[2] or item[2] in self._instruments
            ):
                yield item

    def _announce(self, item: Item) -> Iterator[Tick]:
        """Yield what must be known before this tick: every instrument and channel known by now, in a fixed order."""
        ts = item[0]
        if not self._opened:
            for name in sorted({entry.instrument_id for entry in self._declared}):
                yield self._define(name, ts)
            for entry in self._declared:
                yield from self._open(entry, ts)
        name, kind = item[2], type(item[6])
        if name and name not in self._opened:
            yield self._define(name, ts)
        if kind in _CHANNELS and kind not in self._opened[name]:
            channel, cadence = _CHANNELS[kind]
            yield from self._open(Declared(name, channel, cadence), ts)
        self._opened.setdefault(name, set()).add(kind)

    def _define(self, name: str, ts: int) -> Tick:
        event = self._run.instrument(name, "feed")
        self._opened[name] = set()
        return self._own(event, name, f"{event.source}|{ts}", ts)

    def _open(self, entry: Declared, ts: int) -> Iterator[Tick]:
        kinds = {kind for kind, (channel, _) in _CHANNELS.items() if channel is entry.channel}
        if kinds & self._opened[entry.instrument_id]:
            return
        self._opened[entry.instrument_id] |= kinds
        names = sorted(self._files_of(entry))
        event = FeedStatus(
            entry.instrument_id, entry.channel, FeedState.OPEN, self.origin, ", ".join(names), entry.cadence_us
        )
        yield self._own(event, entry.instrument_id, f"{entry.channel}|{ts}", ts)

    def _files_of(self, entry: Declared) -> set[str]:
        """Return the files that declare the channel, or else those that declare nothing: the raw recordings."""
        key = (entry.instrument_id, entry.channel)
        declaring = {s.name for s in self._sources if key in {(d.instrument_id, d.channel) for d in s.declared}}
        return declaring or {s.name for s in self._sources if not s.declared}

    def _own(self, event: Event, instrument_id: str, identity: str, ts: int) -> Tick:
        kind = type(event).__name__
        self._tally.ticks[kind] = self._tally.ticks.get(kind, 0) + 1
        return self._wrapped(event, instrument_id, identity, ts)

    def _wrapped(self, event: Event, instrument_id: str, identity: str, ts: int) -> Tick:
        event_id = derive_id("tick", instrument_id, type(event).__name__, identity)
        return make_envelope(event_id, ts, ts, self._run.producer), event

    def _count(self, item: Item) -> None:
        tally, event, ts = self._tally, item[6], item[0]
        kind = type(event).__name__
        tally.ticks[kind] = tally.ticks.get(kind, 0) + 1
        if tally.ts_first is None:
            tally.ts_first = ts
        tally.ts_last = ts
        if type(event) is VenueBar:
            tally.backfill_bars += event.backfill
        elif type(event) is MarkPrice:
            tally.marks.add(event.instrument_id)
        elif type(event) is FundingSettled:
            self._count_settled(event.instrument_id, event.ts_funding)

    def _count_settled(self, name: str, ts: int) -> None:
        tally, cadence = self._tally, self._cadence.get((name, Channel.FUNDING))
        last = tally.last_settled.get(name)
        if last is not None and cadence:
            missing = max(0, round_div(ts - last, cadence) - 1)
            tally.funding_missing[name] = tally.funding_missing.get(name, 0) + missing
        tally.last_settled[name] = ts

    def _funding_missing(self) -> dict[str, int]:
        """Return the settlements without a row, those after the last row included."""
        tally, result = self._tally, {}
        for name, last in sorted(tally.last_settled.items()):
            cadence = self._cadence.get((name, Channel.FUNDING)) or 0
            tail = ((tally.ts_last or last) - last) // cadence if cadence else 0
            result[name] = tally.funding_missing.get(name, 0) + tail
        return result


def round_div(value: int, step: int) -> int:
    """Return value / step rounded to the nearest whole number, halves up."""
    return (value + step // 2) // step


def _chain(head: Item, items: Iterator[Item]) -> Iterator[Item]:
    yield head
    yield from items


def _from(items: Iterator[Item], ts: int) -> Iterator[Item]:
    return (item for item in items if item[0] >= ts)


def _wanted(source: Source, instruments: Collection[str] | None) -> bool:
    if instruments is None or not source.declared:
        return True
    return any(d.instrument_id in instruments for d in source.declared)


def open_feed(
    paths: Sequence[Path],
    *,
    instruments_file: Path | None = None,
    warmup: timedelta | None = None,
    instruments: Collection[str] | None = None,
    start: int | None = None,
    end: int | None = None,
    producer: str = PRODUCER,
) -> Feed:
    """Return the feed of these files and folders, in feed order whatever order they are named in.

    ``instruments_file``: OKX's own reply, in force over the shipped table. ``warmup``: bars that close within it, from
    the first bar's open, are history (default 3 days where the feed is bars only, else none). ``start``, ``end``:
    microseconds, ``end`` exclusive. Raises FeedError naming a file that is missing or of no known format, or an
    unknown instrument; the iteration raises it where a file is damaged.
    """
    known: dict[str, InstrumentDefined] = dict(shipped_instruments())
    if instruments_file is not None:
        known.update(load_instruments(instruments_file))
    run = Run(known, producer)
    sources, passed_over = open_sources(paths)
    for source in sources:
        for entry in source.declared if _wanted(source, instruments) else ():
            run.instrument(entry.instrument_id, source.name)
    return Feed(sources, run, instruments=instruments, start=start, end=end, warmup=warmup, passed_over=passed_over)
