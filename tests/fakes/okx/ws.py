"""The WebSocket side: login, subscriptions, order requests, pushes; frames can be lost, doubled, swapped or cut off."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from aiohttp import WSMessage, WSMsgType, web

from tests.fakes.okx import channels
from tests.fakes.okx.auth import SIMULATED, ApiKey, Doorman, permit
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.faults import Fault, FaultPlan, Frame
from tests.fakes.okx.limits import RateLimits
from tests.fakes.okx.operations import Operations, refused_rows
from tests.fakes.okx.push import PRIVATE, Push, Row
from tests.fakes.okx.venue import Venue

DEMO_BROKER = "9999"
BACKLOG = 100_000
REQUESTS_PER_HOUR = 480
LOGIN_FAILED, IDLE = 4001, 4004
TRADING = {
    "order": "order",
    "batch-orders": "batch-orders",
    "cancel-order": "cancel-order",
    "batch-cancel-orders": "cancel-batch-orders",
    "amend-order": "amend-order",
    "batch-amend-orders": "amend-batch-orders",
}


class Connection:
    """One client: what it hears, who it is, and the frames on their way to it."""

    def __init__(self, socket: web.WebSocketResponse, url: str, conn_id: str, *, demo: bool) -> None:
        """Nothing subscribed, nobody logged in."""
        self.socket, self.url, self.conn_id, self.demo = socket, url, conn_id, demo
        self.key: ApiKey | None = None
        self.subscriptions: list[channels.Argument] = []
        self.frames: asyncio.Queue[str | None] = asyncio.Queue(BACKLOG)
        self.held: str | None = None
        self.requests: list[float] = []
        self.touched = time.monotonic()
        self.stalled = False

    def put(self, frame: Row | str) -> None:
        """Queue a frame; a client too slow to take them is cut off."""
        try:
            self.frames.put_nowait(frame if isinstance(frame, str) else json.dumps(frame))
        except asyncio.QueueFull:
            self.cut()

    async def write(self) -> None:
        """Send what is queued until the connection ends."""
        while (frame := await self.frames.get()) is not None:
            if self.socket.closed:
                return
            self.touched = time.monotonic()
            await self.socket.send_str(frame)

    def cut(self) -> None:
        """End the TCP connection without a word."""
        transport = self.socket._req.transport if self.socket._req is not None else None
        if transport is not None:
            transport.abort()
        self.end()

    def end(self) -> None:
        """Let the writer stop; what was still to be sent is dropped."""
        while not self.frames.empty():
            self.frames.get_nowait()
        self.frames.put_nowait(None)


class Hub:
    """All connections; listens to the venue and serves ``/ws/v5/{public,private,business}``."""

    def __init__(self, venue: Venue, doorman: Doorman, limits: RateLimits, faults: FaultPlan) -> None:
        """Hear this venue."""
        self.venue, self.doorman, self.limits, self.faults = venue, doorman, limits, faults
        self.operations = Operations(venue, limits)
        self.connections: list[Connection] = []
        self._connects: list[float] = []
        self._serial = 0
        venue.listeners.append(self.hear)

    # --- connections

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until either side ends it."""
        if self._too_many_connects():
            return web.json_response(VenueError("50011").body(), status=429)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self._serial += 1
        demo = request.query.get("brokerId") == DEMO_BROKER or request.headers.get(SIMULATED) == "1"
        connection = Connection(socket, request.match_info["url"], f"{0xA4D30000 + self._serial:08x}", demo=demo)
        self.connections.append(connection)
        writer = asyncio.create_task(connection.write())
        try:
            async for message in socket:
                await self._hear_client(connection, message)
        finally:
            self.connections.remove(connection)
            connection.end()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _too_many_connects(self) -> bool:
        now = time.monotonic()
        self._connects = [moment for moment in self._connects if now - moment < 1] + [now]
        return self.venue.rules.rate_limits and len(self._connects) > 3

    async def watch_idle(self) -> None:
        """Close connections on which nothing moved for too long, in either direction."""
        for connection in list(self.connections):
            if time.monotonic() - connection.touched > self.venue.rules.idle_s:
                await connection.socket.close(code=IDLE, message=b"No data received in 30s.")

    # --- what clients say

    async def _hear_client(self, connection: Connection, message: WSMessage) -> None:
        if message.type is not WSMsgType.TEXT:
            return
        connection.touched = time.monotonic()
        if connection.stalled:
            return
        if message.data == "ping":
            connection.put("pong")
            return
        try:
            asked = json.loads(message.data)
            operation = asked["op"]
        except (ValueError, KeyError, TypeError):
            self._refuse(connection, VenueError("60012", message.data))
            return
        self.venue.run_timers()
        await self._operate(connection, str(operation), asked)

    async def _operate(self, connection: Connection, operation: str, asked: Row) -> None:
        acts: dict[str, Callable[[Connection, Row], Awaitable[None]]] = {
            "login": self._login,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }
        try:
            if operation in TRADING:
                await self._trade(connection, operation, asked)
            elif operation in acts:
                self._count(connection)
                await acts[operation](connection, asked)
            else:
                raise VenueError("60019", operation)
        except VenueError as refused:
            self._refuse(connection, refused, asked)

    def _count(self, connection: Connection) -> None:
        now = time.monotonic()
        connection.requests = [moment for moment in connection.requests if now - moment < 3600]
        if self.venue.rules.rate_limits and len(connection.requests) >= REQUESTS_PER_HOUR:
            raise VenueError("60014")
        connection.requests.append(now)

    def _refuse(self, connection: Connection, refused: VenueError, asked: Row | None = None) -> None:
        frame: Row = {"event": "error", "code": refused.code, "msg": refused.message, "connId": connection.conn_id}
        if asked and "id" in asked:
            frame["id"] = asked["id"]
        connection.put(frame)

    async def _login(self, connection: Connection, asked: Row) -> None:
        planned = self.faults.strike("ws login")
        try:
            if planned is not None:
                raise planned.refusal
            arguments = asked.get("args")
            if not isinstance(arguments, list) or not arguments:
                raise VenueError("60013")
            if connection.key is not None:
                raise VenueError("60031")
            connection.key = self.doorman.login(arguments[0], demo=connection.demo)
        except VenueError as refused:
            self._refuse(connection, refused, asked)
            if connection.key is not None:
                return
            await _drain(connection)
            await connection.socket.close(code=LOGIN_FAILED, message=b"Login failed.")
            return
        connection.put({"event": "login", "msg": "", "code": "0", "connId": connection.conn_id})

    async def _subscribe(self, connection: Connection, asked: Row) -> None:
        for argument in _arguments(asked):
            try:
                channels.check(self.venue, connection.url, argument, logged_in=connection.key is not None)
            except VenueError as refused:
                self._refuse(connection, refused, asked)
                continue
            connection.put({"event": "subscribe", "arg": argument, "connId": connection.conn_id})
            if argument in connection.subscriptions:
                continue
            connection.subscriptions.append(argument)
            if argument["channel"] in PRIVATE:
                self._tell_connections(connection, argument["channel"])
            for push in channels.first(self.venue, argument):
                connection.put(self._frame(connection, argument, push))

    def _tell_connections(self, connection: Connection, channel: str) -> None:
        total = sum(any(sub["channel"] == channel for sub in other.subscriptions) for other in self.connections)
        counted = {"event": "channel-conn-count", "channel": channel, "connCount": str(total)}
        connection.put(counted | {"connId": connection.conn_id})

    async def _unsubscribe(self, connection: Connection, asked: Row) -> None:
        for argument in _arguments(asked):
            if argument in connection.subscriptions:
                connection.subscriptions.remove(argument)
            connection.put({"event": "unsubscribe", "arg": argument, "connId": connection.conn_id})

    async def _trade(self, connection: Connection, operation: str, asked: Row) -> None:
        if connection.url != "private":
            raise VenueError("60028")
        if connection.key is None:
            raise VenueError("60011")
        planned = self.faults.strike(f"ws {operation}")
        reply: Row = {"id": asked.get("id", ""), "op": operation}
        if planned is None or (isinstance(planned.fault, Fault) and planned.fault.executes):
            reply |= self._carry_out(connection.key, operation, asked)
        if planned is None or planned.fault is Fault.DELAY:
            await asyncio.sleep(planned.delay_s if planned else 0)
            connection.put(reply)
        elif planned.fault in {Fault.DROP_BEFORE, Fault.DROP_AFTER}:
            connection.cut()
        elif planned.fault in {Fault.ANSWER_BEFORE, Fault.ANSWER_AFTER}:
            connection.put(reply | {"data": [], "code": planned.refusal.code, "msg": planned.refusal.message})
        elif planned.fault in {Fault.ROW_BEFORE, Fault.ROW_AFTER}:
            connection.put(reply | refused_rows(_requests(asked), planned.refusal).body())

    def _carry_out(self, key: ApiKey, operation: str, asked: Row) -> Row:
        try:
            permit(key, "trade")
            if self.venue.maintenance:
                raise VenueError("50001")
            rows = _requests(asked)
            deadline = str(asked.get("expTime") or "")
            reply = self.operations.run(TRADING[operation], rows, single=False, deadline=deadline)
            return reply.body() | {"msg": ""}
        except VenueError as refused:
            return {"data": [], "code": refused.code, "msg": refused.message}

    # --- what the venue says

    def hear(self, push: Push) -> None:
        """Deliver a push to every subscription it concerns, with the fault planned for its channel."""
        for connection in list(self.connections):
            for argument in connection.subscriptions:
                if channels.hears(argument, push) and not connection.stalled:
                    self._deliver(connection, push.channel, json.dumps(self._frame(connection, argument, push)))

    def _deliver(self, connection: Connection, channel: str, frame: str) -> None:
        planned = self.faults.strike(channel)
        kind = planned.fault if planned else None
        if kind is Frame.DROP_CONNECTION:
            connection.cut()
        elif kind is Frame.SWAP:
            connection.held = frame
        elif kind is not Frame.LOSE:
            connection.put(frame)
            if kind is Frame.DUPLICATE:
                connection.put(frame)
            if connection.held is not None:
                connection.put(connection.held)
                connection.held = None

    def _frame(self, connection: Connection, argument: channels.Argument, push: Push) -> Row:
        arg = dict(argument)
        if push.channel in PRIVATE:
            arg["uid"] = self.venue.account.uid
        frame: Row = {"arg": arg} | push.fields
        if push.action:
            frame["action"] = push.action
        return frame | {"data": push.data}

    # --- what a test does to connections

    def notice(self) -> None:
        """Announce a service upgrade (64008) to everybody; ``drop`` them when the test wants it to come true."""
        for connection in self.connections:
            words = VenueError("64008")
            connection.put({"event": "notice", "code": "64008", "msg": words.message, "connId": connection.conn_id})

    def drop(self, url: str = "") -> int:
        """Cut every connection, or those of one URL; returns how many."""
        found = [connection for connection in self.connections if not url or connection.url == url]
        for connection in found:
            connection.cut()
        return len(found)

    def stall(self, url: str = "") -> None:
        """Let connections go silent without closing: nothing is sent or answered on them any more."""
        for connection in self.connections:
            connection.stalled = connection.stalled or not url or connection.url == url

    def subscribed(self, channel: str) -> int:
        """Return how many subscriptions to a channel there are."""
        return sum(sub["channel"] == channel for other in self.connections for sub in other.subscriptions)


def _requests(asked: Row) -> list[Row]:
    rows = asked.get("args")
    if not isinstance(rows, list) or not rows:
        raise VenueError("60013")
    return rows


def _arguments(asked: Row) -> list[channels.Argument]:
    rows = asked.get("args")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "channel" in row for row in rows):
        raise VenueError("60012", json.dumps(asked))
    return [{str(name): str(value) for name, value in row.items()} for row in rows]


async def _drain(connection: Connection) -> None:
    # Let the writer send what is queued before the connection is closed; bounded.
    for _ in range(100):
        if connection.frames.empty():
            return
        await asyncio.sleep(0)
