"""Start and stop the fake on loopback: in the loop of an async test, or in a thread of its own for everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

from aiohttp import web

from tests.fakes.okx.auth import DEMO_KEY, LIVE_KEY, ApiKey, Doorman
from tests.fakes.okx.clock import Clock
from tests.fakes.okx.control import Control
from tests.fakes.okx.faults import FaultPlan
from tests.fakes.okx.limits import RateLimits
from tests.fakes.okx.rest import PREFIX, Rest
from tests.fakes.okx.rules import Rules
from tests.fakes.okx.venue import Venue
from tests.fakes.okx.ws import Hub

HOST = "127.0.0.1"
TIMER_S = 0.05
START_S = 60
Result = TypeVar("Result")


class FakeOkx:
    """A venue, its front doors and what a test does to them.

    ``async with FakeOkx() as okx`` serves in the running loop; ``with serving() as okx`` in a thread, where every
    access to ``venue``, ``control``, ``hub`` and ``faults`` goes through ``okx.run(lambda: ...)``.
    """

    def __init__(
        self, *, clock: Clock | None = None, rules: Rules | None = None, keys: tuple[ApiKey, ...] = (LIVE_KEY, DEMO_KEY)
    ) -> None:
        """Make the venue; nothing is served yet."""
        self.clock = clock or Clock()
        self.rules = rules or Rules()
        self.venue = Venue(self.clock, self.rules)
        self.control = Control(self.venue)
        self.faults = FaultPlan()
        self.doorman = Doorman(self.clock, keys)
        self.limits = RateLimits(self.clock, self.rules)
        self.hub = Hub(self.venue, self.doorman, self.limits, self.faults)
        self.port = 0
        self._seen: list[tuple[str, str]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: web.AppRunner | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"{HOST}:{self.port}"

    @property
    def rest_url(self) -> str:
        """Base of the REST paths, without ``/api``."""
        return f"http://{self.host}"

    @property
    def ws_url(self) -> str:
        """Base of the WebSocket paths, without ``/public``."""
        return f"ws://{self.host}/ws/v5"

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Every REST request so far: (name as in the fault plan, body or query)."""
        return self._seen

    def ccxt_config(self, key: ApiKey | None = None) -> dict[str, object]:
        """Return what ``ccxt.async_support.okx`` and ``ccxt.pro.okx`` take: the host name, and a key if there is one.

        With a demo key, call ``set_sandbox_mode(True)`` on the client as one would for the real venue.
        """
        urls = {"rest": "http://{hostname}", "ws": self.ws_url}
        config: dict[str, object] = {"hostname": self.host, "urls": {"api": dict(urls), "test": dict(urls)}}
        if key is None:
            return config
        return config | {"apiKey": key.key, "secret": key.secret, "password": key.passphrase}

    async def start(self, port: int = 0) -> None:
        """Listen on a free port, or on the one a restart needs."""
        self._loop = asyncio.get_running_loop()
        self.rest = Rest(self.venue, self.doorman, self.limits, self.faults, self._seen)
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", PREFIX + "{tail:.*}", self.rest.handle)
        app.router.add_get("/ws/v5/{url:public|private|business}", self.hub.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Cut everybody off and stop listening; the venue keeps its state and can ``start`` again."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        self.rest.stopping.set()
        self.hub.drop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _tick(self) -> None:
        while True:
            self.venue.run_timers()
            await self.hub.watch_idle()
            await asyncio.sleep(TIMER_S)

    async def __aenter__(self) -> FakeOkx:
        """Serve."""
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop serving."""
        await self.stop()

    def run(self, act: Callable[[], Result]) -> Result:
        """Do something to the venue in its own loop and return the result; for a server in a thread."""
        if self._loop is None:
            raise RuntimeError("the fake is not running: use `with serving() as okx` or `async with FakeOkx() as okx`")

        async def call() -> Result:
            return act()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(START_S)


@contextmanager
def serving(okx: FakeOkx | None = None, *, port: int = 0) -> Iterator[FakeOkx]:
    """Serve in a thread of its own; for synchronous tests and for other processes."""
    fake = okx or FakeOkx()
    ready, failures = Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        try:
            await fake.start(port)
        except OSError as e:
            failures.append(e)
        ready.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = Thread(target=work, name="fake-okx")
    thread.start()
    try:
        assert ready.wait(START_S), "the fake OKX did not start"
        if failures:
            raise failures[0]
        yield fake
    finally:
        asyncio.run_coroutine_threadsafe(fake.stop(), loop).result(START_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_S)
        loop.close()
