"""Import CSV files of trades and quotes: OKX's published daily files, Tardis, and a bare list of trades.

OKX: ``instrument_name,trade_id,side,price,size,created_time[,source]``, size in contracts, times in milliseconds, a day
cut at UTC+8. Tardis: times in microseconds, exchange and local. The bare list (``unix_s,price,size,side`` without a
header, named ``<SYMBOL>_trades_*.csv``) has neither ids nor directions: its trades are numbered inside their second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from schemas.events.common import Side
from schemas.events.market import Channel, FeedOrigin, InstrumentDefined, Quote, Trade
from schemas.values import Price
from services.feeds.instruments.okx import ToBase, already_base, contracts_to_base, is_inverse
from services.feeds.lines import LineReader, Parse
from services.feeds.model import RANK_TICK, TRADES_CADENCE, BadLine, Declared, FileCount, Item, Parsed, Run
from services.feeds.numbers import microseconds, number, positive
from services.feeds.raw import in_feed_order

OKX_COLUMNS = ("instrument_name", "trade_id", "side", "price", "size", "created_time")
TARDIS_TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
TARDIS_QUOTES = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"
BARE_ROW = re.compile(r"\d{10},[\d.]+,[\d.]+,[A-Z]+", re.ASCII)

_SIDES = {"buy": Side.BUY, "sell": Side.SELL, "unknown": Side.UNKNOWN, "any": Side.UNKNOWN}


class CsvFile:
    """A source of trades or quotes, one file, one venue, one instrument or (OKX's) as many as its rows name."""

    origin = FeedOrigin.RECORDED
    primary = True

    def __init__(
        self,
        path: Path,
        *,
        venue: str,
        format_name: str,
        header: int,
        instrument_id: str,
        channel: Channel,
        parser: Callable[[Run, CsvFile], Parse],
    ) -> None:
        self.path = path
        self.name = path.name
        self.venue = venue
        self.instrument_id = instrument_id
        self._header = header
        self._parser = parser
        self.counts = [FileCount(path.name, format_name, venue)]
        cadence = TRADES_CADENCE if channel is Channel.TRADES else None
        self.declared: Sequence[Declared] = (Declared(instrument_id, channel, cadence),) if instrument_id else ()

    def first_open(self) -> int | None:
        """Return None: the file holds ticks, not bars."""
        return None

    def items(self, run: Run, number: int) -> Iterator[Item]:
        """Yield the ticks of the file."""
        reader = LineReader(
            self.path, self.counts[0], venue=self.venue, header=self._header, instrument_id=self.instrument_id
        )
        return in_feed_order(reader.items(self._parser(run, self), run, number))


def okx_trades(columns: Sequence[str]) -> Callable[[Run, CsvFile], Parse]:
    """Return the parser of OKX's published trades; where no column names the instrument, the file name does."""
    place = {name: index for index, name in enumerate(columns)}

    def make(run: Run, file: CsvFile) -> Parse:
        def parse(line: str) -> tuple[Parsed]:
            fields = _fields(line, len(columns))
            name = fields[place["instrument_name"]] if "instrument_name" in place else file.instrument_id
            ts = microseconds(fields[place["created_time"]], "created_time")
            instrument = run.instrument(name, file.name)
            texts = (fields[place["price"]], fields[place["size"]], fields[place["side"]])
            return (_trade(name, contracts_to_base(instrument), ts, ts, fields[place["trade_id"]], *texts),)

        return parse

    return make


def tardis_trades(run: Run, file: CsvFile) -> Parse:
    """Return the parser of Tardis' trades."""
    to_base = _conversion(run.instrument(file.instrument_id, file.name), file)

    def parse(line: str) -> tuple[Parsed]:
        _, _, stamp, local, trade_id, side, price, amount = _fields(line, 8)
        ts, ts_ingest = microseconds(stamp, "timestamp"), microseconds(local, "local_timestamp")
        return (_trade(file.instrument_id, to_base, ts, ts_ingest, trade_id, price, amount, side),)

    return parse


def tardis_quotes(run: Run, file: CsvFile) -> Parse:
    """Return the parser of Tardis' quotes; one with an empty side is counted and passed over."""
    instrument = run.instrument(file.instrument_id, file.name)
    to_base = _conversion(instrument, file)

    def parse(line: str) -> Sequence[Parsed]:
        _, _, stamp, local, ask_amount, ask_price, bid_price, bid_amount = _fields(line, 8)
        if not (ask_price and bid_price):
            file.counts[0].skip("quote with an empty side")
            return ()
        ts, ts_ingest = microseconds(stamp, "timestamp"), microseconds(local, "local_timestamp")
        bid, ask = positive(bid_price, "bid_price", "Price"), positive(ask_price, "ask_price", "Price")
        bid_size, ask_size = number(bid_amount, "bid_amount", "Quantity"), number(ask_amount, "ask_amount", "Quantity")
        quote = Quote(
            instrument.instrument_id,
            Price(bid),
            to_base(bid_size, bid),
            Price(ask),
            to_base(ask_size, ask),
        )
        identity = "|".join((stamp, local, bid_price, bid_amount, ask_price, ask_amount))
        return (Parsed(ts, ts_ingest, RANK_TICK, instrument.instrument_id, identity, quote),)

    return parse


def bare_trades(run: Run, file: CsvFile) -> Parse:
    """Return the parser of a bare list of trades; their ids are second and number inside it."""
    run.instrument(file.instrument_id, file.name)
    second, place = "", 0

    def parse(line: str) -> tuple[Parsed]:
        nonlocal second, place
        stamp, price, size, side = _fields(line, 4)
        ts = microseconds(stamp, "time")
        second, place = stamp, place + 1 if stamp == second else 0
        return (_trade(file.instrument_id, already_base, ts, ts, f"{stamp}-{place}", price, size, side),)

    return parse


def _conversion(instrument: InstrumentDefined, file: CsvFile) -> ToBase:
    """Return how sizes become base currency: Tardis writes the venue's own amounts."""
    in_contracts = file.venue == "OKX" or is_inverse(instrument)
    return contracts_to_base(instrument) if in_contracts else already_base


def _fields(line: str, count: int) -> list[str]:
    fields = line.split(",")
    if len(fields) != count:
        raise BadLine(f"{len(fields)} fields instead of {count}")
    return fields


def _trade(
    instrument_id: str,
    to_base: ToBase,
    ts: int,
    ts_ingest: int,
    trade_id: str,
    price_text: str,
    size_text: str,
    side_text: str,
) -> Parsed:
    if not trade_id:
        raise BadLine("no trade id")
    side = _SIDES.get(side_text.lower())
    if side is None:
        raise BadLine(f"side={side_text[:40]!r} is neither buy nor sell")
    price = positive(price_text, "price", "Price")
    size = positive(size_text, "size", "Quantity")
    trade = Trade(instrument_id, trade_id, side, Price(price), to_base(size, price))
    return Parsed(ts, ts_ingest, RANK_TICK, instrument_id, trade_id, trade)


def okx_columns(header: str) -> tuple[str, ...] | None:
    """Return the columns of OKX's published trades, None for another header.

    Files of 2021 and 2022 have two names a column, ``trade_id/<Chinese>`` in GBK; the English one counts.
    """
    columns = tuple(column.split("/")[0].strip() for column in header.split(","))
    return columns if set(OKX_COLUMNS[1:]) <= set(columns) else None


def tardis_venue(exchange: str) -> str:
    """Return our venue of a Tardis exchange name: ``okex-swap`` is OKX, ``binance-futures`` BINANCE."""
    return {"okex": "OKX", "okx": "OKX"}.get(exchange.split("-")[0], exchange.split("-")[0].upper())
