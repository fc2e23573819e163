"""One instrument's market as the venue publishes it: prices, order book with its sequence, trades, candles, funding."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.okx.clock import Clock
from tests.fakes.okx.instruments import Instrument
from tests.fakes.okx.numbers import ZERO, text
from tests.fakes.okx.push import Listener, Push, Row

DEPTH = 400
TRADES_KEPT = 500
HOUR_MS = 3_600_000
Levels = Iterable[tuple[str, str]]


@dataclass(slots=True)
class Funding:
    """The running period's forecast, the next one's, and what was settled, newest last."""

    rate: Decimal = Decimal("0.0001")
    next_rate: Decimal | None = None
    time_ms: int = 0
    interval_h: int = 8
    cap: Decimal = Decimal("0.00375")
    settled: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)


class Market:
    """Prices and book of one instrument. Every change is pushed to the listener as the venue would."""

    def __init__(self, instrument: Instrument, clock: Clock, tell: Listener, price: Decimal) -> None:
        """Start at ``price`` with five levels of depth on each side."""
        self.instrument = instrument
        self.clock = clock
        self._tell = tell
        self.last = self.mark = self.index = price
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.seq = 1_000_000
        self.trades: deque[Row] = deque(maxlen=TRADES_KEPT)
        self.next_trade_id = 700_000_000
        self.candles: dict[str, dict[int, list[str]]] = {}
        self.mark_candles: dict[str, dict[int, list[str]]] = {}
        self.pushes_last_settlement = False
        now = clock.now_ms()
        self.funding = Funding(time_ms=now - now % (8 * HOUR_MS) + 8 * HOUR_MS)
        step, size = instrument.tick, Decimal(1000)
        self.bids = {price - step * n: size for n in range(1, 6)}
        self.asks = {price + step * n: size for n in range(1, 6)}

    # --- order book

    def update_book(self, bids: Levels = (), asks: Levels = (), *, silent: bool = False) -> None:
        """Set levels by (price, size) text; size "0" deletes. ``silent``: nobody is told, so a real gap follows."""
        changed = {"bids": _apply(self.bids, bids), "asks": _apply(self.asks, asks)}
        before, self.seq = self.seq, self.seq + 1
        if not silent:
            self._tell_update(changed, before)
            self._tell_tops()

    def replace_book(self, bids: Levels, asks: Levels) -> None:
        """Make the book consist of exactly these levels."""
        bids, asks = list(bids), list(asks)
        self.update_book(_gone(self.bids, bids) + bids, _gone(self.asks, asks) + asks)

    def keep_alive(self) -> None:
        """Push the empty frame of a quiet book: ``seqId`` equals ``prevSeqId``."""
        self._tell_update({"bids": [], "asks": []}, self.seq)

    def reset_sequence(self, to: int = 3) -> None:
        """Start the sequence over, chain intact: the venue's maintenance (documented example: 15 -> 3)."""
        before, self.seq = self.seq, to
        self._tell_update({"bids": [], "asks": []}, before)

    def snapshot(self, depth: int = DEPTH) -> Row:
        """Return the book with sequence numbers, best levels first."""
        return self._levels(depth) | {"ts": self._ts(), "checksum": 0, "prevSeqId": -1, "seqId": self.seq}

    def top(self, depth: int) -> Row:
        """Return a frame of ``books5`` or ``bbo-tbt``: a snapshot every time, with ``seqId`` alone."""
        return self._levels(depth) | {"instId": self.instrument.inst_id, "ts": self._ts(), "seqId": self.seq}

    def rest_book(self, depth: int) -> Row:
        """Return the reply of ``/market/books``."""
        return self._levels(depth) | {"ts": self._ts(), "seqId": self.seq}

    def take(self, side: str, size: Decimal, limit: Decimal | None) -> list[tuple[Decimal, Decimal]]:
        """Remove what an order of that side can take up to ``limit``: (price, size) from the best level on."""
        book = self.asks if side == "buy" else self.bids
        taken: list[tuple[Decimal, Decimal]] = []
        for price in sorted(book, reverse=side != "buy"):
            if size <= 0 or (limit is not None and (price > limit if side == "buy" else price < limit)):
                break
            part = min(size, book[price])
            taken.append((price, part))
            size -= part
        changed = [(text(price), text(book[price] - part)) for price, part in taken]
        if changed:
            self.update_book(*((), changed) if side == "buy" else (changed, ()))
        return taken

    def best(self, side: str) -> Decimal:
        """Return the best price an order of that side would take; the last one if there is none."""
        book = self.asks if side == "buy" else self.bids
        return self.last if not book else min(book) if side == "buy" else max(book)

    def crosses(self, side: str, price: Decimal) -> bool:
        """Would a limit order of that side take at once?"""
        book = self.asks if side == "buy" else self.bids
        return any(level <= price if side == "buy" else level >= price for level in book)

    # --- prices

    def set_last(self, price: Decimal) -> None:
        """Move the last price without a trade print."""
        self.last = price
        self._tell_ticker()

    def set_mark(self, price: Decimal) -> None:
        """Move the mark price."""
        self.mark = price
        self._push("mark-price", [self.mark_row()])

    def set_index(self, price: Decimal) -> None:
        """Move the index price."""
        self.index = price
        self._tell(Push("index-tickers", [self.index_row()], self.instrument.family))

    def print_trade(self, price: Decimal, size: Decimal, side: str) -> Row:
        """Publish a trade: ``side`` is the taker's."""
        self.last = price
        trade_id = self.new_trade_id()
        row: Row = {
            "instId": self.instrument.inst_id,
            "tradeId": trade_id,
            "px": text(price),
            "sz": text(size),
            "side": side,
            "ts": self._ts(),
        }
        self.trades.append(row)
        self._push("trades", [row | {"count": "1", "source": "0", "seqId": self.seq}])
        self._push("trades-all", [row | {"source": "0"}])
        self._tell_ticker()
        return row

    def new_trade_id(self) -> str:
        """Return the instrument's next trade number."""
        self.next_trade_id += 1
        return str(self.next_trade_id)

    # --- candles and funding

    def set_candle(self, bar: str, ts_ms: int, values: Mapping[str, str], *, confirm: bool, mark: bool = False) -> None:
        """Set one candle; ``values``: o h l c, and vol in contracts for trades. Pushed on ``candle<bar>``."""
        prices = [values[name] for name in "ohlc"]
        done = "1" if confirm else "0"
        if mark:
            row = [str(ts_ms), *prices, done]
        else:
            volume = Decimal(values.get("vol", "0"))
            base = volume * self.instrument.ct_val
            row = [str(ts_ms), *prices, text(volume), text(base), text(base * Decimal(values["c"])), done]
        store = self.mark_candles if mark else self.candles
        store.setdefault(bar, {})[ts_ms] = row
        self._push(f"{'mark-price-' if mark else ''}candle{bar}", [row])

    def set_funding(self, rate: str, *, time_ms: int | None = None, interval_h: int | None = None) -> None:
        """Publish another forecast, settlement time or interval."""
        self.funding.rate = Decimal(rate)
        self.funding.time_ms = self.funding.time_ms if time_ms is None else time_ms
        self.funding.interval_h = self.funding.interval_h if interval_h is None else interval_h
        self._push("funding-rate", [self.pushed_funding_row()])

    def settle_funding(self) -> tuple[int, Decimal]:
        """Close the running period: its forecast becomes the settled rate. Returns its time and rate."""
        funding = self.funding
        settled = (funding.time_ms, funding.rate)
        funding.settled.append((funding.time_ms, funding.rate, funding.rate))
        funding.time_ms += funding.interval_h * HOUR_MS
        self._push("funding-rate", [self.pushed_funding_row()])
        return settled

    def funding_row(self) -> Row:
        """Return the row of ``/public/funding-rate``."""
        funding, last = self.funding, self.funding.settled[-1] if self.funding.settled else None
        return {
            "formulaType": "withRate",
            "fundingRate": text(funding.rate),
            "fundingTime": str(funding.time_ms),
            "impactValue": "20000",
            "instId": self.instrument.inst_id,
            "instType": self.instrument.inst_type,
            "interestRate": "0.0001",
            "maxFundingRate": text(funding.cap),
            "method": "current_period",
            "minFundingRate": text(-funding.cap),
            "nextFundingRate": text(funding.next_rate),
            "nextFundingTime": str(funding.time_ms + funding.interval_h * HOUR_MS),
            "premium": "0",
            "prevFundingTime": str(funding.time_ms - funding.interval_h * HOUR_MS),
            "settFundingRate": text(last[2]) if last else "0",
            "settState": "settled",
            "ts": self._ts(),
        }

    def pushed_funding_row(self) -> Row:
        """Return the row of the funding channel, which does not document the settlement before this one."""
        row = self.funding_row()
        if not self.pushes_last_settlement:
            del row["prevFundingTime"]
        return row

    # --- rows

    def mark_row(self) -> Row:
        """Return the row of the mark price."""
        return {
            "instType": self.instrument.inst_type,
            "instId": self.instrument.inst_id,
            "markPx": text(self.mark),
            "ts": self._ts(),
        }

    def index_row(self) -> Row:
        """Return the row of the index price."""
        price = text(self.index)
        around = dict.fromkeys(("high24h", "low24h", "open24h", "sodUtc0", "sodUtc8"), price)
        return {"instId": self.instrument.family, "idxPx": price, "ts": self._ts()} | around

    def ticker_row(self) -> Row:
        """Return the row of the ticker."""
        bid, ask = max(self.bids, default=None), min(self.asks, default=None)
        last = text(self.last)
        around = dict.fromkeys(("open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"), last)
        return around | {
            "instType": self.instrument.inst_type,
            "instId": self.instrument.inst_id,
            "last": last,
            "lastSz": str(self.trades[-1]["sz"]) if self.trades else "0",
            "askPx": text(ask),
            "askSz": text(self.asks[ask]) if ask is not None else "",
            "bidPx": text(bid),
            "bidSz": text(self.bids[bid]) if bid is not None else "",
            "volCcy24h": "0",
            "vol24h": "0",
            "ts": self._ts(),
        }

    # --- helpers

    def _levels(self, depth: int) -> Row:
        return {
            "asks": [[text(price), text(self.asks[price]), "0", "1"] for price in sorted(self.asks)[:depth]],
            "bids": [
                [text(price), text(self.bids[price]), "0", "1"] for price in sorted(self.bids, reverse=True)[:depth]
            ],
        }

    def _tell_update(self, changed: Mapping[str, list[list[str]]], before: int) -> None:
        row: Row = dict(changed) | {"ts": self._ts(), "checksum": 0, "prevSeqId": before, "seqId": self.seq}
        self._push("books", [row], action="update")

    def _tell_tops(self) -> None:
        self._push("books5", [self.top(5)])
        self._push("bbo-tbt", [self.top(1)])
        self._tell_ticker()

    def _tell_ticker(self) -> None:
        self._push("tickers", [self.ticker_row()])

    def _push(self, channel: str, data: list[Row] | list[list[str]], *, action: str = "") -> None:
        self._tell(Push(channel, data, self.instrument.inst_id, self.instrument.inst_type, action))

    def _ts(self) -> str:
        return str(self.clock.now_ms())


def _gone(side: dict[Decimal, Decimal], kept: list[tuple[str, str]]) -> list[tuple[str, str]]:
    prices = {Decimal(price) for price, _ in kept}
    return [(text(price), "0") for price in side if price not in prices]


def _apply(side: dict[Decimal, Decimal], levels: Levels) -> list[list[str]]:
    # Write the levels into the side and return them as the wire shows them.
    rows = []
    for price, size in levels:
        if Decimal(size) == ZERO:
            side.pop(Decimal(price), None)
            rows.append([price, "0", "0", "0"])
        else:
            side[Decimal(price)] = Decimal(size)
            rows.append([price, size, "0", "1"])
    return rows
