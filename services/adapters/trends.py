"""Search interest as Google Trends exports it: its CSV (also as tables made of it), and its two forms of JSON.

Of each keyword the newest whole period is taken, and the one under way. An export is normalised within itself, so that
the values of two exports do not compare; older periods in it say nothing that was not known before.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from schemas.events.context import TrendPoint
from schemas.values import SECOND, Micros, Ratio
from services.adapters.errors import SourceError, garbage
from services.adapters.fetching import Body
from services.adapters.reading import iso_moment, json_of, member, moment, number, rows, text_of, words

ROWS_MAX = 20_000
KEYWORDS_MAX = 5
"""Google Trends compares five at most."""
DAY = 86_400 * SECOND
_TIME_COLUMNS = ("day", "week", "month", "time", "date", "datetime")
_PARTIAL, _IGNORED = "ispartial", ("window",)
_PREFIX = ")]}',"
"""What the export's JSON begins with, so that no browser runs it."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One period. ``values``: by keyword. ``partial``: the export says it is under way."""

    ts: Micros
    values: dict[str, Ratio]
    partial: bool


def parse_trends(source: str, body: Body, *, now: int) -> tuple[TrendPoint, ...]:
    """Return each keyword's newest whole period and the one under way, oldest first. Raises SourceError."""
    text = text_of(body).strip()
    found = _json_rows(text) if text.startswith(("{", _PREFIX)) else _csv_rows(text)
    periods = sorted(found, key=lambda row: row.ts)
    if len(periods) < 2:
        return ()  # one row alone does not tell how long its period is
    length = min(b.ts - a.ts for a, b in pairwise(periods))
    if length <= 0:
        raise garbage("two rows of one time")
    points = [point for row in periods for point in _points(source, row, length, now)]
    return _newest(points)


def _points(source: str, row: _Row, length: int, now: int) -> Iterator[TrendPoint]:
    ts_to = Micros(row.ts + length)
    for keyword, value in row.values.items():
        yield TrendPoint(source, keyword, value, row.ts, ts_to, partial=row.partial or ts_to > now)


def _newest(points: Iterable[TrendPoint]) -> tuple[TrendPoint, ...]:
    """Return the last point of each keyword, whole and partial."""
    last = {(point.keyword, point.partial): point for point in points}
    return tuple(sorted(last.values(), key=lambda point: (point.ts_from, point.keyword)))


def _csv_rows(text: str) -> Iterator[_Row]:
    """Yield the rows after the heading, the first line whose first cell names a time."""
    try:
        lines = [line for line in csv.reader(text.splitlines()) if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise garbage(f"not CSV: {str(error)[:80]}") from error
    start = next((n for n, line in enumerate(lines) if line[0].strip().lower() in _TIME_COLUMNS), None)
    if start is None:
        raise garbage(f"no heading: a first cell of {', '.join(_TIME_COLUMNS)}")
    heading = [cell.partition(":")[0].strip() for cell in lines[start]]
    if len(lines) - start > ROWS_MAX:
        raise garbage(f"more than {ROWS_MAX} rows")
    for line in lines[start + 1 :]:
        yield _csv_row(heading, line)


def _csv_row(heading: list[str], line: list[str]) -> _Row:
    if len(line) != len(heading):
        raise garbage(f"row {line[0][:40]!r} has {len(line)} cells, the heading {len(heading)}")
    values: dict[str, Ratio] = {}
    partial = False
    for name, cell in zip(heading[1:], line[1:], strict=True):
        if name.lower() == _PARTIAL:
            partial = cell.strip().lower() in ("true", "1")
        elif name.lower() not in _IGNORED and cell.strip():
            values[words(name, 80)] = _interest(cell, f"{name} of {line[0]}"[:80])
    return _Row(_time(line[0]), _few(values), partial)


def _time(cell: str) -> Micros:
    """Return a day, month or hour as exported; without a zone it is UTC."""
    text = cell.strip()
    text = f"{text}-01" if len(text) == len("2023-01") else text
    found = iso_moment(text if "+" in text or text.endswith("Z") else f"{text if 'T' in text else text + 'T00'}+00:00")
    if found is None:
        raise garbage(f"{cell[:40]!r} is no day, month or hour")
    return found


def _interest(cell: object, what: str) -> Ratio:
    """Return a value; the export writes ``<1`` for less than one."""
    return number("0" if isinstance(cell, str) and cell.strip() == "<1" else cell, what)


def _few(values: dict[str, Ratio]) -> dict[str, Ratio]:
    if len(values) > KEYWORDS_MAX:
        raise garbage(f"more than {KEYWORDS_MAX} keywords")
    return values


def _json_rows(text: str) -> Iterator[_Row]:
    content = json_of(text.removeprefix(_PREFIX).strip())
    try:
        timeline = member(content, "interest_over_time", "timeline_data")
    except SourceError:
        yield from map(_widget_row, rows(member(content, "default", "timelineData"), "timelineData", rows_max=ROWS_MAX))
    else:
        yield from map(_api_row, rows(timeline, "timeline_data", rows_max=ROWS_MAX))


def _api_row(row: object) -> _Row:
    """Read a row that names its keywords: ``timestamp``, ``values`` of ``query`` and ``extracted_value``."""
    found = rows(member(row, "values"), "values", rows_max=KEYWORDS_MAX)
    values = {
        words(member(each, "query"), 80): _interest(member(each, "extracted_value"), "extracted_value")
        for each in found
    }
    partial = isinstance(row, dict) and bool(row.get("partial_data"))
    return _Row(moment(member(row, "timestamp"), "timestamp"), values, partial)


def _widget_row(row: object) -> _Row:
    """Read a row that has its values by place: ``time``, ``value``; the keywords are not in it."""
    found = rows(member(row, "value"), "value", rows_max=KEYWORDS_MAX)
    values = {f"keyword {place}": _interest(each, "value") for place, each in enumerate(found, start=1)}
    return _Row(
        moment(member(row, "time"), "time"), values, isinstance(row, dict) and row.get("isPartial") in (True, "true")
    )
