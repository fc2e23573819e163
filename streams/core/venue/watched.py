"""A price the venue watches for stops beside the last one, the mark or the index, and its range inside a bar.

Where it is missing or stale last stands in. Source: domain definitions, sections 1 (staleness) and 6 (trigger source).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.market import Channel
from schemas.staleness import age_max

SPOKEN_IN_BAR_MIN = 2
"""A price that spoke less often between two bars is coarser than they are: the trade bar is watched instead."""


@dataclass(frozen=True, slots=True)
class Span:
    """First, highest and lowest of a price between two bar closes."""

    open_price: Decimal
    high_price: Decimal
    low_price: Decimal


@dataclass(slots=True)
class Watched:
    """The newest price (None: none yet), its time, and its span since the last bar closed.

    ``cadence_us``: as its feed declared it. ``count``: how often it spoke in the span.
    """

    channel: Channel
    price: Decimal | None = None
    ts: int = -1
    cadence_us: int | None = None
    count: int = 0
    span: Span | None = None

    def take(self, price: Decimal, ts: int) -> None:
        """Remember a new price."""
        self.price, self.ts = price, ts
        self.count += 1
        span = self.span
        if span is None:
            self.span = Span(price, price, price)
        elif price > span.high_price:
            self.span = Span(span.open_price, price, span.low_price)
        elif price < span.low_price:
            self.span = Span(span.open_price, span.high_price, price)

    def span_of_bar(self) -> Span | None:
        """Return its span in the bar that closes now; None: it is coarser than the bars."""
        return self.span if self.count >= SPOKEN_IN_BAR_MIN else None

    def start_bar(self) -> None:
        """Begin the next bar at the price that stands."""
        self.count = 0
        self.span = None if self.price is None else Span(self.price, self.price, self.price)

    def is_missing(self, now: int) -> bool:
        """Whether there is none, or it is stale."""
        return self.price is None or now - self.ts > age_max(self.channel, self.cadence_us)
