"""The market gateway: history first, then the live channels, everything in order onto ``ticks``.

One task a connection reads frames into a bounded inbox; one consumer translates them in the order they came, does what
they ask for (fill a hole in the bars, subscribe a broken book again) and appends to the log before it takes more. So
what is on the log is in order, and a slow log slows the reading instead of losing data.

Decides nothing about data quality; the trader's quality stage does. Trades that repeat by id and bars that are written
already are dropped here; whatever else repeats after a reconnect is left to that stage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import structlog

from schemas.events.market import Channel, FeedState, InstrumentDefined, VenueBar
from schemas.values import SECOND
from services.feeds.model import RANK_DEFINED, Parsed, Run
from services.gateways.okx.market.board import ChannelBoard, Lane
from services.gateways.okx.market.clock import VenueClock, local_now, measured_clock
from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueRefused, VenueUnreachable
from services.gateways.okx.market.history import missing_bars, missing_settlements
from services.gateways.okx.market.ledger import BarLedger, Hole, TradeLedger
from services.gateways.okx.market.link import Down, Frame, Inbox, Link, Patience
from services.gateways.okx.market.rest import LIVE_ATTEMPTS, PublicApi, told
from services.gateways.okx.market.subscriptions import LinkName, Subscription, index_of
from services.gateways.okx.market.tail import Tail
from services.gateways.okx.market.translate import (
    Acknowledged,
    Action,
    BarWaits,
    BookBroken,
    ConnectionEnding,
    InstrumentsTold,
    SubscriptionRefused,
    Translator,
)
from services.gateways.okx.market.writer import TickWriter

BATCH = 2_000
"""Frames translated between two appends, at most: as many as there are, so that a slow log is used in larger pieces."""
POLL_S = 0.2
"""How often the consumer looks up when nothing comes."""
SETTLED_MARGIN_US = 600 * SECOND
"""How long after its moment a settlement may be told: looked for that far before a loss."""
RETRY_REFRESH_S = 300.0
_log = structlog.get_logger("tapeline.gateway.okx.market")


class MarketGateway:
    """One process's market data: ``begin`` once, then ``run`` until stopped."""

    def __init__(
        self,
        run: Run,
        subscriptions: tuple[Subscription, ...],
        *,
        api: PublicApi,
        writer: TickWriter,
        clock: VenueClock,
        inbox: Inbox,
        counters: MarketCounters,
        warmup_us: int,
        patience: Patience,
        refresh_s: float,
    ) -> None:
        self.counters = counters
        self._run = run
        self._subscriptions = subscriptions
        self._api = api
        self._writer = writer
        self._clock = clock
        self._inbox = inbox
        self._patience = patience
        self._refresh_s = refresh_s
        self._refresh_due = time.monotonic() + refresh_s
        self._refreshing: asyncio.Task[tuple[VenueClock, list[InstrumentDefined]]] | None = None
        self._board = ChannelBoard()
        self._bars = BarLedger(warmup_us)
        self._trades = TradeLedger()
        self._translator = Translator(
            run, subscriptions, indexed=_indexed(run.instruments.values()), board=self._board, bars=self._bars,
            trades=self._trades, counters=counters,
        )  # fmt: skip
        self._books = {each.key[1]: each for each in subscriptions if each.needs_snapshot}
        self._links: dict[LinkName, Link] = {}
        self._awaited: dict[str, float] = {}
        self._returning: set[LinkName] = set()
        self._chased: dict[str, int] = {}
        self._out: list[Parsed] = []

    # -- the beginning --------------------------------------------------------------------------------------------

    async def begin(self, tail: Tail) -> None:
        """Write the instruments, the losses since the log ended and the missing bars. Raises as REST does."""
        for name, ids in tail.trade_ids.items():
            for trade_id in reversed(ids):
                self._trades.take(name, trade_id)
        for name, ts_open in tail.bars.items():
            self._bars.take(name, ts_open)
        self._translator.settled.update(tail.settled)
        for name, due in tail.due.items():
            self._translator.settlements.announced(name, due, due)
        now = self._clock.now()
        holes = self._holes(now)
        first = min((hole.first for hole in holes), default=now)
        known = [each for name, each in self._run.instruments.items() if name in tail.bars]
        for instrument in self._run.instruments.values():
            if instrument not in known:
                self._define(instrument, first)
        self._resume(tail, now)
        await self._fill(holes)
        for instrument in known:
            self._define(instrument, now)  # after the bars: what is stamped now moves the trader's clock past them
        await self._flush()

    def _resume(self, tail: Tail, now: int) -> None:
        """Say of every channel the log shows that it was lost since its last message, or is not asked for any more."""
        wanted = {lane for each in self._subscriptions for lane in _lanes(each)}
        for lane, ts_last in sorted(tail.last.items()):
            self._board.remember(lane, tail.states.get(lane, FeedState.OPEN), ts_last)
            if lane not in wanted:
                self._out += self._board.ended([lane], now, local_now(), "no longer subscribed")
                continue
            self._out += self._board.lost([lane], ts_last, local_now(), "the gateway was away")
            if self._board.state(lane) is FeedState.LOST:
                self._board.remember(lane, FeedState.LOST, ts_last)
                if lane[1] is Channel.BOOK and lane[0] in self._books:
                    self._translator.parser.lose_books([lane[0]], ts_last)

    # -- the life -------------------------------------------------------------------------------------------------

    async def run(self, links: Iterable[Link], stopped: Callable[[], bool]) -> None:
        """Take frames until stopped; then say that every channel is lost. Raises what must end the process."""
        self._links = {link.name: link for link in links}
        self._api.attempts = LIVE_ATTEMPTS
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(link.run()) for link in self._links.values()]
        try:
            while not stopped():
                for task in tasks:
                    if task.done():
                        task.result()
                for item in await self._inbox.take(BATCH, POLL_S):
                    await self._handle(item)
                await self._flush()
                await self._look_after()
        finally:
            if self._refreshing is not None:
                tasks.append(self._refreshing)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        now = local_now()
        self._out += self._board.lost(self._board.open_lanes(), self._clock.at(now), now, "the gateway was stopped")
        await self._flush()

    async def _handle(self, item: Frame | Down) -> None:
        if isinstance(item, Down):
            self._down(item)
            return
        if item.link in self._returning and not await self._welcome(item.link):
            return
        ticks, actions = self._translator.read(item.text, item.ts_ingest, self._clock.at(item.ts_ingest))
        self._out += ticks
        for action in actions:
            await self._act(action, self._links[item.link])

    def _down(self, item: Down) -> None:
        ts = self._clock.at(item.ts)
        self._returning.add(item.link)
        mine = [each for each in self._subscriptions if each.link is item.link]
        lanes = [lane for each in mine for lane in _lanes(each)]
        self._out += self._board.lost(lanes, ts, item.ts, f"{item.link.value} connection: {item.reason}")
        books = [name for name, each in self._books.items() if each.link is item.link]
        self._translator.parser.lose_books(books, ts)
        for name in books:
            self._awaited.pop(name, None)

    async def _welcome(self, link: LinkName) -> bool:
        """Fetch the bars of an outage before the first frame after it; False: that failed, the connection is given up.

        The venue's time is asked for again. A frame of today in front of the bars would move the trader's clock past
        them, and bars of five minutes and more would close without what is about to come.
        """
        try:
            self._clock = await measured_clock(self._api)
            await self._fill(self._holes(self._clock.now()))
        except (VenueUnreachable, VenueRefused) as error:
            self._links[link].fail(str(error))
            return False
        self._returning.discard(link)
        return True

    async def _act(self, action: Action, link: Link) -> None:
        try:
            match action:
                case Acknowledged():
                    await self._acknowledged(action.subscription, link)
                case SubscriptionRefused():
                    self._refused(action, link)
                case ConnectionEnding():
                    link.fail(f"the venue ends the connection: {action.reason}")
                case BookBroken():
                    await self._subscribe_again(action.instrument_id, link)
                case BarWaits():
                    await self._let_in(action.bar)
                case InstrumentsTold():
                    for row in action.rows:
                        await self._told(row)
        except (VenueUnreachable, VenueRefused) as error:
            link.fail(str(error))  # the next connection begins with what this one could not fetch

    async def _acknowledged(self, subscription: Subscription, link: Link) -> None:
        link.acknowledged(subscription)
        now = self._clock.now()
        if subscription.channel is Channel.BARS:
            await self._fill(self._holes(now, subscription.instruments))
        elif subscription.channel is Channel.FUNDING:
            for name in subscription.instruments:
                await self._settle(name)
        self._out += self._board.opened(subscription, now, local_now())

    def _refused(self, refused: SubscriptionRefused, link: Link) -> None:
        if refused.subscription is None:
            link.fail(f"the venue refuses: {refused.reason}")
            return
        _log.warning("subscription refused", key=refused.subscription.key, reason=refused.reason)
        link.acknowledged(refused.subscription)
        now = local_now()
        self._out += self._board.ended(_lanes(refused.subscription), self._clock.at(now), now, refused.reason)

    async def _subscribe_again(self, instrument_id: str, link: Link) -> None:
        self._awaited[instrument_id] = time.monotonic() + self._patience.snapshot
        await link.resubscribe(self._books[instrument_id])

    async def _look_after(self) -> None:
        """Give up connections whose book does not come back, and look at the instruments now and then."""
        now = time.monotonic()
        for name, due in list(self._awaited.items()):
            if self._board.state((name, Channel.BOOK)) is not FeedState.LOST:
                del self._awaited[name]
            elif now >= due:
                del self._awaited[name]
                self._links[self._books[name].link].fail(f"no snapshot of {name} in {self._patience.snapshot:.0f} s")
        self._refresh(now)
        await self._chase_bars()
        await self._chase_settlements()

    # -- bars, funding, instruments -------------------------------------------------------------------------------

    def _holes(self, until: int, names: Iterable[str] | None = None) -> list[Hole]:
        """Return the holes in the bars of these instruments (default: all)."""
        wanted = self._run.instruments if names is None else names
        return [hole for name in wanted if (hole := self._bars.hole(name, until)) is not None]

    async def _fill(self, holes: list[Hole]) -> None:
        """Fetch missing bars and put them out in feed order."""
        bars: list[Parsed] = []
        for hole in holes:
            bars += await missing_bars(self._api, self._translator.parser, hole, local_now())
        bars.sort(key=lambda bar: (bar.ts_event, bar.rank, bar.instrument_id))
        for bar in bars:
            assert isinstance(bar.event, VenueBar)
            if self._bars.take(bar.instrument_id, bar.event.ts_open):
                self._out.append(bar)
                self.counters.backfilled_bars += 1

    async def _chase_bars(self) -> None:
        """Ask, once each, for bars that should have been pushed by now."""
        late = self._clock.now() - int(self._patience.bar * SECOND)
        for hole in self._holes(late):
            lane = (hole.instrument_id, Channel.BARS)
            if hole.end <= self._chased.get(hole.instrument_id, 0) or not self._board.delivers(lane):
                continue
            self._chased[hole.instrument_id] = hole.end
            try:
                await self._fill([hole])
            except (VenueUnreachable, VenueRefused) as error:
                self._links[LinkName.BUSINESS].fail(str(error))

    async def _let_in(self, bar: Parsed) -> None:
        """Fill the hole in front of a live bar, then put the bar out."""
        assert isinstance(bar.event, VenueBar)
        ts_open = bar.event.ts_open
        hole = self._bars.hole(bar.instrument_id, ts_open)
        if hole is not None:
            await self._fill([hole])
        if self._bars.take(bar.instrument_id, ts_open):
            self._out.append(bar)

    async def _settle(self, instrument_id: str) -> None:
        """Fetch the settlements of the time the channel was lost; nothing where it is new."""
        since = self._board.lost_since((instrument_id, Channel.FUNDING))
        if since is None:
            return
        await self._fetch_settlements(instrument_id, since - SETTLED_MARGIN_US)

    async def _fetch_settlements(self, instrument_id: str, since: int) -> None:
        since = max(since, self._translator.settled.get(instrument_id, 0))
        for parsed in await missing_settlements(self._api, instrument_id, since, local_now()):
            if self._translator.take_settlement(instrument_id, parsed.ts_event):
                self._out.append(parsed)

    async def _chase_settlements(self) -> None:
        """Ask for settlements that the channel should have told by now."""
        wait_us = int(self._patience.settlement * SECOND)
        told = self._translator.settled
        for name, moment in self._translator.settlements.overdue(self._clock.now(), wait_us, told):
            try:
                await self._fetch_settlements(name, moment - 1)
            except (VenueUnreachable, VenueRefused) as error:
                _log.warning("settlement not fetched", instrument_id=name, reason=str(error))

    async def _told(self, row: dict[str, Any]) -> None:
        """Take in the venue's word on an instrument; write it if anything but its tiers has changed."""
        known = self._run.instruments[row["instId"]]
        fresh = told(row, known)
        if replace(fresh, tiers=known.tiers, source=known.source) != known:
            self._change(await self._api.with_tiers(fresh), known)

    def _refresh(self, now: float) -> None:
        """Take in what was asked beside the frames, and ask anew when it is time."""
        task = self._refreshing
        if task is None:
            if now >= self._refresh_due:
                self._refreshing = asyncio.create_task(self._look_up())
            return
        if not task.done():
            return
        self._refreshing, self._refresh_due = None, now + self._refresh_s
        try:
            self._clock, found = task.result()
        except (VenueUnreachable, VenueRefused) as error:
            self._refresh_due = now + RETRY_REFRESH_S
            _log.warning("instruments not refreshed", reason=str(error))
            return
        for fresh in found:
            known = self._run.instruments[fresh.instrument_id]
            if replace(fresh, source=known.source) != known:
                self._change(fresh, known)

    async def _look_up(self) -> tuple[VenueClock, list[InstrumentDefined]]:
        """Ask for the time, for instruments and tiers again: clocks drift, and tiers change without a message."""
        clock = await measured_clock(self._api)
        return clock, [await self._api.instrument(name) for name in list(self._run.instruments)]

    def _change(self, fresh: InstrumentDefined, known: InstrumentDefined) -> None:
        self._run.instruments[fresh.instrument_id] = fresh
        now = self._clock.now()
        self._define(fresh, now)
        book = self._books.get(fresh.instrument_id)
        if book is not None and _base_per_contract(fresh) != _base_per_contract(known):
            self._links[book.link].fail(f"{fresh.instrument_id} has a new contract value: books begin anew")

    def _define(self, instrument: InstrumentDefined, ts: int) -> None:
        identity = f"{instrument.source}|{ts}"
        self._out.append(Parsed(ts, local_now(), RANK_DEFINED, instrument.instrument_id, identity, instrument))

    # -- writing --------------------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Append what was collected, in a thread: the connections go on reading meanwhile."""
        if not self._out:
            return
        ticks, self._out = self._out, []
        await asyncio.to_thread(self._writer.write, ticks)
        for parsed in ticks:
            self.counters.count_tick(type(parsed.event).__name__)
        self.counters.lag_us = local_now() - ticks[0].ts_ingest
        self.counters.lag_us_max = max(self.counters.lag_us_max, self.counters.lag_us)


def _lanes(subscription: Subscription) -> list[Lane]:
    return [] if subscription.channel is None else [(name, subscription.channel) for name in subscription.instruments]


def _indexed(instruments: Iterable[InstrumentDefined]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for each in instruments:
        if each.instrument_id.endswith("-SWAP"):
            found[index_of(each)] = (*found.get(index_of(each), ()), each.instrument_id)
    return found


def _base_per_contract(instrument: InstrumentDefined) -> object:
    return instrument.contract_value * instrument.contract_multiplier
