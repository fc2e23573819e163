"""Data quality and bars: what the trader makes of the ticks before it computes anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from schemas.envelope import Event
from schemas.events.common import Quality
from schemas.events.market import Channel
from schemas.values import Micros, Price, Quantity


class QualityReason(StrEnum):
    """Why data is less than GOOD."""

    GAP = "GAP"
    STALE = "STALE"
    OUTLIER = "OUTLIER"
    FEED_LOST = "FEED_LOST"
    CROSSED_BOOK = "CROSSED_BOOK"


class QuarantineReason(StrEnum):
    """Why a tick was set aside."""

    DUPLICATE = "DUPLICATE"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    OUTLIER = "OUTLIER"
    INVALID = "INVALID"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"


@dataclass(frozen=True, slots=True)
class QualityChanged(Event):
    """An instrument's quality moved; ``reasons`` are those that hold now."""

    instrument_id: str
    quality: Quality
    previous: Quality
    reasons: tuple[QualityReason, ...]


@dataclass(frozen=True, slots=True)
class GapOpened(Event):
    """Data that should be there is missing from ``ts_from`` on."""

    instrument_id: str
    channel: Channel
    ts_from: Micros
    detail: str


@dataclass(frozen=True, slots=True)
class GapClosed(Event):
    """A gap ended; ``missing``: how many messages were expected in it, None where the channel has no cadence."""

    instrument_id: str
    channel: Channel
    ts_from: Micros
    ts_to: Micros
    missing: int | None


@dataclass(frozen=True, slots=True)
class TickQuarantined(Event):
    """A tick no later stage may act on."""

    stops_cause: ClassVar[bool] = True

    instrument_id: str
    channel: Channel
    reason: QuarantineReason
    tick_event_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class MessageQuarantined(Event):
    """An input record that could not be decoded, at the step that met it; ``raw``: its first 1024 bytes."""

    topic: str
    at_step: int
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class BarClosed(Event):
    """A closed bar. ``complete``: no part of it is missing. ``vwap``: None where only the venue's bar is known."""

    instrument_id: str
    timeframe: str
    ts_open: Micros
    ts_close: Micros
    open_price: Price
    high_price: Price
    low_price: Price
    close_price: Price
    base_volume: Quantity
    tick_count: int
    vwap: Price | None
    quality: Quality
    complete: bool
    backfill: bool
