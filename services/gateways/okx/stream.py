"""Private updates as one stream: two connections, logged in and subscribed, given up and made again together.

Keeps order, loses nothing unseen: what arrives before every channel is confirmed waits for CONNECTED, and a consumer
that is too slow costs the connection, not single messages. Decides nothing about what the updates mean.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import ccxt
import structlog

from schemas.values import Micros
from services.gateways.okx.exchange import Frame, OkxExchange, confirmed
from services.gateways.okx.venue import Link, LinkChanged, Update

BACKLOG_MAX = 10_000
CONNECT_S = 15.0
BACKOFF_S = (0.5, 30.0)
"""Shortest and longest wait before another attempt; doubled each time, with jitter."""
IDLE_S = 300.0
"""Between calls of ``on_idle`` while connected."""

ACCESSES = ("private", "business")
_ON_EVENTS = '{"updateInterval": "0"}'
CHANNELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("private", {"channel": "orders", "instType": "ANY"}),
    ("private", {"channel": "positions", "instType": "ANY", "extraParams": _ON_EVENTS}),
    ("private", {"channel": "account", "extraParams": _ON_EVENTS}),
    ("private", {"channel": "balance_and_position"}),
    ("business", {"channel": "orders-algo", "instType": "ANY"}),
)
"""Where each private channel lives. Source: OKX v5, WebSocket channels."""
FAILURES = (ccxt.BaseError, OSError, TimeoutError)
DROP_S = 2.0
"""A peer that does not answer our goodbye is left after this long."""

log = structlog.get_logger(__name__)


class PrivateStream:
    """One consumer's private updates. ``read`` turns a frame into updates and must not raise."""

    def __init__(
        self,
        exchange: OkxExchange,
        read: Callable[[Frame], Iterable[Update]],
        now: Callable[[], Micros],
        on_idle: Callable[[], Awaitable[None]],
    ) -> None:
        self._exchange, self._read, self._now, self._on_idle = exchange, read, now, on_idle
        self._updates: deque[Update] = deque()
        self._early: deque[Frame] = deque(maxlen=BACKLOG_MAX)
        self._wake, self._closing = asyncio.Event(), asyncio.Event()
        self._connected, self._overflow = False, False
        self._task: asyncio.Task[None] | None = None
        exchange.sink = self._take

    async def updates(self) -> AsyncIterator[Update]:
        """Yield updates until closed; connects when first asked."""
        self._task = self._task or asyncio.create_task(self._run())
        while True:
            while self._updates:
                yield self._updates.popleft()
            if self._task.done():
                if not self._task.cancelled():
                    self._task.result()
                return
            self._wake.clear()
            if not self._updates:
                await self._wake.wait()

    async def close(self) -> None:
        """End the stream; what was received is still yielded."""
        self._closing.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- one connection after the other

    async def _run(self) -> None:
        attempt = 0
        try:
            while not self._closing.is_set():
                reason = await self._session()
                attempt = 1 if self._connected else attempt + 1
                if self._connected or attempt == 1:
                    self._put(LinkChanged(Link.LOST, reason, self._now()))
                self._connected = False
                await self._pause(attempt)
        finally:
            self._wake.set()

    async def _session(self) -> str:
        """Connect and stay connected as long as it lasts; return why it ended."""
        self._overflow = False
        self._early.clear()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._open()
            if len(self._clients()) < len(ACCESSES):
                return "a connection was lost while the other was being made"
            self._greet()
            return await self._stay()
        except FAILURES as error:
            log.info("okx private stream", error=type(error).__name__, detail=str(error)[:200])
            return f"{type(error).__name__}: {str(error)[:200]}"
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            return "connection closed"  # ccxt cancels what waits on a connection it gives up
        finally:
            await self._drop()

    async def _open(self) -> None:
        for access in ACCESSES:
            await self._exchange.authenticate({"access": access})
        for access, argument in CHANNELS:
            name = confirmed(argument["channel"])
            request = {"op": "subscribe", "args": [argument]}
            await self._exchange.watch(self._url(access), name, request, name)

    def _greet(self) -> None:
        self._connected = True
        self._put(LinkChanged(Link.CONNECTED, "private channels confirmed", self._now()))
        for frame in self._early:
            self._tell(frame)
        self._early.clear()

    async def _stay(self) -> str:
        """Wait until a connection is lost, the backlog overflows or the stream is closed; return which."""
        ends = [client.future("lost") for client in self._clients()]
        waits = {*ends, asyncio.ensure_future(self._closing.wait())}
        try:
            while True:
                done, _ = await asyncio.wait(waits, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if self._overflow:
                    return f"{BACKLOG_MAX} updates were waiting: the consumer is too slow"
                if self._closing.is_set():
                    return "closed"
                for end in done:
                    end.result()
                waits -= done  # what is left of them is an ``on_idle`` that is over
                if not done:
                    waits.add(asyncio.ensure_future(self._on_idle()))
        finally:
            for wait in waits:
                wait.cancel()

    def _clients(self) -> list[Any]:
        """Return the connections that stand; ccxt forgets one that is lost, and makes a new, silent one when asked."""
        known = self._exchange.clients or {}
        found = [known.get(self._url(access)) for access in ACCESSES]
        return [client for client in found if client is not None and not client.closed()]

    async def _drop(self) -> None:
        for access in ACCESSES:
            client = (self._exchange.clients or {}).pop(self._url(access), None)
            if client is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(DROP_S):
                        await client.close()

    async def _pause(self, attempt: int) -> None:
        shortest, longest = BACKOFF_S
        wait = min(longest, shortest * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._closing.wait()

    def _url(self, access: str) -> str:
        return str(self._exchange.get_url("users", access))

    # --- what arrives

    def _take(self, client: Any, frame: Frame) -> None:
        if (self._exchange.clients or {}).get(client.url) is not client:
            return  # of a connection that was given up: LOST was said, and it may be older than what queries showed
        if self._connected:
            self._tell(frame)
        else:
            self._early.append(frame)

    def _tell(self, frame: Frame) -> None:
        for update in self._read(frame):
            self._put(update)
        if len(self._updates) > BACKLOG_MAX and not self._overflow:
            self._overflow = True
            for client in self._clients():
                client.reject(ccxt.NetworkError("backlog"))

    def _put(self, update: Update) -> None:
        if self._overflow and not isinstance(update, LinkChanged):
            return  # the connection is being given up; LOST says that queries are needed
        self._updates.append(update)
        self._wake.set()


def _is_cancelled() -> bool:
    """Return whether it is our own task that is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
