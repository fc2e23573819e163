"""Import raw lines of Binance's combined WebSocket streams: ``<local time> {"stream": ..., "data": ...}``.

Trades, best bid and ask, mark and index prices with the funding forecast, and the book: its REST snapshot is in the
recording, changes before it are kept and replayed on it, and BookTop comes only when the best five levels changed.
Spot quotes and snapshots carry no time of their own; they take the latest venue time recorded before them.
Sizes of spot and linear products are in base currency already. Coin-margined contracts (``BTCUSD_PERP``, 100 USD
each) become ``BTC-USD-SWAP``, market data only, their sizes converted.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from schemas.envelope import Event
from schemas.events.common import Side
from schemas.events.market import (
    Channel,
    FeedState,
    FundingRate,
    IndexPrice,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
)
from schemas.values import Micros, Price, Rate
from services.feeds.book import Book
from services.feeds.instruments.okx import already_base, contracts_to_base, is_inverse
from services.feeds.model import RANK_CONTEXT, RANK_INDEX, RANK_MARK, RANK_TICK, BadLine, FileCount, Parsed, Run
from services.feeds.numbers import microseconds, number, positive
from services.feeds.raw import PREFIXED, RawRecording, feed_status

_EARLY_MAX = 5000
"""Book changes kept while waiting for the snapshot."""


class BinanceRecording(RawRecording):
    """A source of raw Binance lines of one symbol; ``spot`` books number their changes differently."""

    def __init__(self, path: Path, symbol: str, instrument_id: str, *, spot: bool, first_stamp: int) -> None:
        super().__init__(path, "BINANCE", "raw Binance lines", f"binance|{instrument_id}", first_stamp)
        self.symbol = symbol
        self.instrument_id = instrument_id
        self.spot = spot

    def parser(self, run: Run) -> BinanceParser:
        """Return a fresh parser. Raises FeedError for an unknown instrument."""
        return BinanceParser(run.instrument(self.instrument_id, self.name), self.symbol, self.spot, self.name)

    def instrument_of_bad_lines(self) -> str:
        """Return the one instrument of the recording."""
        return self.instrument_id


class BinanceParser:
    """Turns Binance messages of one symbol into ticks."""

    def __init__(self, instrument: InstrumentDefined, symbol: str, spot: bool, source: str) -> None:
        self._to_base = contracts_to_base(instrument) if is_inverse(instrument) else already_base
        self._name = instrument.instrument_id
        self._symbol = symbol
        self._source = source
        self._clock = 0
        self._forecast: tuple[str, int] | None = None
        self._book = _BinanceBook(Book(self._name, self._to_base), spot)
        self._handlers: dict[str, Callable[[dict[str, Any], int, FileCount], Sequence[Parsed]]] = {
            "trade": self._trade,
            "bookTicker": self._quote,
            "depth": self._depth,
            "markPrice": self._mark,
        }

    def parse(self, line: str, count: FileCount) -> Sequence[Parsed]:
        """Return the ticks of one line; a line without any is counted with its reason."""
        prefixed = PREFIXED.fullmatch(line)
        if prefixed is None:
            raise BadLine("expected <local time> <JSON>")
        message = json.loads(prefixed[2])
        ts_ingest = microseconds(prefixed[1], "local time")
        if "lastUpdateId" in message:
            self._time(message, "T", ts_ingest)
            return self._snapshot(message, ts_ingest, count)
        stream, data = message["stream"], message["data"]
        if data["s"] != self._symbol:
            raise BadLine(f"symbol {data['s']} in a recording of {self._symbol}")
        handler = self._handlers.get(stream.split("@")[1])
        if handler is None:
            count.skip(f"stream {stream}")
            return ()
        return handler(data, ts_ingest, count)

    def _time(self, data: dict[str, Any], key: str, ts_ingest: int) -> int:
        """Return the message's venue time in microseconds, or the latest one seen where it has none."""
        stamp = data.get(key) or data.get("E")
        ts = self._clock or ts_ingest if stamp is None else stamp * 1000
        if not 10**15 <= ts < 10**16:
            raise BadLine(f"{key}={stamp!r} is not a time in epoch milliseconds")
        self._clock = max(self._clock, ts)
        return int(ts)

    def _tick(self, ts: int, ts_ingest: int, rank: int, identity: object, event: Event) -> Parsed:
        return Parsed(ts, ts_ingest, rank, self._name, str(identity), event)

    def _trade(self, data: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        ts = self._time(data, "T", ts_ingest)
        if data.get("X", "MARKET") != "MARKET":
            count.skip(f"trade of type {data['X']}: not a trade of the market")
            return ()
        price = positive(data["p"], "p", "Price")
        size = self._to_base(positive(data["q"], "q", "Quantity"), price)
        trade_id = str(int(data["t"]))
        trade = Trade(self._name, trade_id, Side.SELL if data["m"] else Side.BUY, Price(price), size)
        return (self._tick(ts, ts_ingest, RANK_TICK, trade_id, trade),)

    def _quote(self, data: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        ts, to_base = self._time(data, "T", ts_ingest), self._to_base
        bid, ask = number(data["b"], "b", "Price"), number(data["a"], "a", "Price")
        if bid <= 0 or ask <= 0:
            count.skip("quote with an empty side")
            return ()
        quote = Quote(
            self._name,
            Price(bid),
            to_base(number(data["B"], "B", "Quantity"), bid),
            Price(ask),
            to_base(number(data["A"], "A", "Quantity"), ask),
        )
        return (self._tick(ts, ts_ingest, RANK_TICK, int(data["u"]), quote),)

    def _mark(self, data: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        ts, name = self._time(data, "E", ts_ingest), self._name
        mark = MarkPrice(name, Price(positive(data["p"], "p", "Price")))
        found = [self._tick(ts, ts_ingest, RANK_MARK, ts, mark)]
        if data.get("i"):
            index = IndexPrice(name, Price(positive(data["i"], "i", "Price")))
            found.append(self._tick(ts, ts_ingest, RANK_INDEX, ts, index))
        forecast = (data["r"], data["T"])
        if forecast != self._forecast and data["r"]:
            self._forecast = forecast
            rate = FundingRate(name, Rate(number(data["r"], "r", "Rate")), Micros(data["T"] * 1000))
            found.append(self._tick(ts, ts_ingest, RANK_CONTEXT, ts, rate))
        return found

    def _depth(self, data: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        ts, book = self._time(data, "T", ts_ingest), self._book
        if not book.synced:
            book.keep(data)
            count.skip("book change before a snapshot")
            return ()
        problem = book.change(data)
        if problem is not None:
            return (feed_status(self._name, Channel.BOOK, FeedState.LOST, self._source, ts, problem),)
        return self._top(ts, ts_ingest, count)

    def _snapshot(self, message: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        lost, problem = self._book.lost, self._book.snapshot(message)
        found: list[Parsed] = []
        if problem is not None:
            return (feed_status(self._name, Channel.BOOK, FeedState.LOST, self._source, self._clock, problem),)
        if lost:
            detail = f"snapshot {message['lastUpdateId']}"
            found.append(feed_status(self._name, Channel.BOOK, FeedState.RESYNCED, self._source, self._clock, detail))
        return (*found, *self._top(self._clock, ts_ingest, count))

    def _top(self, ts: int, ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        top = self._book.book.changed_top(self._book.last)
        if top is None:
            count.skip("book change below the best five levels")
            return ()
        return (self._tick(ts, ts_ingest, RANK_TICK, self._book.last, top),)


class _BinanceBook:
    """The book of one symbol and its update numbers. ``last``: the ``u`` of the last change applied.

    Source: Binance, "How to manage a local order book correctly": futures chain by ``pu``, spot by ``U == u + 1``.
    """

    def __init__(self, book: Book, spot: bool) -> None:
        self.book = book
        self.synced = False
        self.lost = False
        self.last = 0
        self._spot = spot
        self._first_after_snapshot = False
        self._early: deque[dict[str, Any]] = deque(maxlen=_EARLY_MAX)

    def keep(self, data: dict[str, Any]) -> None:
        """Keep a change that came before its snapshot."""
        self._early.append(data)

    def snapshot(self, message: dict[str, Any]) -> str | None:
        """Start from a snapshot and the changes kept; return what is wrong, None when the book is whole."""
        self.book.load(message["bids"], message["asks"])
        self.last = int(message["lastUpdateId"])
        self.synced, self.lost, self._first_after_snapshot = True, False, True
        early = list(self._early)
        self._early.clear()
        for data in early:
            problem = self.change(data)
            if problem is not None:
                return problem
        return None

    def change(self, data: dict[str, Any]) -> str | None:
        """Apply one change; return what is wrong with its number, None when it follows the last one (or is older)."""
        first, final = int(data["U"]), int(data["u"])
        if final <= self.last:
            return None
        if not self._follows(first, data):
            self.synced, self.lost = False, True
            self._early.clear()
            return f"sequence gap: change {first}..{final} after {self.last}"
        self.book.apply(data["b"], data["a"])
        self.last, self._first_after_snapshot = final, False
        return None

    def _follows(self, first: int, data: dict[str, Any]) -> bool:
        if self._first_after_snapshot:
            return first <= self.last + 1
        return first == self.last + 1 if self._spot else int(data["pu"]) == self.last
