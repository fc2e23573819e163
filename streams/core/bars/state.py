"""What the bars stage remembers: the bar being built from prints, and the longer bars being built from shorter ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from schemas.events.common import Quality
from streams.core.twin import twin

NEVER = 1 << 62
"""A moment that does not come."""


@dataclass(slots=True)
class PrintBar:
    """The one-minute bar that prints are building. ``turnover``: sum of price x base quantity, for the vwap."""

    ts_open: int
    ts_close: int
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    base_volume: Decimal
    turnover: Decimal
    tick_count: int
    complete: bool
    quality: Quality


@dataclass(slots=True)
class Bucket:
    """A longer bar under construction from the pieces ``piece_us`` long.

    ts_next: where the next piece should begin. covered_us: time filled by pieces.
    turnover: None as soon as one piece does not know its own. from_prints: every piece was built from prints.
    """

    ts_open: int
    ts_close: int
    ts_next: int
    covered_us: int
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    base_volume: Decimal
    turnover: Decimal | None
    tick_count: int
    complete: bool
    quality: Quality
    backfill: bool
    from_prints: bool
    piece_us: int


@dataclass(slots=True)
class Book:
    """One instrument.

    venue: the venue's own bars are on, prints are ignored. closed: open time of the newest bar emitted, by timeframe.
    watched_from: since when no print can have been missed; NEVER: not watched. gap: the quality stage says prints are
    missing now. due_us: when the clock alone closes something.
    """

    venue: bool = False
    quality: Quality = Quality.GOOD
    prints: PrintBar | None = None
    buckets: dict[str, Bucket] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    watched_from: int = NEVER
    gap: bool = False
    due_us: int = NEVER

    def trial(self) -> Book:
        """Return a copy on which a message can be tried out."""
        copied = twin(self)
        copied.prints = None if self.prints is None else twin(self.prints)
        copied.buckets = {timeframe: twin(bucket) for timeframe, bucket in self.buckets.items()}
        copied.closed = dict(self.closed)
        return copied


@dataclass(slots=True)
class BarsState:
    """All instruments, and the moment before which the clock closes nothing in any of them."""

    books: dict[str, Book] = field(default_factory=dict)
    due_us: int = NEVER
