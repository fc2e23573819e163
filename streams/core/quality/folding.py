"""How each message changes what is known of its instrument. Changes the slot in place, decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.data import GapClosed, GapOpened, QuarantineReason
from schemas.events.market import (
    BookTop,
    Channel,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.staleness import STALE_CADENCES, TRADES_AGE_MAX
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND
from streams.core.quality.checks import CHANNELS, MARK_LIMIT, TRADE_LIMIT, Verdict
from streams.core.quality.state import TRADE_IDS_KEPT, Lane, Slot

HOLD_US = 60 * SECOND
"""Shortest time a gap or an outlier is remembered."""

_TRADE_LOW, _TRADE_HIGH = 1 - TRADE_LIMIT, 1 + TRADE_LIMIT
_MARK_LOW, _MARK_HIGH = 1 - MARK_LIMIT, 1 + MARK_LIMIT


def accept_trade(slot: Slot, event: Trade, ts: int) -> None:
    """Take in a good trade."""
    lane = slot.trades
    lane.ts_last = lane.ts_alive = ts
    lane.in_use = True
    price = event.last_price
    if price != lane.price:
        lane.price = price
        lane.low = price * _TRADE_LOW
        lane.high = price * _TRADE_HIGH
    lane.suspects = 0
    if lane.stale_us is None:
        lane.stale_us = TRADES_AGE_MAX


def accept_mark(slot: Slot, event: MarkPrice, ts: int) -> None:
    """Take in a good mark price."""
    lane = slot.mark
    lane.ts_last = lane.ts_alive = ts
    lane.in_use = True
    price = event.mark_price
    if price != lane.price:
        lane.price = price
        lane.low = price * _MARK_LOW
        lane.high = price * _MARK_HIGH
    lane.suspects = 0


def accept_quote(slot: Slot, _event: Quote, ts: int) -> None:
    """Take in a good best bid and ask."""
    lane = slot.quotes
    lane.ts_last = lane.ts_alive = ts
    lane.in_use = True
    slot.crossed = False


def accept_book(slot: Slot, _event: BookTop, ts: int) -> None:
    """Take in good best levels."""
    _arrived(slot.book, ts)
    slot.crossed = False


def accept_index(slot: Slot, _event: IndexPrice, ts: int) -> None:
    """Take in a good index price."""
    _arrived(slot.index, ts)


def accept_forecast(slot: Slot, _event: FundingRate, ts: int) -> None:
    """Take in a funding forecast."""
    _arrived(slot.funding, ts)


def accept_settlement(slot: Slot, event: FundingSettled, ts: int) -> None:
    """Take in a funding settlement."""
    _arrived(slot.funding, ts)
    slot.ts_settled = event.ts_funding


def _arrived(lane: Lane, ts: int) -> None:
    lane.ts_last = lane.ts_alive = max(lane.ts_last, ts)
    lane.in_use = True


def accept_bar(slot: Slot, event: VenueBar, ts: int) -> None:
    """Take in a good bar. History does not put the channel in use: nobody promised that more will come."""
    lane, length = slot.bars, TIMEFRAMES[event.timeframe]
    lane.ts_last = max(lane.ts_last, ts)
    lane.ts_alive = max(lane.ts_alive, ts)
    lane.in_use = lane.in_use or not event.backfill
    lane.price = event.close_price
    lane.suspects = 0
    if lane.cadence_us is None or length < lane.cadence_us:
        lane.cadence_us, lane.stale_us = length, STALE_CADENCES * length
    slot.bar_opens[event.timeframe] = event.ts_open


ACCEPT: dict[type[Event], Callable[[Slot, Any, int], None]] = {
    Trade: accept_trade,
    Quote: accept_quote,
    BookTop: accept_book,
    MarkPrice: accept_mark,
    IndexPrice: accept_index,
    FundingRate: accept_forecast,
    FundingSettled: accept_settlement,
    VenueBar: accept_bar,
}
"""How a good tick of each type is taken in: all that a calm instrument needs."""


def remember_trade(slot: Slot, trade_id: str) -> None:
    """Keep a trade id; forget a whole generation at a time, so that neither memory nor time grows."""
    slot.trade_ids[trade_id] = 1
    if len(slot.trade_ids) >= TRADE_IDS_KEPT:
        slot.trade_ids_before = slot.trade_ids
        slot.trade_ids = {}


def accept(slot: Slot, event: Event, ts: int) -> None:
    """Take in a good tick of any type; it also proves that its channel is not lost, unless it was loaded afterwards."""
    ACCEPT[type(event)](slot, event, ts)
    if isinstance(event, VenueBar) and event.backfill:
        return
    lane = slot.lane(CHANNELS[type(event)])
    lane.lost = lane.ended = False


def refuse(slot: Slot, event: Event, verdict: Verdict, now: int) -> None:
    """Take in a quarantined tick: only what it says about the channel."""
    if verdict is None:
        return
    reason = verdict[0]
    slot.crossed = slot.crossed or _crossed(event)
    price = _price(event)
    if reason is not QuarantineReason.OUTLIER or price is None:
        return
    lane = slot.lane(CHANNELS[type(event)])
    limit = MARK_LIMIT if isinstance(event, MarkPrice) else TRADE_LIMIT
    again = lane.suspect is not None and lane.suspects > 0 and abs(price - lane.suspect) <= lane.suspect * limit
    lane.suspects = lane.suspects + 1 if again else 1
    lane.suspect = lane.suspect if again else price
    lane.outlier_hold_until = now + _hold(lane)
    lane.ts_alive = max(lane.ts_alive, now)


def _crossed(event: Event) -> bool:
    if isinstance(event, BookTop):
        return bool(event.bids and event.asks) and event.bids[0].price > event.asks[0].price
    return isinstance(event, Quote) and event.bid_price > event.ask_price


def _price(event: Event) -> Decimal | None:
    match event:
        case Trade():
            return event.last_price
        case MarkPrice():
            return event.mark_price
        case VenueBar():
            return event.close_price
        case _:
            return None


def feed_status(slot: Slot, event: FeedStatus, ts: int) -> None:
    """Take in the feed's word on a channel."""
    lane = slot.lane(event.channel)
    if event.cadence_us is not None:
        lane.cadence_us, lane.stale_us = event.cadence_us, STALE_CADENCES * event.cadence_us
    elif event.channel is Channel.TRADES and lane.stale_us is None:
        lane.stale_us = TRADES_AGE_MAX
    lane.lost = event.state is FeedState.LOST
    lane.ended = event.state is FeedState.ENDED
    lane.in_use = event.state is not FeedState.ENDED
    if event.state in (FeedState.OPEN, FeedState.RESYNCED):
        lane.ts_alive = max(lane.ts_alive, ts)


def apply(slot: Slot, event: Event, verdict: Verdict, *, ts: int, now: int) -> None:
    """Take in a message, its verdict known. Changes the slot and nothing else."""
    if isinstance(event, InstrumentDefined):
        slot.defined = True
    elif isinstance(event, FeedStatus):
        feed_status(slot, event, ts)
    elif verdict is None:
        accept(slot, event, ts)
    else:
        refuse(slot, event, verdict, now)


def apply_gap(slot: Slot, event: GapOpened | GapClosed, now: int) -> None:
    """Take in a gap of our own finding."""
    lane = slot.lane(event.channel)
    if isinstance(event, GapOpened):
        lane.gap_from = event.ts_from
    else:
        lane.gap_from = None
        lane.gap_hold_until = now + _hold(lane)


def _hold(lane: Lane) -> int:
    return max(HOLD_US, lane.stale_us or 0)
