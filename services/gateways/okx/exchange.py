"""ccxt's OKX client, used for what it is good at: signing, sending, sessions, WebSocket connections.

Its unified orders, trades and balances are not used: they are floats, and its caches keep the last state of an order
where every step counts (ADR 0019). Six things are changed here, each by overriding a method ccxt calls:

- ``sign``: a deadline travels as the header ``expTime``, where OKX looks for it;
- ``handle_errors``: OKX's reply is raised whole with its HTTP status, instead of as a text to be taken apart;
- ``nonce``, ``seconds``: signatures follow the venue's clock as we know it, not this machine's;
- ``open``: redirects are not followed;
- ``handle_message``: private frames go to one sink as they are; subscriptions are confirmed by name.

Importing this module loads ccxt (1.5 s): import it only where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import ccxt.pro

from services.gateways.okx.clock import wall_us
from services.gateways.okx.hosts import Hosts
from services.logs import REDACTED

DEADLINE = "expTime"
KEEP_ALIVE_MS = 5000
"""Between pings; a connection that misses two is given up."""

Frame = dict[str, Any]


class VenueReply(ccxt.ExchangeError):  # type: ignore[misc]
    """OKX answered, and not with success: its reply and the HTTP status it came with."""

    def __init__(self, http_status: int, reply: dict[str, Any]) -> None:
        super().__init__(f"HTTP {http_status}, code {reply.get('code')}: {str(reply.get('msg'))[:200]}")
        self.http_status = http_status
        self.reply = reply


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An API key; never shown."""

    key: str
    secret: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class OkxExchange(ccxt.pro.okx):  # type: ignore[misc]
    """ccxt's OKX with exact replies, deadlines and raw frames.

    ``sink``: takes each frame with its connection. ``now``: the clock signatures go by, microseconds.
    """

    sink: Callable[[Any, Frame], None] | None = None
    now: Callable[[], int] = staticmethod(wall_us)

    def open(self, lazy: bool = False) -> None:
        """Open the session; a redirect is an error, for it would send an order twice and its key elsewhere."""
        super().open(lazy)
        if not self.session.trace_configs:
            watch = aiohttp.TraceConfig()
            watch.on_request_redirect.append(_refuse_redirect)
            watch.freeze()
            self.session.trace_configs.append(watch)

    def sign(self, path: str, api: Any = "public", method: str = "GET", params: Any = None) -> Any:
        """Sign a request; a ``expTime`` among the parameters becomes a header."""
        deadline = None
        if isinstance(params, dict) and DEADLINE in params:
            params = dict(params)
            deadline = params.pop(DEADLINE)
        signed = super().sign(path, api, method, {} if params is None else params)
        if deadline is not None:
            signed["headers"][DEADLINE] = str(deadline)
        return signed

    def handle_errors(
        self,
        httpCode: int,
        reason: str,
        url: str,
        method: str,
        headers: Any,
        body: str,
        response: Any,
        requestHeaders: Any,
        requestBody: Any,
    ) -> None:
        """Raise VenueReply for every reply of OKX that is not success; others are left to ccxt's HTTP table."""
        if isinstance(response, dict) and "code" in response and (str(response["code"]) != "0" or httpCode >= 400):
            raise VenueReply(httpCode, self._without_key(response))

    def _without_key(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Return a refusal without our key: some name it (50110), and refusals become events and log lines."""
        text = json.dumps(reply)
        for value in filter(None, (self.apiKey, self.secret, self.password)):
            text = text.replace(value, REDACTED)
        cleaned: dict[str, Any] = json.loads(text)
        return cleaned

    def nonce(self) -> int:
        """Return the venue's time in milliseconds, as far as it is known."""
        return int(self.now() // 1000)

    def seconds(self) -> int:
        """Return the venue's time, as far as it is known."""
        return int(self.nonce() // 1000)

    def handle_message(self, client: Any, message: Any) -> None:
        """Pass private data on, confirm subscriptions, leave the rest (login, errors, pong) to ccxt."""
        if isinstance(message, dict) and "data" in message and "arg" in message and self.sink is not None:
            self.sink(client, message)
        elif isinstance(message, dict) and message.get("event") == "subscribe":
            client.resolve(True, confirmed(message["arg"]["channel"]))
        else:
            super().handle_message(client, message)


async def _refuse_redirect(session: Any, context: Any, params: aiohttp.TraceRequestRedirectParams) -> None:
    raise aiohttp.ClientError(f"redirected to {params.response.headers.get('Location', '?')[:100]}; not followed")


def confirmed(channel: str) -> str:
    """Return the name under which the confirmation of a subscription is awaited."""
    return f"confirmed:{channel}"


def exchange(credentials: Credentials, hosts: Hosts, *, timeout_ms: int = 10_000) -> OkxExchange:
    """Return a client of these hosts. It sends at once: ``pace.py`` spaces requests."""
    made = OkxExchange(
        {
            "apiKey": credentials.key,
            "secret": credentials.secret,
            "password": credentials.passphrase,
            "timeout": timeout_ms,
            "enableRateLimit": False,
            "streaming": {"keepAlive": KEEP_ALIVE_MS},
        }
    )
    made.urls["api"] = {"rest": hosts.rest, "ws": hosts.ws}
    made.options["sandboxMode"] = hosts.demo
    if hosts.demo:
        made.headers["x-simulated-trading"] = "1"
    return made
