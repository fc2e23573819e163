"""Read the lines of a recorded file, plain, .gz or .zip, and turn them into ticks, setting bad lines aside."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from schemas.events.market import LineQuarantined
from schemas.ids import derive_id
from services.feeds.model import RANK_CONTEXT, FeedError, FileCount, Item, Parsed, Run, make_envelope, tick_id

WINDOW = 1000
"""Lines over which bad lines are counted."""
BAD_LINES_MAX = 50
"""Bad lines in one window that end the import: 5 %."""
RAW_MAX = 2000
"""Characters of a bad line that are kept."""

Parse = Callable[[str], Sequence[Parsed]]
"""Turn one line, without its end, into ticks; ValueError, ArithmeticError, LookupError, TypeError: a bad line."""


def read_text(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends. Raises FeedError when it cannot be opened or its end is missing."""
    number = 0
    try:
        for line in _open_lines(path):
            number += 1
            yield line.rstrip("\r\n")
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise FeedError(
            f"{path.name}: damaged after line {number}: {error}. The file is truncated or corrupt; "
            "what was read before stays imported. Fetch the file again and import it once more: known ticks are skipped"
        ) from error
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror or error}") from error


def _open_lines(path: Path) -> Iterator[str]:
    if path.suffix == ".zip":
        yield from _zip_lines(path)
        return
    with ExitStack() as stack:
        binary: io.BufferedIOBase
        if path.suffix == ".gz":
            binary = stack.enter_context(gzip.open(path, "rb"))
        else:
            binary = stack.enter_context(path.open("rb"))
        yield from io.TextIOWrapper(binary, encoding="utf-8", errors="replace", newline="\n")


def _zip_lines(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".csv"):
                with archive.open(name) as member:
                    yield from io.TextIOWrapper(member, encoding="utf-8", errors="replace", newline="\n")


class LineReader:
    """Turn the lines of one file into items. ``header``: how many lines come before the data; they are not counted."""

    def __init__(self, path: Path, count: FileCount, *, venue: str, header: int = 0, instrument_id: str = "") -> None:
        self.path = path
        self.count = count
        self.venue = venue
        self.header = header
        self.instrument_id = instrument_id
        self._held: list[tuple[int, str, str]] = []
        self._window_end = WINDOW
        self._window_bad = 0
        self._position = 0
        self._last = 0

    def items(self, parse: Parse, run: Run, number: int) -> Iterator[Item]:
        """Yield the ticks of the file in its order. Raises FeedError at a damaged end or too many bad lines."""
        try:
            yield from self._read(parse, run, number)
        except FeedError:
            if self._held and self._last:
                yield from self._quarantined(self._last, RANK_CONTEXT, run.producer, number)
            raise
        if self._held:
            yield from self._quarantined(self._last_resort(), RANK_CONTEXT, run.producer, number)

    def _read(self, parse: Parse, run: Run, number: int) -> Iterator[Item]:
        count, venue, producer = self.count, self.venue, run.producer
        for line_number, line in enumerate(read_text(self.path), 1):
            if line_number <= self.header or not line:
                continue
            count.lines += 1
            try:
                found = parse(line)
            except (ValueError, ArithmeticError, LookupError, TypeError) as error:
                self._set_aside(line_number, line, error)
                continue
            for parsed in found:
                if self._held:
                    yield from self._quarantined(parsed.ts_event, parsed.rank, producer, number)
                self._last = ts = parsed.ts_event
                count.ticks += 1
                self._position += 1
                envelope = make_envelope(tick_id(venue, parsed), ts, parsed.ts_ingest, producer)
                yield (ts, parsed.rank, parsed.instrument_id, number, self._position, envelope, parsed.event)

    def _last_resort(self) -> int:
        if not self._last:
            raise FeedError(f"{self.path.name}: no line could be read; the first reason: {self._held[0][1]}")
        return self._last

    def _set_aside(self, line_number: int, line: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
        self._held.append((line_number, reason, line[:RAW_MAX]))
        if self.count.lines > self._window_end:
            self._window_end = self.count.lines + WINDOW
            self._window_bad = 0
        self._window_bad += 1
        if self._window_bad > BAD_LINES_MAX:
            raise FeedError(
                f"{self.path.name}: line {line_number}: more than {BAD_LINES_MAX} of {WINDOW} lines cannot be read; "
                f"this one: {reason}. Is it really a file of the format {self.count.format}?"
            )

    def _quarantined(self, ts: int, rank: int, producer: str, number: int) -> Iterator[Item]:
        for line_number, reason, raw in self._held:
            self.count.quarantined += 1
            self._position += 1
            event = LineQuarantined(self.instrument_id, self.path.name, line_number, reason, raw)
            event_id = derive_id("tick", "LineQuarantined", self.path.name, line_number, raw)
            envelope = make_envelope(event_id, ts, ts, producer)
            yield (ts, rank, self.instrument_id, number, self._position, envelope, event)
        self._held.clear()
