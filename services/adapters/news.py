"""News: RSS and Atom through feedparser, and JSON in the shape of CryptoPanic.

A feed is gone through once by the XML parser alone before feedparser sees it: entities of its own are refused (they
can unfold to gigabytes), as are depth and numbers no feed has. What feedparser gets is text we have decoded ourselves,
so that both read the same.
"""

from __future__ import annotations

import calendar
import codecs
import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any
from xml.parsers import expat

import feedparser

from schemas.events.context import NewsItem
from schemas.ids import derive_id
from schemas.values import SECOND, Micros
from services.adapters.errors import garbage
from services.adapters.fetching import Body
from services.adapters.reading import (
    ID_MAX,
    MOMENT_MAX,
    URL_MAX,
    iso_moment,
    json_of,
    link,
    member,
    rows,
    text_of,
    words,
)

ITEMS_MAX = 100
"""Items of one answer that are taken, the newest."""
DEPTH_MAX = 50
ELEMENTS_MAX = 20_000
ATTRIBUTES_MAX = 100
"""Of one element; the feed parser takes minutes for tens of thousands."""
_ENCODINGS = frozenset(
    ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "gbk",
     "shift_jis", "euc_jp", "euc_kr", "cp1251", "koi8-r")
)  # fmt: skip
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]{0,200}\?>")
_ENTITY = re.compile(r"<!\s*(ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)


def parse_feed(source: str, body: Body) -> tuple[NewsItem, ...]:
    """Return the items of an RSS or Atom feed, the newest ITEMS_MAX, oldest first. Raises SourceError."""
    text = _checked(_decoded(body))
    parsed = feedparser.parse(
        BytesIO(text.encode("utf-8")),  # bytes or a path would be opened
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    if not parsed.get("version"):
        raise garbage("neither RSS nor Atom")
    return _newest(_feed_item(source, entry) for entry in parsed.entries)


def parse_cryptopanic(source: str, body: Body) -> tuple[NewsItem, ...]:
    """Return the posts of an answer in the shape of CryptoPanic, the newest ITEMS_MAX, oldest first.

    Raises SourceError. Source: CryptoPanic developer API, posts: results[] with id, title, published_at, url.
    """
    results = rows(member(json_of(text_of(body)), "results"), "results", rows_max=1_000)
    return _newest(_post(source, row) for row in results)


def _decoded(body: Body) -> str:
    """Return the text of an XML document in the encoding that HTTP, its first bytes or its declaration name."""
    declared = _DECLARED.search(body.content[:300])
    named = body.charset or _by_mark(body.content) or (declared[1].decode() if declared else "utf-8")
    try:
        encoding = codecs.lookup(named).name
    except LookupError as error:
        raise garbage(f"unknown encoding {named[:40]!r}") from error
    if encoding not in _ENCODINGS:
        raise garbage(f"encoding {encoding} is not read")
    try:
        return body.content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise garbage(f"not {encoding} text: byte {error.start}") from error


def _by_mark(content: bytes) -> str:
    return "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def _checked(text: str) -> str:
    """Return a document without its declaration, if it is harmless XML. Raises SourceError.

    Names HTML knows and XML does not (``&nbsp;``) are common in feeds and pass.
    """
    text = _DECLARATION.sub("", text, count=1)
    if _ENTITY.search(text):
        raise garbage("it declares entities of its own: refused")
    guard = _Guard()
    parser = expat.ParserCreate()
    parser.UseForeignDTD(True)  # unknown names are passed over instead of ending it; nothing is loaded
    parser.StartElementHandler, parser.EndElementHandler = guard.start, guard.end
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise garbage(f"not well-formed XML: {str(error)[:80]}") from error
    return text


class _Guard:
    """Counts depth, elements and attributes, and stops the parser where no feed goes."""

    def __init__(self) -> None:
        self._depth = self._elements = 0

    def start(self, _name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_MAX:
            raise garbage(f"XML nested deeper than {DEPTH_MAX}")
        if self._elements > ELEMENTS_MAX:
            raise garbage(f"more than {ELEMENTS_MAX} XML elements")
        if len(attributes) > ATTRIBUTES_MAX:
            raise garbage(f"an XML element with more than {ATTRIBUTES_MAX} attributes")

    def end(self, _name: str) -> None:
        self._depth -= 1


def _newest(items: Iterable[NewsItem | None]) -> tuple[NewsItem, ...]:
    found = {item.item_id: item for item in items if item is not None}
    return tuple(sorted(found.values(), key=lambda item: (item.ts_published or 0, item.item_id))[-ITEMS_MAX:])


def _feed_item(source: str, entry: Any) -> NewsItem | None:
    title, url = words(entry.get("title")), link(entry.get("link"))
    return _item(source, words(entry.get("id"), URL_MAX) or url or title, title, url, _published(entry))


def _published(entry: Any) -> Micros | None:
    """Return when the source says an entry was published; None where it does not, or not as a moment.

    feedparser turns a date into UTC and takes one without a zone as UTC, as RSS has it.
    """
    parts = entry.get("published_parsed")
    if parts is None:
        return None
    try:
        seconds = calendar.timegm(parts)
    except (ValueError, OverflowError, TypeError):
        return None
    return Micros(seconds * SECOND) if 0 < seconds < MOMENT_MAX else None


def _post(source: str, row: Any) -> NewsItem | None:
    if not isinstance(row, dict):
        raise garbage("results holds what is no object")
    identity, title = row.get("id") or row.get("slug"), words(row.get("title"))
    published = row.get("published_at")
    ts = iso_moment(published) if isinstance(published, str) else None
    return _item(source, words(str(identity or ""), URL_MAX), title, link(row.get("url")), ts)


def _item(source: str, identity: str, title: str, url: str, ts: Micros | None) -> NewsItem | None:
    """Return an item; None for one that says nothing. A long id, often a URL, is hashed."""
    if not title:
        return None
    identity = identity or title
    short = identity if len(identity) <= ID_MAX else derive_id(identity)
    return NewsItem(source, short, title, url, ts, timely=ts is not None)
