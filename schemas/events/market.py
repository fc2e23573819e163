"""Ticks: what the market said. Written by the market gateway or the importer; quantities are in base currency."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import MarginMode, Side
from schemas.values import Micros, Money, Price, Quantity, Rate, Ratio, truncate_to


class InstrumentKind(StrEnum):
    """What kind of product an instrument is; only linear swaps and spot are traded."""

    SPOT = "SPOT"
    SWAP = "SWAP"


class InstrumentState(StrEnum):
    """The venue's word on an instrument."""

    LIVE = "LIVE"
    SUSPEND = "SUSPEND"
    PREOPEN = "PREOPEN"
    EXPIRED = "EXPIRED"
    TEST = "TEST"


class Channel(StrEnum):
    """One kind of market data of one instrument."""

    TRADES = "TRADES"
    QUOTES = "QUOTES"
    BOOK = "BOOK"
    BARS = "BARS"
    MARK = "MARK"
    INDEX = "INDEX"
    FUNDING = "FUNDING"


class FeedState(StrEnum):
    """Whether a channel is delivering."""

    OPEN = "OPEN"
    LOST = "LOST"
    RESYNCED = "RESYNCED"
    ENDED = "ENDED"

    @property
    def is_down(self) -> bool:
        """Whether what the channel last said is no word on the present any more."""
        return self in (FeedState.LOST, FeedState.ENDED)


class FeedOrigin(StrEnum):
    """Where a feed's data comes from; shown in every summary."""

    LIVE = "LIVE"
    RECORDED = "RECORDED"
    SYNTHETIC = "SYNTHETIC"


class Tick(Event):
    """A message of one channel about one instrument: what quality judges before any other stage sees it."""

    __slots__ = ()
    instrument_id: str


@dataclass(frozen=True, slots=True)
class Trade(Tick):
    """One public trade. ``side``: the aggressor's."""

    instrument_id: str
    trade_id: str
    side: Side
    last_price: Price
    base_quantity: Quantity


@dataclass(frozen=True, slots=True)
class Quote(Tick):
    """Best bid and ask."""

    instrument_id: str
    bid_price: Price
    bid_quantity: Quantity
    ask_price: Price
    ask_quantity: Quantity


@dataclass(frozen=True, slots=True)
class BookLevel:
    """One price level of an order book."""

    price: Price
    base_quantity: Quantity


@dataclass(frozen=True, slots=True)
class BookTop(Tick):
    """The best five levels a side, best first, whenever one of them changed."""

    instrument_id: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    seq_id: int | None = None


@dataclass(frozen=True, slots=True)
class MarkPrice(Tick):
    """The venue's mark price."""

    instrument_id: str
    mark_price: Price


@dataclass(frozen=True, slots=True)
class IndexPrice(Tick):
    """The venue's index price."""

    instrument_id: str
    index_price: Price


@dataclass(frozen=True, slots=True)
class FundingRate(Tick):
    """A forecast of the next funding rate; nothing is paid on it."""

    instrument_id: str
    funding_rate: Rate
    ts_funding: Micros
    ts_next_funding: Micros | None = None


@dataclass(frozen=True, slots=True)
class FundingSettled(Tick):
    """The funding rate that was settled at ``ts_funding``; positive: longs pay."""

    instrument_id: str
    funding_rate: Rate
    ts_funding: Micros
    ts_next_funding: Micros | None = None


@dataclass(frozen=True, slots=True)
class VenueBar(Tick):
    """A closed bar of trades as the venue published it; its ``ts_event`` is its close time.

    ``backfill``: history loaded for warm-up; stages learn from it, nothing is decided or filled on it.
    """

    instrument_id: str
    timeframe: str
    ts_open: Micros
    open_price: Price
    high_price: Price
    low_price: Price
    close_price: Price
    base_volume: Quantity
    backfill: bool = False


@dataclass(frozen=True, slots=True)
class MarginTier:
    """One row of the venue's position tiers; ``quantity_max`` is in contracts, inclusive."""

    margin_mode: MarginMode
    tier: int
    quantity_max: Quantity
    mmr: Rate
    margin_leverage_max: Ratio


NO_MAXIMUM = Quantity(Decimal(10**20 - 1))
"""The quantity of a maximum that the venue does not name."""


@dataclass(frozen=True, slots=True)
class InstrumentDefined(Event):
    """The metadata in force from now on. Prices, lots and minimums in the instrument's own unit (contracts for swaps).

    ``contract_value``: base currency per contract; 1 for spot. ``source``: where the row comes from, with its date.
    ``market_notional_max``: largest value of a market order in quote currency, as venues name it for spot; None: only
    the quantity is bounded.
    """

    instrument_id: str
    kind: InstrumentKind
    base_currency: str
    quote_currency: str
    contract_value: Quantity
    contract_multiplier: Quantity
    tick_size: Price
    lot_size: Quantity
    min_quantity: Quantity
    market_quantity_max: Quantity
    limit_quantity_max: Quantity
    state: InstrumentState
    tiers: tuple[MarginTier, ...]
    source: str
    market_notional_max: Money | None = None

    def market_maximum(self, price: Decimal) -> Decimal:
        """Return the largest quantity of a market order at a price, in whole lots."""
        if self.market_notional_max is None:
            return self.market_quantity_max
        unit = price * self.contract_value * self.contract_multiplier
        return min(self.market_quantity_max, truncate_to(self.market_notional_max / unit, self.lot_size))


@dataclass(frozen=True, slots=True)
class FeedStatus(Event):
    """A channel opened, was lost, resynced or ended; declares the cadence that staleness is relative to.

    ``cadence_us``: expected microseconds between messages; None where the channel only speaks when something happens.
    ``lost_us``: on RESYNCED, how long the channel had been lost; None where it is not known.
    """

    instrument_id: str
    channel: Channel
    state: FeedState
    origin: FeedOrigin
    source: str
    cadence_us: int | None = None
    detail: str = ""
    lost_us: int | None = None


@dataclass(frozen=True, slots=True)
class LineQuarantined(Event):
    """A line of a recorded file that could not be read; kept here, never dropped silently."""

    instrument_id: str
    source: str
    line_number: int
    reason: str
    raw: str
