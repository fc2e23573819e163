"""Read the end of ``ticks``: where an earlier run of the gateway stopped, so that nothing is written twice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.market import (
    BookTop,
    Channel,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from services.gateways.okx.market.board import Lane
from services.gateways.okx.market.ledger import TRADE_IDS_KEPT
from services.gateways.okx.market.subscriptions import BAR_TIMEFRAME
from streams.log.base import EventLog

TICKS = "ticks"
READ = 10_000
TAIL_MAX = 1_000_000
"""Ticks looked back over at most: about eight minutes at 2,000 a second, where a bar should come every one."""

_CHANNELS: dict[type[Event], Channel] = {
    Trade: Channel.TRADES,
    Quote: Channel.QUOTES,
    BookTop: Channel.BOOK,
    VenueBar: Channel.BARS,
    MarkPrice: Channel.MARK,
    IndexPrice: Channel.INDEX,
    FundingRate: Channel.FUNDING,
    FundingSettled: Channel.FUNDING,
}


@dataclass(slots=True)
class Tail:
    """What the end of the log says.

    bars: open time of the newest 1m bar. settled: newest settlement. due: the settlement that was awaited. trade_ids:
    newest first. last: time of a channel's newest live message. states: what was last said of a channel. empty: there
    is no tick at all.
    """

    empty: bool
    bars: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    trade_ids: dict[str, list[str]] = field(default_factory=dict)
    last: dict[Lane, int] = field(default_factory=dict)
    states: dict[Lane, FeedState] = field(default_factory=dict)

    def fold_back(self, envelope: Envelope, event: Event) -> None:
        """Take in one tick; newer ones came before it."""
        if isinstance(event, FeedStatus):
            self.states.setdefault((event.instrument_id, event.channel), event.state)
            self.last.setdefault((event.instrument_id, event.channel), envelope.ts_event)
            return
        channel = _CHANNELS.get(type(event))
        if channel is None:
            return
        name: str = event.instrument_id  # type: ignore[attr-defined]
        if not (isinstance(event, VenueBar) and event.backfill):  # history does not say that a channel was open
            self.last.setdefault((name, channel), envelope.ts_event)
        if isinstance(event, VenueBar) and event.timeframe == BAR_TIMEFRAME:
            self.bars[name] = max(self.bars.get(name, 0), event.ts_open)
        elif isinstance(event, FundingRate):
            self.due.setdefault(name, event.ts_funding)
        elif isinstance(event, FundingSettled):
            self.settled[name] = max(self.settled.get(name, 0), event.ts_funding)
        elif isinstance(event, Trade) and len(ids := self.trade_ids.setdefault(name, [])) < TRADE_IDS_KEPT:
            ids.append(event.trade_id)


def read_tail(log: EventLog, shard: int, instrument_ids: Collection[str], *, limit: int = TAIL_MAX) -> Tail:
    """Return what the end of ``ticks`` says, read backwards until every instrument's newest bar is found.

    Past ``limit`` ticks without one the instrument counts as new: its history is written again, and the trader's
    quality stage sets the repeats aside.
    """
    end = log.end_offset(TICKS, shard)
    tail, offset = Tail(empty=end == 0), end
    while offset > max(0, end - limit) and not all(name in tail.bars for name in instrument_ids):
        start = max(0, offset - READ)
        for record in reversed(log.read(TICKS, shard, start, limit=offset - start)):
            tail.fold_back(*decode(record.value))
        offset = start
    return tail
