"""Which gaps a message or the clock opens and closes, judged on the state before it. Pure.

A lost channel opens one at its last message, closed by its next. Bars come at a fixed cadence: a bar that skips some
opens and closes one at once, and silence of three cadences opens one. Bars loaded afterwards fill the hole but do not
close the gap: the next live bar does, or the feed's word that the channel is back.
"""

from __future__ import annotations

from schemas.events.data import GapClosed, GapOpened
from schemas.events.market import Channel, FeedState, FeedStatus, InstrumentDefined, Tick, VenueBar
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, Micros
from streams.core.quality.checks import CHANNELS, Verdict
from streams.core.quality.state import Slot


def gaps(
    slot: Slot, event: Tick | InstrumentDefined | FeedStatus, verdict: Verdict, ts: int
) -> list[GapOpened | GapClosed]:
    """Return the gaps this message opens or closes, judged on the state before it."""
    if isinstance(event, FeedStatus):
        return _gaps_of_feed(slot, event, ts)
    if verdict is not None or isinstance(event, InstrumentDefined):
        return []
    if isinstance(event, VenueBar):
        return _gaps_of_bar(slot, event)
    return _gaps_of_tick(slot, event, ts)


def _gaps_of_feed(slot: Slot, event: FeedStatus, ts: int) -> list[GapOpened | GapClosed]:
    lane = slot.lane(event.channel)
    if event.state is FeedState.RESYNCED and event.channel is Channel.BARS:
        return _gap_of_bars_ends(slot, event, ts)
    if event.state is not FeedState.LOST or lane.gap_from is not None:
        return []
    detail = event.detail or f"{event.source}: channel lost"
    return [GapOpened(event.instrument_id, event.channel, Micros(lane.ts_last or ts), detail)]


def _gap_of_bars_ends(slot: Slot, event: FeedStatus, ts: int) -> list[GapOpened | GapClosed]:
    """Close the gap of bars that are back; ``missing``: those that should have closed by now and did not come."""
    lane = slot.bars
    if lane.gap_from is None:
        return []
    missing = None if lane.cadence_us is None else max(0, (ts - lane.ts_last) // lane.cadence_us)
    return [GapClosed(event.instrument_id, Channel.BARS, Micros(lane.gap_from), Micros(ts), missing)]


def _gaps_of_tick(slot: Slot, event: Tick, ts: int) -> list[GapOpened | GapClosed]:
    channel = CHANNELS[type(event)]
    lane = slot.lane(channel)
    if lane.gap_from is None:
        return []
    missing = None if lane.cadence_us is None else max(0, (ts - lane.gap_from) // lane.cadence_us - 1)
    return [GapClosed(event.instrument_id, channel, Micros(lane.gap_from), Micros(ts), missing)]


def _gaps_of_bar(slot: Slot, event: VenueBar) -> list[GapOpened | GapClosed]:
    length = TIMEFRAMES[event.timeframe]
    newest = slot.bar_opens.get(event.timeframe)
    due = event.ts_open if newest is None else newest + length
    found: list[GapOpened | GapClosed] = []
    gap_from = slot.bars.gap_from
    if gap_from is not None and event.backfill and slot.bars.in_use:
        return []
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
