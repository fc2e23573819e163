"""Read what a source answered: text, JSON, numbers and moments, strictly and within bounds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.values import SECOND, Micros, Ratio, ratio
from services.adapters.errors import garbage
from services.adapters.fetching import Body

NUMBER_MAX = Decimal(10) ** 24
"""Nothing a source measures comes near; a larger number is a mistake or an attack."""
TEXT_MAX = 300
URL_MAX = 2_000
ID_MAX = 200
MOMENT_MAX = 4_102_444_800
"""2100-01-01, seconds since 1970."""
_NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,40})?([eE][+-]?\d{1,2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_TAG = re.compile(r"<[^<>]{0,500}>")


def text_of(body: Body) -> str:
    """Return a body as UTF-8 text. Raises SourceError."""
    try:
        return body.content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise garbage(f"not UTF-8 text: byte {error.start}") from error


def json_of(text: str) -> Any:
    """Return JSON, every number a Decimal or an int. Raises SourceError."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError) as error:
        raise garbage(f"not JSON: {str(error)[:80]}") from error
    except RecursionError as error:
        raise garbage("not JSON: nested too deep") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def number(value: object, what: str) -> Ratio:
    """Return a number as the log takes it, rounded to its scale. Raises SourceError for anything else, named."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        found = Decimal(value.strip())
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        found = Decimal(value)
    else:
        raise garbage(f"{what} is no number")
    if not -NUMBER_MAX < found < NUMBER_MAX:
        raise garbage(f"{what} is too large a number")
    return ratio(found)


def moment(value: object, what: str, *, per_second: int = 1) -> Micros:
    """Return a moment given as a count since 1970, ``per_second`` of them a second. Raises SourceError."""
    found = number(value, what) / per_second
    if not 0 < found < MOMENT_MAX:
        raise garbage(f"{what} is no moment between 1970 and 2100")
    return Micros(int(found * SECOND))


def iso_moment(text: str) -> Micros | None:
    """Return a moment written as ISO 8601 with its zone; None where it is not one."""
    try:
        return Micros((datetime.fromisoformat(text.strip()) - _EPOCH) // timedelta(microseconds=1))
    except (ValueError, TypeError, OverflowError):
        return None


def member(content: object, *path: str | int) -> Any:
    """Return what lies at a path of keys and indexes. Raises SourceError naming the first step that is not there."""
    found: Any = content
    for number_of, step in enumerate(path, start=1):
        try:
            found = found[step]
        except (LookupError, TypeError) as error:
            raise garbage(f"{'.'.join(map(str, path[:number_of]))} is missing") from error
    return found


def rows(content: object, what: str, *, rows_max: int) -> list[Any]:
    """Return a list of at most so many. Raises SourceError."""
    if not isinstance(content, list):
        raise garbage(f"{what} is no list")
    if len(content) > rows_max:
        raise garbage(f"{what} has more than {rows_max} rows")
    return content


def words(value: object, length_max: int = TEXT_MAX) -> str:
    """Return text as one line without markup, control and direction characters, cut to length; not text: empty."""
    if not isinstance(value, str):
        return ""
    line = _UNPRINTABLE.sub(" ", _TAG.sub(" ", value[: 10 * length_max]))
    return " ".join(line.split())[:length_max]


def link(value: object) -> str:
    """Return an http(s) URL as text; empty where it is none or too long."""
    if not isinstance(value, str) or len(value) > URL_MAX or not value.startswith(("https://", "http://")):
        return ""
    return "" if _UNPRINTABLE.search(value) or " " in value else value
