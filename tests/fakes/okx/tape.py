"""A market that moves by itself: recorded or made-up minutes, moved in time so that the last known one closes now.

Inside a minute the price walks open, one extreme, the other, close; every step is a trade, a book around it, mark and
index, and the running candles. Past the end the tape starts over, shifted so that the price does not jump.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tests.fakes.okx.control import Control
from tests.fakes.okx.numbers import round_to, text
from tests.fakes.okx.venue import Venue

MINUTE_MS = 60_000
BARS_MIN = {"1m": 1, "5m": 5, "15m": 15, "1H": 60, "4H": 240}
"""Candles kept, by their length in minutes; all of these lie on UTC multiples."""
STEP_CONTRACTS = Decimal(1)


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute: prices, and volume in contracts."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def shifted(self, by: Decimal) -> Bar:
        """Return it with every price moved."""
        return Bar(self.open + by, self.high + by, self.low + by, self.close + by, self.volume)

    def at(self, share: Decimal) -> Decimal:
        """Return the price after that share of the minute (0..1)."""
        turns = (self.low, self.high) if self.close >= self.open else (self.high, self.low)
        points = (self.open, *turns, self.close)
        leg = min(int(share * 3), 2)
        return points[leg] + (points[leg + 1] - points[leg]) * (share * 3 - leg)


def read_bars(path: Path, contract: Decimal) -> list[Bar]:
    """Read a recorded candle file (``ts_ms,open,high,low,close,volume_base``, gzip); ``contract``: base coin of one."""
    with gzip.open(path, "rt") as lines:
        return [_recorded(row, contract) for row in csv.DictReader(lines)]


def _recorded(row: dict[str, str], contract: Decimal) -> Bar:
    first, high, low, last = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
    return Bar(first, high, low, last, Decimal(row["volume_base"]) / contract)


def made_up_bars(price: Decimal, tick: Decimal, count: int, seed: int) -> list[Bar]:
    """Return a random walk of ``count`` minutes that starts at ``price``; the same for the same seed."""
    chance, bars = random.Random(seed), []
    for _ in range(count):
        moves = [round_to(price * abs(Decimal(chance.randint(-20, 20))) / 10_000, tick) for _ in range(3)]
        close = price + moves[0] * chance.choice((-1, 1))
        high, low = max(price, close) + moves[1], min(price, close) - moves[2]
        bars.append(Bar(price, high, low, close, Decimal(chance.randint(100, 1000))))
        price = close
    return bars


class Tape:
    """Drives one instrument of a venue along its minutes."""

    def __init__(self, venue: Venue, inst_id: str, bars: Sequence[Bar]) -> None:
        """Take the minutes; nothing moves yet."""
        if not bars:
            raise ValueError(f"a tape for {inst_id} needs at least one minute")
        self.venue, self.inst_id, self._bars = venue, inst_id, list(bars)
        self._market = venue.market(inst_id)
        self._tick = self._market.instrument.tick
        self._minute = 0
        self._next = 0
        self._shift = Decimal(0)
        self._bar = self._so_far = self._bars[0]
        self._running: dict[str, Bar] = {}

    def load(self, minutes: int) -> None:
        """Give the venue that many closed minutes up to now, with the longer candles, and the last price."""
        now = self.venue.clock.now_ms()
        self._minute = now - now % MINUTE_MS
        for number in range(minutes, 0, -1):
            self._fold(self._minute - number * MINUTE_MS, self._take(), running=number == 1)
        self._begin()

    def step(self) -> None:
        """Bring the market to where the venue's clock is, closing the minutes that have passed."""
        now = self.venue.clock.now_ms()
        while now >= self._minute + MINUTE_MS:
            self._fold(self._minute, self._bar)
            self._minute += MINUTE_MS
            self._begin()
        price = self._bar.at(Decimal(now - self._minute) / MINUTE_MS)
        self._move(price)
        self._so_far = _joined(self._so_far, Bar(price, price, price, price, STEP_CONTRACTS))
        self._market.set_candle("1m", self._minute, _values(self._so_far), confirm=False)

    def _begin(self) -> None:
        self._bar = self._take()
        first = self._bar.open
        self._so_far = Bar(first, first, first, first, Decimal(0))
        self._move(first)

    def _take(self) -> Bar:
        if self._next == len(self._bars):
            self._shift += self._bars[-1].close - self._bars[0].open
            self._next = 0
        bar = self._bars[self._next].shifted(self._shift)
        self._next += 1
        return bar

    def _move(self, price: Decimal) -> None:
        whole = text(round_to(price, self._tick))
        rises = Decimal(whole) >= self._market.last
        self.venue.set_price(self.inst_id, whole)
        self.venue.print_trade(self.inst_id, whole, text(STEP_CONTRACTS), "buy" if rises else "sell")

    def _fold(self, opened: int, bar: Bar, *, running: bool = True) -> None:
        # Write the minute and the longer candles it belongs to; a candle is confirmed by its last minute. While the
        # history loads, the unconfirmed states of a candle are left out.
        for name, minutes in BARS_MIN.items():
            length = minutes * MINUTE_MS
            start = opened - opened % length
            known = self._running.get(name)
            whole = bar if known is None or start == opened else _joined(known, bar)
            self._running[name] = whole
            confirm = opened + MINUTE_MS == start + length
            if confirm or running:
                self._market.set_candle(name, start, _values(whole), confirm=confirm)
            if name == "1m":
                self._market.set_candle(name, start, _values(whole), confirm=confirm, mark=True)


class MovingMarket:
    """All tapes of a venue, and funding when it is due."""

    def __init__(self, venue: Venue, tapes: Sequence[Tape], history_min: int) -> None:
        """Load the history of every tape."""
        self.venue, self.control, self._tapes = venue, Control(venue), list(tapes)
        for tape in self._tapes:
            tape.load(history_min)

    def step(self) -> None:
        """Move everything to now; liquidate and settle what is due."""
        for tape in self._tapes:
            tape.step()
        self.control.liquidate_due()
        for inst_id, market in self.venue.markets.items():
            while market.instrument.is_swap and self.venue.clock.now_ms() >= market.funding.time_ms:
                self.control.settle_funding(inst_id)


def _joined(first: Bar, then: Bar) -> Bar:
    volume = first.volume + then.volume
    return Bar(first.open, max(first.high, then.high), min(first.low, then.low), then.close, volume)


def _values(bar: Bar) -> dict[str, str]:
    return {"o": text(bar.open), "h": text(bar.high), "l": text(bar.low), "c": text(bar.close), "vol": text(bar.volume)}
