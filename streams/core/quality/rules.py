"""The quality that follows from what is known of an instrument. Pure.

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

from schemas.events.common import Quality
from schemas.events.data import QualityReason
from schemas.events.market import Channel
from streams.core.quality.state import Lane, Slot

PRICE_CHANNELS = (Channel.TRADES, Channel.QUOTES, Channel.BARS)
WATCHED = (*PRICE_CHANNELS, Channel.BOOK, Channel.MARK)
"""Channels that quality speaks of. Index and funding have their gaps reported; no price rests on them."""


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
