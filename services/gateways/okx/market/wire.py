"""ccxt's WebSocket client with its frames left as they came.

ccxt dials, holds the session and keeps the connection alive with OKX's text ``ping``. Its own handling of messages is
left out: its unified structures are floats without ``seqId``, and its reader takes everything at once. Here each text
frame is handed on and waited for, so that a full inbox stops the reading.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import ClientError, WSMsgType
from ccxt.async_support.base.ws.client import Client
from ccxt.base.errors import BaseError
from ccxt.pro.okx import okx

from services.gateways.okx.market.errors import VenueUnreachable
from services.gateways.okx.market.link import Sink
from services.gateways.okx.market.subscriptions import LinkName
from services.gateways.okx.pace import WS_REQUEST, NoTurn, Pace

TIMEOUT_MS = 5_000
CLOSE_S = 5.0
KEEP_ALIVE_MS = 10_000
"""A ``ping`` is sent this often; two unanswered ones end the connection. Source: OKX v5: less than 30 s."""
DIAL_PAUSE_S = 0.6
"""Least time between two dials, whatever asks for them. Source: OKX v5: three a second from one address, and the order
gateway dials from there too; an attempt that is refused counts as well."""
_OVER = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)


def public_exchange(*, rest_url: str, ws_url: str, simulated: bool = False, keep_alive_ms: int = KEEP_ALIVE_MS) -> Any:
    """Return ccxt's OKX without keys. ``ws_url``: without ``/public``. Made and closed inside one event loop."""
    exchange = okx({"enableRateLimit": False, "timeout": TIMEOUT_MS})
    exchange.urls["api"] = {**exchange.urls["api"], "rest": rest_url.rstrip("/"), "ws": ws_url.rstrip("/")}
    exchange.streaming = {**exchange.streaming, "keepAlive": keep_alive_ms}
    if simulated:
        exchange.headers = {**(exchange.headers or {}), "x-simulated-trading": "1"}
    return exchange


class RawClient(Client):  # type: ignore[misc]
    """One connection; every text frame goes to the sink as it is."""

    def __init__(self, exchange: Any, url: str, sink: Sink) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._sink = sink
        self._reading: asyncio.Task[None] | None = None
        options = {
            **exchange.streaming,
            "log": exchange.log,
            "ping": exchange.ping,
            "verbose": False,
            "asyncio_loop": exchange.asyncio_loop,
        }
        super().__init__(url, _unused, self._failed, self._closed, _unused, options)

    def receive_loop(self) -> None:
        """Start reading; called by ccxt once the connection is open."""
        self._reading = asyncio.ensure_future(self._read())

    async def ended(self) -> str:
        """Wait for the connection's end and return why it ended."""
        return await asyncio.shield(self.over)

    async def stop(self) -> None:
        """Stop reading and close."""
        if self._reading is not None:
            self._reading.cancel()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.aiohttp_close()
        except (TimeoutError, ClientError, OSError):
            self._finish("closed without an answer")

    async def _read(self) -> None:
        try:
            while not self.closed():
                message = await self.receive()
                if message.type is WSMsgType.TEXT:
                    await self._text(message.data)
                elif message.type in _OVER:
                    self._finish(f"closed by the venue, code {message.data}")
                else:
                    self.handle_message(message)
        except (ClientError, OSError, RuntimeError) as error:
            self._finish(f"{type(error).__name__}: {error}")
        self._finish("closed")

    async def _text(self, text: str) -> None:
        if text == "pong":
            self.lastPong = okx.milliseconds()
        else:
            await self._sink(text)

    def _failed(self, _client: Any, error: Exception) -> None:
        self._finish(f"{type(error).__name__}: {error}")

    def _closed(self, _client: Any, code: Any) -> None:
        self._finish(f"closed by the venue, code {code}")

    def _finish(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason[:300])


class CcxtSocket:
    """An open connection of ccxt's."""

    def __init__(self, client: RawClient) -> None:
        self._client, self._pace = client, Pace()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a request in its turn. Raises VenueUnreachable when the connection is gone."""
        try:
            await self._pace.turn(WS_REQUEST)
            await self._client.send(message)
        except (ConnectionError, ClientError, OSError, RuntimeError, NoTurn) as error:
            raise VenueUnreachable(f"cannot send to OKX: {type(error).__name__}: {error}") from error

    async def ended(self) -> str:
        """Wait for the end of the connection and return why it ended."""
        return await self._client.ended()

    async def close(self) -> None:
        """Close it, from our side."""
        await self._client.stop()


class CcxtDialer:
    """Opens connections of one exchange object."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._turn = asyncio.Lock()
        self._next = 0.0

    async def __call__(self, name: LinkName, sink: Sink) -> CcxtSocket:
        """Open a connection. Raises VenueUnreachable when it does not come about."""
        async with self._turn:
            await asyncio.sleep(self._next - time.monotonic())
            self._next = time.monotonic() + DIAL_PAUSE_S
        exchange = self._exchange
        exchange.open()  # the session, in this event loop
        client = RawClient(exchange, f"{exchange.urls['api']['ws']}/{name.value}", sink)
        try:
            await client.open(exchange.session)
        except BaseError as error:
            raise VenueUnreachable(f"cannot connect to {client.url}: {error}") from error
        if not client.isConnected:
            raise VenueUnreachable(f"cannot connect to {client.url}: {client.error}")
        return CcxtSocket(client)


def _unused(*_arguments: Any) -> None:
    """Stand for callbacks of ccxt's that have nothing to tell us."""
