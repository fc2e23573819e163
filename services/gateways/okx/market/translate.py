"""Turn one WebSocket frame into ticks and things to do. Holds the books; asks nobody and waits for nothing.

Market data is translated by the importer's parser, the same for recorded lines: one truth. Here are added what only a
live connection has: acknowledgements, refusals, notices, instruments that change, repeats after a reconnect, holes in
the bars. A frame that cannot be read becomes a LineQuarantined tick; too many of them stop the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.events.market import (
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    InstrumentKind,
    LineQuarantined,
    Trade,
    VenueBar,
)
from services.feeds.lines import BAD_LINES_MAX, RAW_MAX, WINDOW
from services.feeds.model import RANK_CONTEXT, FeedError, FileCount, Parsed, Run
from services.feeds.okx_raw import OkxParser, read_message
from services.gateways.okx.market.board import SOURCE, ChannelBoard
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import TooManyBadFrames
from services.gateways.okx.market.ledger import BarLedger, Place, TradeLedger
from services.gateways.okx.market.settlements import SettlementWatch
from services.gateways.okx.market.subscriptions import INSTRUMENTS, Subscription

_BAD = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, FeedError)
"""What a frame of an unknown form, or about an instrument that is not ours, raises while it is read."""
_REFUSED_TARGET = re.compile(r"channel:\s*(?P<channel>[\w-]+)\s*,\s*inst(?:Id|Type):\s*(?P<name>[\w-]+)")
SERVICE_UPGRADE = "64008"
"""Notice that the venue is about to close the connection. Source: OKX v5, WebSocket notification."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The venue has accepted a subscription: its channel delivers from here on."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """The venue does not have this channel; without ``subscription`` it is not known which one."""

    subscription: Subscription | None
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionEnding:
    """The venue has announced that it will close the connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class BookBroken:
    """A book has a gap and is lost; subscribe it again, once, and wait for its snapshot."""

    instrument_id: str


@dataclass(frozen=True, slots=True)
class BarWaits:
    """A closed bar that leaves a hole behind it: the bars in between come first."""

    bar: Parsed


@dataclass(frozen=True, slots=True)
class InstrumentsTold:
    """The venue's rows of instruments of ours; they may say nothing new."""

    rows: tuple[dict[str, Any], ...]


Action = Acknowledged | SubscriptionRefused | ConnectionEnding | BookBroken | BarWaits | InstrumentsTold


class Translator:
    """Reads frames of both connections, in the order they came."""

    def __init__(
        self,
        run: Run,
        subscriptions: Sequence[Subscription],
        *,
        indexed: Mapping[str, Sequence[str]],
        board: ChannelBoard,
        bars: BarLedger,
        trades: TradeLedger,
        counters: MarketCounters,
    ) -> None:
        self.parser = OkxParser(run, SOURCE, origin=FeedOrigin.LIVE, indexed=indexed)
        self._wanted = frozenset(run.instruments)
        self._subscriptions = {each.key: each for each in subscriptions}
        self._board = board
        self._bars = bars
        self._trades = trades
        self._counters = counters
        self._unused = FileCount(SOURCE, "OKX WebSocket", "OKX")
        self._bad_in_window = 0
        self.settled: dict[str, int] = {}
        self.settlements = SettlementWatch()
        self._keep: dict[type, Callable[[Parsed, list[Action]], bool]] = {
            Trade: self._keep_trade,
            VenueBar: self._keep_bar,
            FeedStatus: self._keep_status,
            FundingRate: self._keep_forecast,
            FundingSettled: self._keep_settlement,
        }

    @property
    def unused(self) -> dict[str, int]:
        """Frames read and understood that yielded no tick, by reason."""
        return self._unused.unused

    def take_settlement(self, instrument_id: str, ts_funding: int) -> bool:
        """Note that a settlement is written; False where it, or a later one, is written already."""
        if ts_funding <= self.settled.get(instrument_id, -1):
            return False
        self.settled[instrument_id] = ts_funding
        return True

    def read(self, text: str, ts_ingest: int, now: int) -> tuple[list[Parsed], list[Action]]:
        """Return the ticks of a frame and what it asks for. ``now``: venue time. Raises TooManyBadFrames."""
        self._counters.frames += 1
        if self._counters.frames % WINDOW == 0:
            self._bad_in_window = 0
        message: dict[str, Any] = {}
        try:
            message = read_message(text)
            return self._read(message, ts_ingest)
        except _BAD as error:
            return [self._set_aside(text, message, error, ts_ingest, now)], []

    def _read(self, message: dict[str, Any], ts_ingest: int) -> tuple[list[Parsed], list[Action]]:
        if "event" in message:
            return [], self._control(message)
        argument = message.get("arg", {})
        if argument.get("channel") == INSTRUMENTS:
            rows = tuple(row for row in message["data"] if row["instId"] in self._wanted and _is_traded(row))
            return [], [InstrumentsTold(rows)] if rows else []
        actions: list[Action] = []
        ticks: list[Parsed] = []
        for parsed in self.parser.translate(message, ts_ingest, self._unused):
            keep = self._keep.get(type(parsed.event))
            if keep is None or keep(parsed, actions):
                ticks.append(parsed)
        return ticks, actions

    def _control(self, message: dict[str, Any]) -> list[Action]:
        event = message["event"]
        words = f"{message.get('code', '')} {message.get('msg', '')}".strip()
        if event == "subscribe":
            known = self._subscriptions.get(_key(message["arg"]))
            return [] if known is None else [Acknowledged(known)]
        if event == "error":
            return [SubscriptionRefused(self._refused(message), words)]
        if event == "notice" and str(message.get("code")) == SERVICE_UPGRADE:
            return [ConnectionEnding(words)]
        self._unused.skip(f"event {event}")
        return []

    def _refused(self, message: dict[str, Any]) -> Subscription | None:
        """Return what a refusal is about: the venue names it in the text, not always in a field."""
        if "arg" in message:
            return self._subscriptions.get(_key(message["arg"]))
        target = _REFUSED_TARGET.search(str(message.get("msg", "")))
        return None if target is None else self._subscriptions.get((target["channel"], target["name"]))

    def _keep_trade(self, parsed: Parsed, _actions: list[Action]) -> bool:
        assert isinstance(parsed.event, Trade)
        new = self._trades.take(parsed.instrument_id, parsed.event.trade_id)
        self._counters.repeats += not new
        return new

    def _keep_bar(self, parsed: Parsed, actions: list[Action]) -> bool:
        assert isinstance(parsed.event, VenueBar)
        ts_open = parsed.event.ts_open
        place = self._bars.place(parsed.instrument_id, ts_open)
        if place is Place.NEXT:
            return self._bars.take(parsed.instrument_id, ts_open)
        if place is Place.BEHIND_A_HOLE:
            actions.append(BarWaits(parsed))
        else:
            self._counters.repeats += 1
        return False

    def _keep_forecast(self, parsed: Parsed, _actions: list[Action]) -> bool:
        assert isinstance(parsed.event, FundingRate)
        self.settlements.announced(parsed.instrument_id, parsed.event.ts_funding, parsed.ts_event)
        return True

    def _keep_settlement(self, parsed: Parsed, _actions: list[Action]) -> bool:
        assert isinstance(parsed.event, FundingSettled)
        return self.take_settlement(parsed.instrument_id, parsed.event.ts_funding)

    def _keep_status(self, parsed: Parsed, actions: list[Action]) -> bool:
        assert isinstance(parsed.event, FeedStatus)
        state = parsed.event.state
        self._board.remember((parsed.instrument_id, Channel.BOOK), state, parsed.ts_event)
        if state is FeedState.LOST:
            self._counters.gaps += 1
            actions.append(BookBroken(parsed.instrument_id))
        else:
            self._counters.resyncs += 1
        return True

    def _set_aside(self, text: str, message: dict[str, Any], error: Exception, ts_ingest: int, now: int) -> Parsed:
        self._counters.quarantined += 1
        self._bad_in_window += 1
        reason = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
        if self._bad_in_window > BAD_LINES_MAX:
            raise TooManyBadFrames(
                f"more than {BAD_LINES_MAX} of {WINDOW} frames cannot be read; this one: {reason}: {text[:200]}"
            )
        argument = message.get("arg")
        name = str(argument.get("instId", "")) if isinstance(argument, dict) else ""
        number = self._counters.frames
        event = LineQuarantined(name, SOURCE, number, reason, text[:RAW_MAX])
        return Parsed(now, ts_ingest, RANK_CONTEXT, name, f"{ts_ingest}|{number}", event)


def _is_traded(row: Mapping[str, Any]) -> bool:
    """Margin trading of a pair has a row of the same name as the pair itself."""
    return row["instType"] in (InstrumentKind.SPOT, InstrumentKind.SWAP)


def _key(argument: Mapping[str, Any]) -> tuple[str, str]:
    return str(argument["channel"]), str(argument.get("instId") or argument.get("instType"))
