"""What the quality stage remembers: one lane for each channel of each instrument, of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from schemas.events.common import Quality
from schemas.events.data import QualityReason
from schemas.events.market import Channel
from streams.core.twin import twin

TRADE_IDS_KEPT = 512
"""A generation of trade ids: between one and two of them are remembered. Older repeats are out of order anyway."""

_NO_LIMIT = Decimal("1E+30")


@dataclass(slots=True)
class Lane:
    """One channel of one instrument. All moments in microseconds; 0: never.

    ts_last: newest accepted message. ts_alive: that, or the feed's word that the channel is open.
    ts_from: the end of what has arrived, where a gap would begin.
    low, high: a price strictly between them needs no further look. suspects: outliers in a row around ``suspect``.
    """

    in_use: bool = False
    lost: bool = False
    ended: bool = False
    cadence_us: int | None = None
    stale_us: int | None = None
    ts_last: int = 0
    ts_alive: int = 0
    gap_from: int | None = None
    gap_hold_until: int = 0
    outlier_hold_until: int = 0
    price: Decimal | None = None
    low: Decimal = Decimal(0)
    high: Decimal = _NO_LIMIT
    suspect: Decimal | None = None
    suspects: int = 0

    def overdue(self, now: int) -> bool:
        """Say whether the channel should have spoken by now and has not."""
        return self.in_use and self.stale_us is not None and now - self.ts_alive > self.stale_us


@dataclass(slots=True)
class Slot:
    """One instrument. ``calm``: GOOD and nothing to watch, so that an ordinary tick can pass at once."""

    defined: bool = False
    quality: Quality = Quality.BAD
    reasons: tuple[QualityReason, ...] = ()
    calm: bool = False
    crossed: bool = False
    trades: Lane = field(default_factory=Lane)
    quotes: Lane = field(default_factory=Lane)
    book: Lane = field(default_factory=Lane)
    bars: Lane = field(default_factory=Lane)
    mark: Lane = field(default_factory=Lane)
    index: Lane = field(default_factory=Lane)
    funding: Lane = field(default_factory=Lane)
    trade_ids: dict[str, int] = field(default_factory=dict)
    trade_ids_before: dict[str, int] = field(default_factory=dict)
    bar_opens: dict[str, int] = field(default_factory=dict)
    ts_settled: int = 0

    def lane(self, channel: Channel) -> Lane:
        """Return the lane of a channel."""
        lane: Lane = getattr(self, LANE_NAMES[channel])
        return lane

    def punctual(self, now: int) -> bool:
        """Say whether no channel that quality speaks of is overdue."""
        return not (
            self.trades.overdue(now)
            or self.quotes.overdue(now)
            or self.bars.overdue(now)
            or self.mark.overdue(now)
            or self.book.overdue(now)
        )

    def trial(self) -> Slot:
        """Return a copy on which a message can be tried out; the remembered trade ids are shared, not copied."""
        copied = twin(self)
        copied.bar_opens = dict(self.bar_opens)
        for name in LANE_NAMES.values():
            setattr(copied, name, twin(getattr(self, name)))
        return copied


LANE_NAMES: dict[Channel, str] = {
    Channel.TRADES: "trades",
    Channel.QUOTES: "quotes",
    Channel.BOOK: "book",
    Channel.BARS: "bars",
    Channel.MARK: "mark",
    Channel.INDEX: "index",
    Channel.FUNDING: "funding",
}


@dataclass(slots=True)
class QualityState:
    """All instruments, and when the clock is next compared with them."""

    slots: dict[str, Slot] = field(default_factory=dict)
    next_check_us: int = 0
