"""Tell what a file of market data is from its name and its first line, never from its folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from services.feeds.bars import BAR_HEADER, FUNDING_HEADER, MARK_HEADER, BarFile, FileShape
from services.feeds.lines import read_text
from services.feeds.model import FeedError, Source
from services.feeds.numbers import interval_us

KNOWN_FORMATS = """\
  <INSTRUMENT>_<interval>_<range>.csv[.gz]           bars: ts_ms,open,high,low,close,volume_base
  <INSTRUMENT>_mark_<interval>_<range>.csv[.gz]      mark bars: ts_ms,open,high,low,close
  <INSTRUMENT>_funding_<interval>_<range>.csv[.gz]   settled funding: ts_ms,funding_rate"""
"""Shown where a file is not recognised."""

_BAR_NAME = re.compile(
    r"(?P<name>[A-Z0-9]+(?:-[A-Z0-9]+)*)(?P<perp>-perp)?_(?:(?P<kind>mark|funding)_)?(?P<interval>\d+[mhdw])(?:_[^.]*)?\.csv(?:\.gz)?"
)
_HEADERS = {"bars": BAR_HEADER, "mark": MARK_HEADER, "funding": FUNDING_HEADER}
_QUOTES = ("USDT", "USDC", "BUSD", "TUSD", "FDUSD", "USD", "BTC", "ETH", "EUR")


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote of a symbol written without a dash (``BTCUSDT``). Raises FeedError where it cannot tell."""
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise FeedError(f"{symbol}: no known quote currency at its end ({', '.join(_QUOTES)})")


def open_source(path: Path) -> Source:
    """Return the source of a file. Raises FeedError naming the file and the known formats when it is none of them."""
    first = first_line(path)
    for detect in _DETECTORS:
        source = detect(path, first)
        if source is not None:
            return source
    raise FeedError(f"{path.name}: not a file of market data that Tapeline knows. Known formats:\n{KNOWN_FORMATS}")


def first_line(path: Path) -> str:
    """Return the first line of a file, empty where it has none. Raises FeedError when it cannot be read."""
    return next(read_text(path), "")


def _bar_file(path: Path, first: str) -> Source | None:
    match = _BAR_NAME.fullmatch(path.name)
    if match is None:
        return None
    kind = match["kind"] or "bars"
    if first != _HEADERS[kind]:
        raise FeedError(f"{path.name}: line 1: the name says {kind}, so the header must be {_HEADERS[kind]}")
    instrument_id, venue = _instrument(match["name"], match["perp"] is not None)
    return BarFile(path, FileShape(instrument_id, venue, kind, match["interval"], interval_us(match["interval"])))


def _instrument(name: str, perp: bool) -> tuple[str, str]:
    """Return our instrument id and the venue: OKX writes dashes, Binance does not."""
    if "-" in name and not perp:
        return name, "OKX"
    base, quote = split_symbol(name)
    return f"{base}-{quote}-SWAP" if perp else f"{base}-{quote}", "BINANCE"


_DETECTORS: tuple[Callable[[Path, str], Source | None], ...] = (_bar_file,)
