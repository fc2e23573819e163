"""Which price a stop is watched on at the moment it is intended, so that the order event can say it.

A stop asks for MARK or INDEX; last stands in where that price is missing, stale or coarser than the bars of the feed.
The paper venue goes by the same rule on every tick, OKX watches what it is asked to; the fill says what fired.
Source: domain definitions, sections 1 (staleness) and 6 (trigger source).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Event
from schemas.events.common import TriggerPriceType
from schemas.events.market import Channel, FeedStatus, IndexPrice, InstrumentDefined, MarkPrice, Trade, VenueBar
from schemas.staleness import age_max
from schemas.values import SECOND

SPOKEN_IN_BAR_MIN = 2
"""A price that spoke less often inside the last bar is coarser than the bars."""
TICK_FED_US = 60 * SECOND
"""An instrument without a trade for this long is fed by bars."""


@dataclass(slots=True)
class Spoken:
    """When a price last spoke (-1: never), how often it is due, how often it spoke in this bar and in the last one."""

    channel: Channel
    ts: int = -1
    cadence_us: int | None = None
    in_bar: int = 0
    in_last_bar: int | None = None

    def say(self, ts: int) -> None:
        """Note that the price spoke."""
        self.ts = ts
        self.in_bar += 1

    def close_bar(self) -> None:
        """Note that a bar closed."""
        self.in_last_bar, self.in_bar = self.in_bar, 0

    def is_missing(self, now: int) -> bool:
        """Whether it never spoke, or too long ago."""
        return self.ts < 0 or now - self.ts > age_max(self.channel, self.cadence_us)

    def is_coarse(self) -> bool:
        """Whether the last bar, if there was one, had too few of it to be watched inside a bar."""
        return self.in_last_bar is not None and self.in_last_bar < SPOKEN_IN_BAR_MIN


@dataclass(slots=True)
class Prices:
    """Mark and index of an instrument; when it last traded on a tick feed (-1: never); its shortest bar (0: none)."""

    mark: Spoken = field(default_factory=lambda: Spoken(Channel.MARK))
    index: Spoken = field(default_factory=lambda: Spoken(Channel.INDEX))
    ts_trade: int = -1
    bar_us: int = 0


PricesOf = dict[str, Prices]
Instruments = dict[str, InstrumentDefined]


def source(
    prices: PricesOf, instrument: InstrumentDefined, asked: TriggerPriceType, now: int, *, mark_substitute: bool
) -> TriggerPriceType:
    """Return the price the paper venue watches at ``now`` for a stop on ``asked``: that one, or LAST in its place."""
    if asked is TriggerPriceType.LAST:
        return asked
    known = prices.get(instrument.instrument_id) or Prices()
    on_mark = asked is TriggerPriceType.MARK
    spoken = known.mark if on_mark else known.index
    tick_fed = known.ts_trade >= 0 and now - known.ts_trade <= TICK_FED_US
    if not tick_fed and spoken.is_coarse():
        return TriggerPriceType.LAST
    may_stand_in = mark_substitute or not on_mark
    return TriggerPriceType.LAST if may_stand_in and spoken.is_missing(now) else asked


def note(prices: PricesOf, instruments: Instruments, event: Event, now: int) -> None:
    """Learn from one message; types that say nothing about these prices are passed over."""
    rule = _NOTES.get(type(event))
    if rule is not None:
        rule(prices, instruments, event, now)


def _trade(prices: PricesOf, instruments: Instruments, event: Trade, now: int) -> None:
    known = prices.get(event.instrument_id)
    if known is not None:
        known.ts_trade = now


def _bar(prices: PricesOf, instruments: Instruments, event: VenueBar, now: int) -> None:
    known = prices.get(event.instrument_id)
    length = now - event.ts_open
    if known is None or event.backfill or (known.bar_us and length > known.bar_us):
        return  # A longer bar repeats what the shorter ones said.
    known.bar_us = length
    known.mark.close_bar()
    known.index.close_bar()


def _mark(prices: PricesOf, instruments: Instruments, event: MarkPrice, now: int) -> None:
    known = prices.get(event.instrument_id)
    if known is not None:
        known.mark.say(now)


def _index(prices: PricesOf, instruments: Instruments, event: IndexPrice, now: int) -> None:
    for known in _on_index(prices, instruments, event.instrument_id):
        known.index.say(now)


def _feed(prices: PricesOf, instruments: Instruments, event: FeedStatus, now: int) -> None:
    if event.cadence_us is None:
        return
    if event.channel is Channel.MARK and event.instrument_id in prices:
        prices[event.instrument_id].mark.cadence_us = event.cadence_us
    elif event.channel is Channel.INDEX:
        for known in _on_index(prices, instruments, event.instrument_id):
            known.index.cadence_us = event.cadence_us


def _instrument(prices: PricesOf, instruments: Instruments, event: InstrumentDefined, now: int) -> None:
    prices.setdefault(event.instrument_id, Prices())


def _on_index(prices: PricesOf, instruments: Instruments, index_id: str) -> list[Prices]:
    """Return the prices of the instruments on an index; some feeds name it by the instrument's own id."""
    return [
        prices[name]
        for name, instrument in instruments.items()
        if index_id in (name, f"{instrument.base_currency}-{instrument.quote_currency}")
    ]


_NOTES: dict[type[Event], Callable[[PricesOf, Instruments, Any, int], None]] = {
    Trade: _trade,
    VenueBar: _bar,
    MarkPrice: _mark,
    IndexPrice: _index,
    FeedStatus: _feed,
    InstrumentDefined: _instrument,
}
