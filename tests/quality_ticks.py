"""Ticks of one instrument, and what the quality stage says about them, for its tests."""

from __future__ import annotations

from decimal import Decimal

from schemas.envelope import Message
from schemas.events.common import Quality, Side
from schemas.events.control import TimerFired
from schemas.events.data import (
    QualityChanged,
    QualityReason,
    QuarantineReason,
    TickQuarantined,
)
from schemas.events.market import (
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.values import Price, Quantity
from tests.builders import at, message
from tests.spec import Spec

BTC, ETH = "BTC-USDT-SWAP", "ETH-USDT-SWAP"


def trade(number: int, price: str, seconds: float, *, instrument_id: str = BTC) -> Message:
    """One print at ``seconds`` after T0."""
    event = Trade(instrument_id, str(number), Side.BUY, Price(Decimal(price)), Quantity(Decimal("0.5")))
    return message(event, ts=at(seconds), event_id=f"trade-{instrument_id}-{number}-{seconds}")


def quote(bid: str, ask: str, seconds: float) -> Message:
    """Best bid and ask."""
    one = Quantity(Decimal(1))
    return message(Quote(BTC, Price(Decimal(bid)), one, Price(Decimal(ask)), one), ts=at(seconds), event_id="quote")


def mark(price: str, seconds: float) -> Message:
    """A mark price."""
    return message(MarkPrice(BTC, Price(Decimal(price))), ts=at(seconds), event_id="mark")


def bar(minute: int, close: str, *, high: str | None = None, low: str | None = None, backfill: bool = False) -> Message:
    """The one-minute bar that opens ``minute`` minutes after T0; flat unless told otherwise."""
    price = Price(Decimal(close))
    top, bottom = Price(Decimal(high or close)), Price(Decimal(low or close))
    event = VenueBar(BTC, "1m", at(60 * minute), price, top, bottom, price, Quantity(Decimal(3)), backfill)
    return message(event, ts=at(60 * (minute + 1)), event_id=f"bar-{minute}")


def status(channel: Channel, state: FeedState, seconds: float, *, cadence_us: int | None = None) -> Message:
    """The feed's word on a channel."""
    return message(FeedStatus(BTC, channel, state, FeedOrigin.RECORDED, "test", cadence_us, "cut"), ts=at(seconds))


def quarantined(reason: QuarantineReason, channel: Channel, cause: str, detail: str) -> TickQuarantined:
    return TickQuarantined(BTC, channel, reason, cause, detail)


def changed(quality: Quality, previous: Quality, *reasons: QualityReason) -> QualityChanged:
    return QualityChanged(BTC, quality, previous, reasons)


def reason_of(spec: Spec) -> QuarantineReason:
    """The reason of the only tick set aside."""
    (only,) = spec.of(TickQuarantined)
    reason: QuarantineReason = only.reason
    return reason


def timer(seconds: float) -> Message:
    return message(TimerFired("paper"), ts=at(seconds))
