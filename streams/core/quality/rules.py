"""How messages change what is known of an instrument, and the quality that follows from it.

Quality (worst first):

- BAD: no price channel (trades, quotes, bars) is healthy; healthy = has delivered, not lost, not stale, no open gap.
- DEGRADED: a price channel is healthy, and at least one reason holds.
- GOOD: neither. An instrument is BAD, without a word, until its first accepted price.

Reasons and when each ends by itself:

- FEED_LOST: the feed says a channel is lost; until its next message or the feed's word. A channel that ENDED is not
  watched any more; if no price channel is left the reason is FEED_LOST too.
- STALE: ``now - last > 3 * cadence`` on a channel in use (trades without a declared cadence: 5 s; other channels
  without one are never stale, nor is a mark or book that was announced and never came). Until its next message.
- GAP: messages are known to be missing; while the gap is open, and then for 3 cadences (at least 60 s).
- OUTLIER: a tick was quarantined as one; for the same time.
- CROSSED_BOOK: the last quote or book had its bid above its ask; until a sound one.

Source: domain definitions, section 1 (staleness relative to cadence).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.common import Quality
from schemas.events.data import GapClosed, GapOpened, QualityReason, QuarantineReason
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
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, Micros
from streams.core.quality.checks import BARS_TO_BELIEVE, CHANNELS, MARK_LIMIT, TRADE_LIMIT, Verdict
from streams.core.quality.state import TRADE_IDS_KEPT, Lane, Slot

STALE_CADENCES = 3
TRADES_STALE_US = 5 * SECOND
HOLD_US = 60 * SECOND
PRICE_CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BARS)
WATCHED = (*PRICE_CHANNELS, Channel.BOOK, Channel.MARK)
"""Channels that quality speaks of. Index and funding have their gaps reported; no price rests on them."""

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
        lane.stale_us = TRADES_STALE_US


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
    """Take in a good tick of any type; it also proves that its channel is not lost."""
    ACCEPT[type(event)](slot, event, ts)
    lane = slot.lane(CHANNELS[type(event)])
    lane.lost = lane.ended = False


def refuse(slot: Slot, event: Event, verdict: Verdict, now: int) -> None:
    """Take in a quarantined tick: only what it says about the channel."""
    if verdict is None:
        return
    reason = verdict[0]
    if isinstance(event, Quote | BookTop) and reason is QuarantineReason.INVALID:
        slot.crossed = True
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
        lane.stale_us = TRADES_STALE_US
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


def gaps(slot: Slot, event: Event, verdict: Verdict, ts: int) -> list[GapOpened | GapClosed]:
    """Return the gaps this message opens or closes, judged on the state before it."""
    if isinstance(event, FeedStatus):
        return _gaps_of_feed(slot, event, ts)
    if verdict is not None or type(event) not in CHANNELS:
        return []
    if isinstance(event, VenueBar):
        return _gaps_of_bar(slot, event)
    return _gaps_of_tick(slot, event, ts)


def _gaps_of_feed(slot: Slot, event: FeedStatus, ts: int) -> list[GapOpened | GapClosed]:
    lane = slot.lane(event.channel)
    if event.state is not FeedState.LOST or lane.gap_from is not None:
        return []
    detail = event.detail or f"{event.source}: channel lost"
    return [GapOpened(event.instrument_id, event.channel, Micros(lane.ts_last or ts), detail)]


def _gaps_of_tick(slot: Slot, event: Event, ts: int) -> list[GapOpened | GapClosed]:
    channel = CHANNELS[type(event)]
    lane = slot.lane(channel)
    if lane.gap_from is None:
        return []
    missing = None if lane.cadence_us is None else max(0, (ts - lane.gap_from) // lane.cadence_us - 1)
    instrument_id: str = event.instrument_id  # type: ignore[attr-defined]
    return [GapClosed(instrument_id, channel, Micros(lane.gap_from), Micros(ts), missing)]


def _gaps_of_bar(slot: Slot, event: VenueBar) -> list[GapOpened | GapClosed]:
    length = TIMEFRAMES[event.timeframe]
    newest = slot.bar_opens.get(event.timeframe)
    due = event.ts_open if newest is None else newest + length
    found: list[GapOpened | GapClosed] = []
    gap_from = slot.bars.gap_from
    if gap_from is None and event.ts_open > due:
        gap_from = due
        detail = f"{(event.ts_open - due) // length} bars of {event.timeframe} missing"
        found.append(GapOpened(event.instrument_id, Channel.BARS, Micros(due), detail))
    if gap_from is not None:
        missing = max(0, event.ts_open - due) // length
        ts_to = Micros(max(event.ts_open, gap_from))
        found.append(GapClosed(event.instrument_id, Channel.BARS, Micros(gap_from), ts_to, missing))
    return found


def follows(slot: Slot, event: VenueBar) -> bool:
    """Say whether a bar is simply the next one of its timeframe."""
    newest = slot.bar_opens.get(event.timeframe)
    return newest is not None and event.ts_open == newest + TIMEFRAMES[event.timeframe]


def overdue_bars(instrument_id: str, slot: Slot, now: int) -> list[GapOpened | GapClosed]:
    """Return the gap a bar feed opens by keeping silent: bars come at a fixed cadence, so silence is a hole."""
    lane = slot.bars
    if lane.gap_from is not None or not lane.ts_last or not lane.overdue(now):
        return []
    silent_s = (now - lane.ts_last) // SECOND
    return [GapOpened(instrument_id, Channel.BARS, Micros(lane.ts_last), f"no bar for {silent_s} s")]


def apply_gap(slot: Slot, event: GapOpened | GapClosed, now: int) -> None:
    """Take in a gap of our own finding."""
    lane = slot.lane(event.channel)
    if isinstance(event, GapOpened):
        lane.gap_from = event.ts_from
    else:
        lane.gap_from = None
        lane.gap_hold_until = now + _hold(lane)


def assess(slot: Slot, now: int) -> tuple[Quality, tuple[QualityReason, ...]]:
    """Return the quality that holds now, with its reasons."""
    lanes = [slot.lane(channel) for channel in WATCHED]
    healthy = any(_healthy(slot.lane(channel), now) for channel in PRICE_CHANNELS)
    prices_ended = not healthy and any(slot.lane(channel).ended for channel in PRICE_CHANNELS)
    holds = {
        QualityReason.GAP: any(lane.gap_from is not None or now < lane.gap_hold_until for lane in lanes),
        QualityReason.STALE: any(_stale(slot.lane(channel), channel, now) for channel in WATCHED),
        QualityReason.OUTLIER: any(now < lane.outlier_hold_until for lane in lanes),
        QualityReason.FEED_LOST: prices_ended or any(lane.lost for lane in lanes),
        QualityReason.CROSSED_BOOK: slot.crossed,
    }
    reasons = tuple(reason for reason, true in holds.items() if true)
    if not healthy:
        return Quality.BAD, reasons
    return (Quality.DEGRADED if reasons else Quality.GOOD), reasons


def _stale(lane: Lane, channel: Channel, now: int) -> bool:
    """A mark or book that was announced and never came is not stale but absent: the last price stands in for it."""
    return lane.overdue(now) and (lane.ts_last > 0 or channel in PRICE_CHANNELS)


def _healthy(lane: Lane, now: int) -> bool:
    return lane.in_use and lane.ts_last > 0 and not lane.lost and lane.gap_from is None and not lane.overdue(now)


def _hold(lane: Lane) -> int:
    return max(HOLD_US, lane.stale_us or 0)


assert BARS_TO_BELIEVE >= 2, "a single bar can never confirm itself"
