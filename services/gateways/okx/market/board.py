"""Which channel of which instrument delivers: turns acknowledgements, losses and ends into FeedStatus ticks. Pure.

Every change is one event, and the one that ends a loss says how long it lasted. Times are the venue's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus
from services.feeds.model import RANK_TICK, Parsed
from services.gateways.okx.market.subscriptions import Subscription

SOURCE = "okx"
Lane = tuple[str, Channel]
"""Instrument and channel."""


@dataclass(slots=True)
class _Entry:
    state: FeedState
    since: int
    cadence_us: int | None


class ChannelBoard:
    """The state of every channel that was ever opened."""

    def __init__(self) -> None:
        self._entries: dict[Lane, _Entry] = {}

    def state(self, lane: Lane) -> FeedState | None:
        """Return what was last said of a channel; None: nothing yet."""
        entry = self._entries.get(lane)
        return None if entry is None else entry.state

    def delivers(self, lane: Lane) -> bool:
        """Say whether a channel is open."""
        return self.state(lane) in _DELIVERS

    def lost_since(self, lane: Lane) -> int | None:
        """Return since when a channel is lost; None: it is not."""
        entry = self._entries.get(lane)
        return entry.since if entry is not None and entry.state is FeedState.LOST else None

    def open_lanes(self) -> list[Lane]:
        """Return the channels that deliver."""
        return [lane for lane, entry in self._entries.items() if entry.state in _DELIVERS]

    def remember(self, lane: Lane, state: FeedState, since: int) -> None:
        """Take over what the log says of a channel, or what a parser has said itself."""
        cadence = self._entries[lane].cadence_us if lane in self._entries else None
        self._entries[lane] = _Entry(state, since, cadence)

    def opened(self, subscription: Subscription, ts: int, ts_ingest: int) -> list[Parsed]:
        """Return OPEN, or RESYNCED after a loss, for each instrument of a subscription; nothing where it is open.

        A lost book is passed over: only its snapshot makes it whole, and says so.
        """
        found: list[Parsed] = []
        if subscription.channel is None:
            return found
        for name in subscription.instruments:
            lane, entry = (name, subscription.channel), self._entries.get((name, subscription.channel))
            was_lost = entry is not None and entry.state is FeedState.LOST
            if entry is not None and (entry.state in _DELIVERS or (was_lost and subscription.needs_snapshot)):
                entry.cadence_us = subscription.cadence_us
                continue
            state = FeedState.RESYNCED if was_lost else FeedState.OPEN
            lost_us = max(0, ts - entry.since) if was_lost and entry is not None else None
            self._entries[lane] = _Entry(state, ts, subscription.cadence_us)
            found.append(self._told(lane, ts, ts_ingest, "", lost_us))
        return found

    def lost(self, lanes: Iterable[Lane], ts: int, ts_ingest: int, detail: str) -> list[Parsed]:
        """Return LOST for those of the channels that delivered."""
        return self._ended(lanes, FeedState.LOST, ts, ts_ingest, detail)

    def ended(self, lanes: Iterable[Lane], ts: int, ts_ingest: int, detail: str) -> list[Parsed]:
        """Return ENDED for those of the channels that are still awaited, also where none was opened yet."""
        lanes = list(lanes)
        for lane in lanes:
            self._entries.setdefault(lane, _Entry(FeedState.OPEN, ts, None))
        return self._ended(lanes, FeedState.ENDED, ts, ts_ingest, detail)

    def _ended(self, lanes: Iterable[Lane], state: FeedState, ts: int, ts_ingest: int, detail: str) -> list[Parsed]:
        found: list[Parsed] = []
        for lane in lanes:
            entry = self._entries.get(lane)
            if entry is None or entry.state is FeedState.ENDED or entry.state is state:
                continue
            entry.state, entry.since = state, ts
            found.append(self._told(lane, ts, ts_ingest, detail))
        return found

    def _told(self, lane: Lane, ts: int, ts_ingest: int, detail: str, lost_us: int | None = None) -> Parsed:
        entry = self._entries[lane]
        event = FeedStatus(*lane, entry.state, FeedOrigin.LIVE, SOURCE, entry.cadence_us, detail, lost_us)
        identity = f"{lane[1]}|{entry.state}|{ts}|{detail}"
        return Parsed(ts, ts_ingest, RANK_TICK, lane[0], identity, event)


_DELIVERS = (FeedState.OPEN, FeedState.RESYNCED)
