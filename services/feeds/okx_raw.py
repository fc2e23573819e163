"""What OKX's public WebSocket says, as ticks: trades, books, tickers, mark and index prices, funding, candles.

The one translation for recorded lines and for the live gateway. A recorded line is the message itself, ``<local time>
<message>``, or cryptofeed's wrapper ``{"t": "recv", "ts": ..., "data": "<message>"}``. Sizes of contracts become base
currency. A book is checked by its checksum where one is given and by its sequence numbers where they are; once it is
wrong it is lost until the next snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.common import Side
from schemas.events.market import (
    Channel,
    FeedOrigin,
    FeedState,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    InstrumentKind,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.timeframes import TIMEFRAMES
from schemas.values import Micros, Price, Quantity, Rate
from services.feeds.book import DEPTH, Book, book_top
from services.feeds.instruments.okx import base_quantity, contracts_to_base
from services.feeds.model import (
    RANK_BAR,
    RANK_CONTEXT,
    RANK_INDEX,
    RANK_MARK,
    RANK_SETTLED,
    RANK_TICK,
    BadLine,
    FileCount,
    Parsed,
    Run,
)
from services.feeds.numbers import microseconds, milliseconds, number, positive
from services.feeds.raw import PREFIXED, RawRecording, feed_status

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_CANDLES = {"candle" + timeframe.replace("h", "H"): timeframe for timeframe in TIMEFRAMES}
_BOOKS = ("books", "books-l2-tbt", "books50-l2-tbt")
CHECKSUM_UNTIL = 1_782_172_800_000_000
"""2026-06-23 UTC: from here on a book's checksum means nothing, whatever it says. Source: OKX v5, change log."""


class OkxRecording(RawRecording):
    """A source of raw OKX lines."""

    def parser(self, run: Run) -> OkxParser:
        """Return a fresh parser."""
        return OkxParser(run, self.name)


@dataclass(slots=True)
class _OpenBook:
    """A book and how far its sequence has come. ``synced``: no gap and no wrong checksum since the last snapshot.

    ``lost_since``: venue time at which it was lost, until the next snapshot.
    """

    book: Book
    seq_id: int | None = None
    synced: bool = False
    lost_since: int | None = None


class OkxParser:
    """Turns OKX messages into ticks.

    ``indexed``: instruments by the index they rest on; an index nobody rests on is filed under its own name.
    """

    def __init__(
        self,
        run: Run,
        source: str,
        *,
        origin: FeedOrigin = FeedOrigin.RECORDED,
        indexed: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._run = run
        self._source = source
        self._origin = origin
        self._indexed = indexed or {}
        self._books: dict[str, _OpenBook] = {}
        self._settled: dict[str, int] = {}
        self._awaited: dict[str, int] = {}
        self._handlers: dict[str, Callable[[dict[str, Any], str, int], list[Parsed]]] = {
            "trades": self._trade,
            "trades-all": self._trade,
            "tickers": self._ticker,
            "bbo-tbt": self._best,
            "books5": self._five,
            "mark-price": self._mark,
            "index-tickers": self._index,
            "funding-rate": self._funding,
        }

    def parse(self, line: str, count: FileCount) -> Sequence[Parsed]:
        """Return the ticks of one line; a line without any is counted with its reason."""
        ts_ingest, message = self._unwrap(line)
        return self.translate(message, ts_ingest, count)

    def translate(self, message: dict[str, Any], ts_ingest: int, count: FileCount) -> Sequence[Parsed]:
        """Return the ticks of one message, received at ``ts_ingest`` (0: not known)."""
        if "arg" not in message or "data" not in message:
            count.skip(f"message without data ({message.get('event') or message.get('t') or message.get('op') or '?'})")
            return ()
        channel, instrument_id = message["arg"]["channel"], message["arg"].get("instId", "")
        found: list[Parsed] = []
        for row in message["data"]:
            if channel in _BOOKS:
                found += self._levels(row, instrument_id, ts_ingest, message.get("action") == "snapshot")
            elif channel in _CANDLES:
                found += self._candle(row, instrument_id, ts_ingest, _CANDLES[channel])
            elif channel in self._handlers:
                found += self._handlers[channel](row, instrument_id, ts_ingest)
            else:
                count.skip(f"channel {channel}")
                return ()
        if not found:
            count.skip(f"channel {channel}: nothing new")
        return found

    def lose_books(self, instrument_ids: Iterable[str], ts: int) -> None:
        """Forget these books: the connection is gone. Updates are ignored until the snapshot, which says RESYNCED."""
        for instrument_id in instrument_ids:
            held = self._books.get(instrument_id)
            since = held.lost_since if held is not None and held.lost_since is not None else ts
            self._books[instrument_id] = self._open_book(instrument_id, since)

    def closed_bar(self, row: Sequence[str], instrument_id: str, timeframe: str, ts_ingest: int) -> Parsed | None:
        """Return the bar of a candle row, pushed or asked for; None while it is not closed. Raises BadLine."""
        found = self._candle(row, instrument_id, ts_ingest, timeframe)
        return found[0] if found else None

    def _open_book(self, instrument_id: str, lost_since: int | None = None) -> _OpenBook:
        book = Book(instrument_id, contracts_to_base(self._known(instrument_id)))
        return _OpenBook(book, lost_since=lost_since)

    def _unwrap(self, line: str) -> tuple[int, dict[str, Any]]:
        """Return the local receive time in microseconds (0 where none is recorded) and the venue's message."""
        prefixed = PREFIXED.fullmatch(line)
        if prefixed is not None:
            return microseconds(prefixed[1], "local time"), read_message(prefixed[2])
        entry = read_message(line)
        if entry.get("t") != "recv":
            return 0, entry
        return int(Decimal(str(entry["ts"])) * 1_000_000), read_message(entry["data"])

    def _known(self, instrument_id: str) -> InstrumentDefined:
        return self._run.instrument(instrument_id, self._source)

    def _trade(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        price = positive(row["px"], "px", "Price")
        size = base_quantity(self._known(instrument_id), positive(row["sz"], "sz", "Quantity"), price)
        trade = Trade(instrument_id, str(row["tradeId"]), SIDES[row["side"]], Price(price), size)
        return [_tick(row, ts_ingest, RANK_TICK, instrument_id, trade.trade_id, trade)]

    def _ticker(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        if not (row["bidPx"] and row["askPx"]):
            return []
        return self._quote(row, instrument_id, ts_ingest, (row["bidPx"], row["bidSz"]), (row["askPx"], row["askSz"]))

    def _best(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        if not (row["bids"] and row["asks"]):
            return []
        return self._quote(row, instrument_id, ts_ingest, row["bids"][0], row["asks"][0])

    def _quote(
        self, row: dict[str, Any], instrument_id: str, ts_ingest: int, bid: Sequence[str], ask: Sequence[str]
    ) -> list[Parsed]:
        instrument = self._known(instrument_id)
        bid_price, ask_price = positive(bid[0], "bid", "Price"), positive(ask[0], "ask", "Price")
        quote = Quote(
            instrument_id,
            Price(bid_price),
            base_quantity(instrument, number(bid[1], "bid size", "Quantity"), bid_price),
            Price(ask_price),
            base_quantity(instrument, number(ask[1], "ask size", "Quantity"), ask_price),
        )
        identity = f"{row['ts']}|{row.get('seqId', '')}|{bid[0]}|{bid[1]}|{ask[0]}|{ask[1]}"
        return [_tick(row, ts_ingest, RANK_TICK, instrument_id, identity, quote)]

    def _five(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        seq_id = row.get("seqId")
        to_base = contracts_to_base(self._known(instrument_id))
        top = book_top(instrument_id, to_base, row["bids"][:DEPTH], row["asks"][:DEPTH], seq_id=seq_id)
        return [_tick(row, ts_ingest, RANK_TICK, instrument_id, f"{row['ts']}|{seq_id}", top)]

    def _mark(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        self._known(instrument_id)
        mark = MarkPrice(instrument_id, Price(positive(row["markPx"], "markPx", "Price")))
        return [_tick(row, ts_ingest, RANK_MARK, instrument_id, row["ts"], mark)]

    def _index(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        price = Price(positive(row["idxPx"], "idxPx", "Price"))
        names = self._indexed.get(instrument_id, (instrument_id,))
        for name in names:
            self._known(name)
        return [_tick(row, ts_ingest, RANK_INDEX, name, row["ts"], IndexPrice(name, price)) for name in names]

    def _funding(self, row: dict[str, Any], instrument_id: str, ts_ingest: int) -> list[Parsed]:
        """Return the forecast and, once per settlement, the settled rate. Source: OKX v5, funding rate channel."""
        self._known(instrument_id)
        due = milliseconds(row["fundingTime"], "fundingTime")
        after = milliseconds(row["nextFundingTime"], "nextFundingTime") if row.get("nextFundingTime") else None
        rate = number(row["fundingRate"], "fundingRate", "Rate")
        forecast = FundingRate(instrument_id, Rate(rate), Micros(due), None if after is None else Micros(after))
        stamped = row if row.get("ts") else {"ts": row["fundingTime"]}
        found = [_tick(stamped, ts_ingest, RANK_CONTEXT, instrument_id, f"{stamped['ts']}|{due}", forecast)]
        last = self._settled_now(row, instrument_id, due, after, found[0].ts_event)
        if last is not None:
            settled_rate = Rate(number(row["settFundingRate"], "settFundingRate", "Rate"))
            settled = FundingSettled(instrument_id, settled_rate, Micros(last), Micros(due))
            found.insert(0, _tick(stamped, ts_ingest, RANK_SETTLED, instrument_id, str(last), settled))
        return found

    def _settled_now(self, row: dict[str, Any], instrument_id: str, due: int, after: int | None, ts: int) -> int | None:
        """Return the moment of the settlement a row tells of; None: there is none, or it was told before.

        The moment is ``prevFundingTime`` where the row has it: a reply does, the channel need not. Else it is the one
        that was awaited until ``fundingTime`` moved on. One that moves before its time was put off or brought forward;
        after more than one interval the rate is not that of the one awaited, and nothing is told.
        """
        awaited = self._awaited.setdefault(instrument_id, due)
        if ts < awaited:
            awaited = self._awaited[instrument_id] = due
        if row.get("settState") != "settled" or not row.get("settFundingRate"):
            return None
        self._awaited[instrument_id] = due
        if row.get("prevFundingTime"):
            last = milliseconds(row["prevFundingTime"], "prevFundingTime")
        elif awaited < due and (after is None or due - awaited <= after - due):
            last = awaited
        else:
            return None
        if self._settled.get(instrument_id) == last:
            return None
        self._settled[instrument_id] = last
        return last

    def _candle(self, row: Sequence[str], instrument_id: str, ts_ingest: int, timeframe: str) -> list[Parsed]:
        """Return a closed bar. Source: OKX v5: field 8 is ``confirm``; base volume is field 6 for swaps, 5 for spot."""
        if row[8] != "1":
            return []
        length, opened = TIMEFRAMES[timeframe], milliseconds(row[0], "ts")
        o, h, lo, c = (positive(text, name, "Price") for text, name in zip(row[1:5], ("o", "h", "l", "c"), strict=True))
        if not (lo <= o <= h and lo <= c <= h):
            raise BadLine(f"open {o}, high {h}, low {lo}, close {c} are not a bar")
        volume = row[5] if self._known(instrument_id).kind is InstrumentKind.SPOT else row[6]
        volume_base = Quantity(number(volume, "volume", "Quantity"))
        bar = VenueBar(instrument_id, timeframe, Micros(opened), Price(o), Price(h), Price(lo), Price(c), volume_base)
        closed, rank = opened + length, RANK_BAR + length // 1_000_000
        return [Parsed(closed, ts_ingest or closed, rank, instrument_id, f"{timeframe}|{opened}", bar)]

    def _levels(self, row: dict[str, Any], instrument_id: str, ts_ingest: int, snapshot: bool) -> list[Parsed]:
        held = self._books.get(instrument_id)
        if held is None:
            held = self._books[instrument_id] = self._open_book(instrument_id)
        found: list[Parsed] = []
        ts, problem = milliseconds(row["ts"], "ts"), None
        if snapshot:
            held.book.load(row["bids"], row["asks"])
        elif not held.synced:
            return []
        else:
            problem = _gap(held.seq_id, row.get("prevSeqId"))
            if problem is None:
                held.book.apply(row["bids"], row["asks"])
        held.seq_id = row.get("seqId", held.seq_id)
        if ts < CHECKSUM_UNTIL:
            problem = problem or _wrong_checksum(held.book, row.get("checksum", 0))
        held.synced = problem is None
        if problem is not None:
            held.lost_since = ts
            return [self._book_status(instrument_id, FeedState.LOST, ts, ts_ingest, problem)]
        if held.lost_since is not None:
            lost_us, held.lost_since = max(0, ts - held.lost_since), None
            held.book.forget_top()
            detail = f"snapshot at {row['ts']}"
            found.append(self._book_status(instrument_id, FeedState.RESYNCED, ts, ts_ingest, detail, lost_us))
        top = held.book.changed_top(row.get("seqId"))
        if top is not None:
            identity = f"{row['ts']}|{row.get('seqId', '')}|{row.get('checksum', '')}"
            found.append(_tick(row, ts_ingest, RANK_TICK, instrument_id, identity, top))
        return found

    def _book_status(
        self, instrument_id: str, state: FeedState, ts: int, ts_ingest: int, detail: str, lost_us: int | None = None
    ) -> Parsed:
        return feed_status(
            instrument_id, Channel.BOOK, state, self._source, ts, detail,
            origin=self._origin, ts_ingest=ts_ingest, lost_us=lost_us,
        )  # fmt: skip


def read_message(text: Any) -> dict[str, Any]:
    """Return the JSON object a text holds; OKX's heartbeat ``pong`` counts as an empty one. Raises ValueError."""
    if text == "pong":
        return {"event": "pong"}
    found = json.loads(text, parse_float=Decimal)
    if not isinstance(found, dict):
        raise BadLine("not a JSON object")
    return found


def _tick(row: dict[str, Any], ts_ingest: int, rank: int, instrument_id: str, identity: str, event: Event) -> Parsed:
    ts = milliseconds(row["ts"], "ts")
    return Parsed(ts, ts_ingest or ts, rank, instrument_id, identity, event)


def _gap(seq_id: int | None, prev_seq_id: int | None) -> str | None:
    """Return what is wrong with the chain. Source: OKX v5: an update applies iff its prevSeqId is the last seqId."""
    if prev_seq_id is None or seq_id is None or prev_seq_id == seq_id:
        return None
    return f"sequence gap: prevSeqId {prev_seq_id} after seqId {seq_id}"


def _wrong_checksum(book: Book, given: int) -> str | None:
    """Return what is wrong with the checksum; 0 means the venue gave none (since 2026)."""
    if given == 0 or (own := book.checksum()) == given:
        return None
    return f"checksum {given}, the book has {own}"
