"""One WebSocket connection kept up: dial, subscribe, hand frames on, notice its end, wait, dial again.

The wait doubles from attempt to attempt, up to a bound, and is partly chance, so that many clients do not come back at
once. Frames go into one bounded inbox; while it is full nothing is read, the venue's frames pile up in its own and the
system's buffers, and if that lasts the venue ends the connection: then data is missing, and a LOST event says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from services.gateways.okx.market.counters import MarketCounters
from services.gateways.okx.market.errors import VenueUnreachable
from services.gateways.okx.market.subscriptions import LinkName, Subscription

REQUESTS_MAX = 400
"""Subscriptions and unsubscriptions of one connection before a fresh one is dialled. Source: OKX v5: 480 an hour."""
ARGUMENTS_MAX = 100
"""Arguments a request; far below the venue's 64 KB."""
_log = structlog.get_logger("tapeline.gateway.okx.market")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    acknowledge: of all subscriptions. snapshot: of a book subscribed again. bar: after its close, then it is asked for.
    first_wait, longest_wait: between dials. recovered: a connection that lasted this long starts counting anew.
    question: before a question over REST is asked again, doubled each time. settlement: after its moment, likewise.
    """

    acknowledge: float = 30.0
    snapshot: float = 10.0
    bar: float = 20.0
    first_wait: float = 0.5
    longest_wait: float = 60.0
    recovered: float = 60.0
    question: float = 0.25
    settlement: float = 60.0

    def wait_before(self, attempt: int, chance: float) -> float:
        """Return the seconds before the ``attempt``-th dial in a row (from 1): half sure, half ``chance`` in [0, 1)."""
        full = min(self.longest_wait, self.first_wait * 2.0 ** min(attempt - 1, 30))
        return full * (0.5 + 0.5 * chance)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it came, and when, in microseconds of our clock."""

    link: LinkName
    text: str
    ts_ingest: int


@dataclass(frozen=True, slots=True)
class Down:
    """A connection has ended. ``ts``: our clock."""

    link: LinkName
    reason: str
    ts: int


class Inbox:
    """Frames and ends of all connections in the order they came; bounded: putting waits while it is full."""

    def __init__(self, size: int, counters: MarketCounters) -> None:
        self._queue: asyncio.Queue[Frame | Down] = asyncio.Queue(size)
        self._counters = counters

    async def put(self, item: Frame | Down) -> None:
        """Add an item; wait for room, never drop."""
        queue, counters = self._queue, self._counters
        if queue.full():
            counters.waits += 1
            began = time.monotonic()
            await queue.put(item)
            counters.waited_s += time.monotonic() - began
        else:
            queue.put_nowait(item)
        counters.inbox_max = max(counters.inbox_max, queue.qsize())

    async def take(self, limit: int, timeout_s: float) -> list[Frame | Down]:
        """Return up to ``limit`` items that are there; wait for the first one no longer than ``timeout_s``."""
        found: list[Frame | Down] = []
        if self._queue.empty():
            try:
                async with asyncio.timeout(timeout_s):
                    found.append(await self._queue.get())
            except TimeoutError:
                return found
        while len(found) < limit and not self._queue.empty():
            found.append(self._queue.get_nowait())
        return found


class Socket(Protocol):
    """An open connection."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a request. Raises VenueUnreachable when the connection is gone."""

    async def ended(self) -> str:
        """Wait for the end of the connection and return why it ended."""
        ...

    async def close(self) -> None:
        """Close it, from our side."""


Sink = Callable[[str], Awaitable[None]]
Dial = Callable[[LinkName, Sink], Awaitable[Socket]]
"""Open a connection whose text frames go to the sink, one after the other. Raises VenueUnreachable."""


class Link:
    """One connection and what is subscribed on it."""

    def __init__(
        self,
        name: LinkName,
        subscriptions: Sequence[Subscription],
        *,
        dial: Dial,
        inbox: Inbox,
        counters: MarketCounters,
        patience: Patience,
        chance: Callable[[], float],
    ) -> None:
        self.name = name
        self._subscriptions = tuple(subscriptions)
        self._dial = dial
        self._inbox = inbox
        self._counters = counters
        self._patience = patience
        self._chance = chance
        self._socket: Socket | None = None
        self._pending: set[tuple[str, str]] = set()
        self._requests = 0
        self._failed = asyncio.Event()
        self._failure = ""

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                self._socket = await self._dial(self.name, self._on_text)
            except VenueUnreachable as error:
                self._counters.dial_failures += 1
                _log.warning("cannot connect", link=self.name.value, reason=str(error))
            else:
                await self._live(self._socket)
            attempt = 1 if time.monotonic() - began >= self._patience.recovered else attempt + 1
            await asyncio.sleep(self._patience.wait_before(attempt, self._chance()))

    def acknowledged(self, subscription: Subscription) -> None:
        """Note the venue's answer to a subscription; a refusal is an answer too."""
        self._pending.discard(subscription.key)

    def fail(self, reason: str) -> None:
        """End the connection: the next one starts clean."""
        self._failure = reason
        self._failed.set()

    async def resubscribe(self, subscription: Subscription) -> None:
        """Unsubscribe and subscribe again, to get a new snapshot."""
        if self._socket is None:
            return  # the connection is down: the next one subscribes everything
        if self._requests >= REQUESTS_MAX:
            self.fail(f"{self._requests} requests on one connection: a fresh one is due")
            return
        self._pending.add(subscription.key)
        try:
            await self._request(self._socket, "unsubscribe", [subscription])
            await self._request(self._socket, "subscribe", [subscription])
        except VenueUnreachable as error:
            self.fail(str(error))

    async def _live(self, socket: Socket) -> None:
        """Subscribe, wait for the connection's end, and report it."""
        self._requests, self._failed = 0, asyncio.Event()
        self._pending = {each.key for each in self._subscriptions}
        _log.info("connected", link=self.name.value, subscriptions=len(self._subscriptions))
        try:
            reason = await self._until_it_ends(socket)
        except VenueUnreachable as error:
            reason = str(error)
        finally:
            self._socket = None
            await socket.close()
        self._counters.disconnects += 1
        _log.warning("disconnected", link=self.name.value, reason=reason)
        await self._inbox.put(Down(self.name, reason, time.time_ns() // 1000))

    async def _until_it_ends(self, socket: Socket) -> str:
        for start in range(0, len(self._subscriptions), ARGUMENTS_MAX):
            await self._request(socket, "subscribe", self._subscriptions[start : start + ARGUMENTS_MAX])
        ended = asyncio.ensure_future(socket.ended())
        failed = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({ended, failed}, timeout=self._patience.acknowledge, return_when=asyncio.FIRST_COMPLETED)
            if self._pending and not ended.done() and not failed.done():
                return f"{len(self._pending)} subscriptions not acknowledged in {self._patience.acknowledge:.0f} s"
            await asyncio.wait({ended, failed}, return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else self._failure
        finally:
            ended.cancel()
            failed.cancel()

    async def _request(self, socket: Socket, operation: str, subscriptions: Sequence[Subscription]) -> None:
        self._requests += 1
        await socket.send({"op": operation, "args": [each.argument() for each in subscriptions]})

    async def _on_text(self, text: str) -> None:
        await self._inbox.put(Frame(self.name, text, time.time_ns() // 1000))
