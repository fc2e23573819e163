"""Tell what a file of market data is from its name and its first line, never from its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from schemas.events.market import Channel
from schemas.timeframes import TIMEFRAMES
from services.feeds.bars import BAR_HEADER, FUNDING_HEADER, MARK_HEADER, BarFile, FileShape
from services.feeds.binance_raw import BinanceRecording
from services.feeds.lines import read_text
from services.feeds.model import FeedError, Source, UnknownFormat
from services.feeds.numbers import interval_us, microseconds
from services.feeds.okx_raw import OkxRecording
from services.feeds.raw import RawRecording
from services.feeds.trades_csv import (
    BARE_ROW,
    TARDIS_QUOTES,
    TARDIS_TRADES,
    CsvFile,
    bare_trades,
    okx_columns,
    okx_trades,
    tardis_quotes,
    tardis_trades,
    tardis_venue,
)

KNOWN_FORMATS = """\
  <INSTRUMENT>_<interval>_<range>.csv[.gz]           bars: ts_ms,open,high,low,close,volume_base
  <INSTRUMENT>_mark_<interval>_<range>.csv[.gz]      mark bars: ts_ms,open,high,low,close
  <INSTRUMENT>_funding_<interval>_<range>.csv[.gz]   settled funding: ts_ms,funding_rate
  OKX's published trades .csv[.gz|.zip]              instrument_name,trade_id,side,price,size,created_time[,source]
  Tardis trades or quotes .csv[.gz]                  exchange,symbol,timestamp,local_timestamp,...
  <SYMBOL>_trades_*.csv[.gz]                         unix_s,price,size,side, no header
  raw OKX WebSocket lines[.gz]                       {"arg":...}, <local time> {...}, {"t":"recv","data":"{...}"}
  raw Binance WebSocket lines[.gz]                   <local time> {"stream":...,"data":{...}}"""
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


def open_sources(paths: Iterable[Path]) -> tuple[list[Source], list[str]]:
    """Return the sources of these files in the order of their names, and the names of what was passed over.

    A folder stands for every file under it; there, and only there, files of no known format are passed over. Files of
    one raw stream become one source. Raises FeedError where no file is left.
    """
    opened, passed_over = _open_all(paths)
    result: list[Source] = []
    streams: dict[str, RawRecording] = {}
    for source in sorted(opened, key=lambda source: source.first_stamp if isinstance(source, RawRecording) else 0):
        if isinstance(source, RawRecording) and source.key in streams:
            streams[source.key].joined(source)
            continue
        if isinstance(source, RawRecording):
            streams[source.key] = source
        result.append(source)
    if not result:
        raise FeedError("no file of market data named")
    return result, passed_over


def _open_all(paths: Iterable[Path]) -> tuple[list[Source], list[str]]:
    named = set(paths)
    found = {file for path in named if path.is_dir() for file in path.rglob("*") if file.is_file()} - named
    opened: list[Source] = []
    passed_over: list[str] = []
    for path in sorted({path for path in named if not path.is_dir()} | found, key=lambda path: (path.name, str(path))):
        try:
            opened.append(open_source(path))
        except UnknownFormat:
            if path in named:
                raise
            passed_over.append(path.name)
    return opened, passed_over


def open_source(path: Path) -> Source:
    """Return the source of a file. Raises FeedError naming the file and the known formats when it is none of them."""
    first = first_line(path)
    for detect in _DETECTORS:
        source = detect(path, first)
        if source is not None:
            return source
    if _is_empty(path):
        raise UnknownFormat(f"{path.name}: is empty")
    unknown = f"{path.name}: not a file of market data that Tapeline knows. Known formats:"
    raise UnknownFormat(unknown, table=KNOWN_FORMATS)


def first_line(path: Path) -> str:
    """Return the first line of a file, empty where it has none. Raises FeedError when it cannot be read."""
    return next(read_text(path), "").lstrip("\ufeff")


def _is_empty(path: Path) -> bool:
    return next(read_text(path), None) is None


def _bar_file(path: Path, first: str) -> Source | None:
    match = _BAR_NAME.fullmatch(path.name)
    if match is None:
        return None
    kind = match["kind"] or "bars"
    if _is_empty(path):
        raise FeedError(f"{path.name}: is empty; it should begin with {_HEADERS[kind]}")
    if first != _HEADERS[kind]:
        raise FeedError(f"{path.name}: line 1: the name says {kind}, so the header must be {_HEADERS[kind]}")
    if kind == "bars" and match["interval"] not in TIMEFRAMES:
        raise FeedError(f"{path.name}: bars of {match['interval']}; Tapeline works with {', '.join(TIMEFRAMES)}")
    instrument_id, venue = _instrument(match["name"], match["perp"] is not None)
    return BarFile(path, FileShape(instrument_id, venue, kind, match["interval"], interval_us(match["interval"])))


def _instrument(name: str, perp: bool) -> tuple[str, str]:
    """Return our instrument id and the venue: OKX writes dashes, Binance does not."""
    if "-" in name and not perp:
        return name, "OKX"
    base, quote = split_symbol(name)
    return f"{base}-{quote}-SWAP" if perp else f"{base}-{quote}", "BINANCE"


_OKX_LINE = re.compile(r'(?:\d{10,19} )?\{\s*"(?:t|arg|event|op|action)"')
_BINANCE_LINE = re.compile(r'\d{13,19} \{"(?:stream|lastUpdateId)"')


def _okx_recording(path: Path, first: str) -> Source | None:
    if _OKX_LINE.match(first) is None:
        return None
    if '"t":"http"' in first:
        raise UnknownFormat(f"{path.name}: recorded REST replies, not market data; pass it with --instruments")
    return OkxRecording(path, "OKX", "raw OKX lines", f"okx|{path.name}", 0)


def _binance_recording(path: Path, first: str) -> Source | None:
    """Tell the product from a message: coin-margined symbols end in _PERP, futures messages carry T, spot trades M."""
    if _BINANCE_LINE.match(first) is None:
        return None
    for line in islice(read_text(path), 1000):
        match = _BINANCE_STREAM.search(line)
        if match is not None:
            symbol, spot = match["symbol"], _is_spot(match["stream"], line)
            stamp = microseconds(first.split(" ", 1)[0], "local time")
            return BinanceRecording(path, symbol, _binance_instrument(symbol, spot), spot=spot, first_stamp=stamp)
    raise FeedError(f"{path.name}: no stream with a symbol in its first 1000 lines")


_BINANCE_STREAM = re.compile(r'"stream":"(?P<stream>[^"]+)".*?"s":"(?P<symbol>[A-Z0-9_]+)"')


def _is_spot(stream: str, line: str) -> bool:
    if "@trade" in stream:
        return '"M":' in line
    return '"T":' not in line


def _binance_instrument(symbol: str, spot: bool) -> str:
    base, quote = split_symbol(symbol.removesuffix("_PERP"))
    return f"{base}-{quote}" if spot else f"{base}-{quote}-SWAP"


_OKX_DAILY = re.compile(r"([A-Z0-9]+-[A-Z0-9]+(?:-SWAP)?)-trades-")


def _okx_trades(path: Path, first: str) -> Source | None:
    columns = okx_columns(first)
    if columns is None:
        return None
    named = _OKX_DAILY.match(path.name)
    if named is None and "instrument_name" not in columns:
        raise FeedError(f"{path.name}: neither a column instrument_name nor a name <INSTRUMENT>-trades-<date>")
    return CsvFile(
        path,
        venue="OKX",
        format_name="OKX trades csv",
        header=1,
        instrument_id="" if "instrument_name" in columns or named is None else named[1],
        channel=Channel.TRADES,
        parser=okx_trades(columns),
    )


def _tardis(path: Path, first: str) -> Source | None:
    if first not in (TARDIS_TRADES, TARDIS_QUOTES):
        return None
    row = next(islice(read_text(path), 1, 2), "").split(",")
    if len(row) != 8:
        raise FeedError(f"{path.name}: line 2: {len(row)} fields instead of 8")
    trades = first == TARDIS_TRADES
    return CsvFile(
        path,
        venue=tardis_venue(row[0]),
        format_name="Tardis csv",
        header=1,
        instrument_id=_tardis_instrument(row[0], row[1]),
        channel=Channel.TRADES if trades else Channel.QUOTES,
        parser=tardis_trades if trades else tardis_quotes,
    )


def _tardis_instrument(exchange: str, symbol: str) -> str:
    if "-" in symbol:
        return symbol
    return _binance_instrument(symbol, spot="-" not in exchange)


def _bare_trades(path: Path, first: str) -> Source | None:
    symbol, found, _ = path.name.partition("_trades_")
    if not found or BARE_ROW.fullmatch(first) is None:
        return None
    base, quote = split_symbol(symbol)
    return CsvFile(
        path,
        venue="BINANCE",
        format_name="bare trades csv",
        header=0,
        instrument_id=f"{base}-{quote}",
        channel=Channel.TRADES,
        parser=bare_trades,
    )


_DETECTORS: tuple[Callable[[Path, str], Source | None], ...] = (
    _bar_file,
    _okx_trades,
    _tardis,
    _bare_trades,
    _okx_recording,
    _binance_recording,
)
