"""An order book rebuilt from a recording: snapshots, level changes, the best five levels and OKX's old checksum."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal
from zlib import crc32

from schemas.events.market import BookLevel, BookTop
from schemas.values import Price
from services.feeds.instruments.okx import ToBase
from services.feeds.model import BadLine

DEPTH = 5
"""Levels a side in a BookTop."""
_CHECKSUM_DEPTH = 25
_LIMIT = Decimal(10) ** 20

RawLevel = tuple[str, str]
"""Price and size as the venue wrote them."""


class _Side:
    """One side: prices in ascending order and what each level says."""

    __slots__ = ("best_is_last", "levels", "prices")

    def __init__(self, best_is_last: bool) -> None:
        self.prices: list[Decimal] = []
        self.levels: dict[Decimal, RawLevel] = {}
        self.best_is_last = best_is_last

    def clear(self) -> None:
        self.prices.clear()
        self.levels.clear()

    def apply(self, changes: Iterable[tuple[Decimal, RawLevel | None]]) -> None:
        """Set, change or (None) delete levels. A level that is deleted need not exist."""
        for price, level in changes:
            if level is not None:
                if price not in self.levels:
                    insort(self.prices, price)
                self.levels[price] = level
            elif self.levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]

    def best(self, depth: int) -> list[RawLevel]:
        prices = self.prices[-depth:][::-1] if self.best_is_last else self.prices[:depth]
        return [self.levels[price] for price in prices]


class Book:
    """Both sides of one instrument's book, sizes as the venue counts them; ``to_base`` converts them."""

    __slots__ = ("_last_top", "asks", "bids", "instrument_id", "to_base")

    def __init__(self, instrument_id: str, to_base: ToBase) -> None:
        self.instrument_id = instrument_id
        self.to_base = to_base
        self.bids = _Side(best_is_last=True)
        self.asks = _Side(best_is_last=False)
        self._last_top: tuple[list[RawLevel], list[RawLevel]] | None = None

    def load(self, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        """Replace the book by a snapshot."""
        bid_levels, ask_levels = _changes(bids), _changes(asks)
        self.bids.clear()
        self.asks.clear()
        self.bids.apply(bid_levels)
        self.asks.apply(ask_levels)

    def apply(self, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        """Apply level changes, all or (raising BadLine or ArithmeticError for a level that is none) nothing."""
        bid_changes, ask_changes = _changes(bids), _changes(asks)
        self.bids.apply(bid_changes)
        self.asks.apply(ask_changes)

    def changed_top(self, seq_id: int | None) -> BookTop | None:
        """Return the best five levels a side if one of them changed since the last call, sizes in base currency."""
        top = (self.bids.best(DEPTH), self.asks.best(DEPTH))
        if top == self._last_top or not top[0] or not top[1]:
            return None
        self._last_top = top
        return book_top(self.instrument_id, self.to_base, *top, seq_id=seq_id)

    def forget_top(self) -> None:
        """Let ``changed_top`` speak next time in any case: the levels are news again after a loss."""
        self._last_top = None

    def checksum(self) -> int:
        """Return the signed CRC32 of the best 25 levels. Source: OKX v5 docs before 2026-06-23, order book checksum."""
        bids, asks = self.bids.best(_CHECKSUM_DEPTH), self.asks.best(_CHECKSUM_DEPTH)
        parts: list[str] = []
        for index in range(max(len(bids), len(asks))):
            for side in (bids, asks):
                if index < len(side):
                    parts.extend(side[index])
        value = crc32(":".join(parts).encode())
        return value - (1 << 32) if value >= 1 << 31 else value


def _changes(rows: Iterable[Sequence[str]]) -> list[tuple[Decimal, RawLevel | None]]:
    found: list[tuple[Decimal, RawLevel | None]] = []
    for row in rows:
        price, size = Decimal(row[0]), Decimal(row[1])
        if not 0 < price < _LIMIT or not 0 <= size < _LIMIT:
            raise BadLine(f"book level {row[0]!r} x {row[1]!r} is out of range")
        found.append((price, (row[0], row[1]) if size else None))
    return found


def book_top(
    instrument_id: str,
    to_base: ToBase,
    bids: Iterable[Sequence[str]],
    asks: Iterable[Sequence[str]],
    *,
    seq_id: int | None,
) -> BookTop:
    """Return the levels of a venue's message, best first, as an event with sizes in base currency."""
    return BookTop(instrument_id, _levels(to_base, bids), _levels(to_base, asks), seq_id)


def _levels(to_base: ToBase, rows: Iterable[Sequence[str]]) -> tuple[BookLevel, ...]:
    levels = ((Decimal(row[0]), Decimal(row[1])) for row in rows)
    return tuple(BookLevel(Price(price), to_base(size, price)) for price, size in levels)
