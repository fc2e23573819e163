"""What raw WebSocket recordings share: files chained into one stream, feed order at equal times, gap events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol

from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus
from services.feeds.lines import LineReader
from services.feeds.model import RANK_TICK, Declared, FeedError, FileCount, Item, Parsed, Run

PREFIXED = re.compile(r"(\d{10,19}) (.+)", re.DOTALL)
"""``<local receive time> <message>``."""


class RawParser(Protocol):
    """Turns the lines of a chain of files into ticks; keeps books and sequence numbers from file to file."""

    def parse(self, line: str, count: FileCount) -> Sequence[Parsed]:
        """Return the ticks of one line; a line without any is counted with its reason."""
        ...


class RawRecording:
    """A source of raw messages: one file, or the files of one stream read one after the other.

    ``key``: what makes two files one stream. ``first_stamp``: local time of the first line, which orders them.
    """

    origin = FeedOrigin.RECORDED
    primary = True
    declared: Sequence[Declared] = ()

    def __init__(self, path: Path, venue: str, format_name: str, key: str, first_stamp: int) -> None:
        self.paths = [path]
        self.venue = venue
        self.key = key
        self.first_stamp = first_stamp
        self.format = format_name
        self.counts = [FileCount(path.name, format_name, venue)]

    @property
    def name(self) -> str:
        """The names of the files."""
        return ", ".join(path.name for path in self.paths)

    def first_open(self) -> int | None:
        """Return None: a raw recording is ticks, not history."""
        return None

    def joined(self, other: RawRecording) -> None:
        """Read the files of another recording of the same stream after ours."""
        self.paths += other.paths
        self.counts += other.counts

    def parser(self, run: Run) -> RawParser:
        """Return a fresh parser. Raises FeedError for an unknown instrument."""
        raise FeedError(f"{self.name}: no parser")

    def instrument_of_bad_lines(self) -> str:
        """Return the instrument a bad line is filed under."""
        return ""

    def items(self, run: Run, number: int) -> Iterator[Item]:
        """Yield the ticks of all files."""
        parser = self.parser(run)
        return in_feed_order(
            chain.from_iterable(
                self._file_items(path, count, parser, run, number)
                for path, count in zip(self.paths, self.counts, strict=True)
            )
        )

    def _file_items(self, path: Path, count: FileCount, parser: RawParser, run: Run, number: int) -> Iterator[Item]:
        reader = LineReader(path, count, venue=self.venue, instrument_id=self.instrument_of_bad_lines())
        return reader.items(lambda line: parser.parse(line, count), run, number)


def in_feed_order(items: Iterable[Item]) -> Iterator[Item]:
    """Yield recorded ticks as they came, sorted only inside a run of one ``ts_event``.

    A tick that came late keeps its own time in its envelope and the place it was recorded in: finding it out of order
    is the quality stage's work. Its place in the feed is the latest time before it, so that files merge going forward.
    """
    clock = 0
    run: list[Item] = []
    try:
        for number, item in enumerate(items):
            if item[0] > clock:
                run.sort()
                yield from run
                run = []
                clock = item[0]
            run.append((clock, item[1], item[2], item[3], number, item[5], item[6]))
    except FeedError:
        run.sort()
        yield from run
        raise
    run.sort()
    yield from run


def feed_status(
    instrument_id: str, channel: Channel, state: FeedState, source: str, ts: int, detail: str,
    *, origin: FeedOrigin = FeedOrigin.RECORDED, ts_ingest: int = 0, lost_us: int | None = None,
) -> Parsed:  # fmt: skip
    """Return the tick that says a channel was lost or is back, and then for how long it had been lost."""
    event = FeedStatus(instrument_id, channel, state, origin, source, None, detail, lost_us)
    return Parsed(ts, ts_ingest or ts, RANK_TICK, instrument_id, f"{channel}|{state}|{ts}|{detail}", event)
