"""The REST side over HTTP: admits, counts, answers; planned faults strike before or after a request is carried out."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from tests.fakes.okx import rest_private, rest_public
from tests.fakes.okx.asked import Asked, Endpoint
from tests.fakes.okx.auth import ApiKey, Doorman, permit
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.faults import Fault, FaultPlan, Planned
from tests.fakes.okx.limits import RateLimits
from tests.fakes.okx.operations import Operations, Reply, refused_rows
from tests.fakes.okx.push import Row
from tests.fakes.okx.venue import Venue

PREFIX = "/api/v5/"
HANG_S = 60.0
"""A request that hangs is let go after this many seconds, or when the server stops."""
NOT_FOUND: Row = {
    "code": 404,
    "data": {},
    "detailMsg": "",
    "error_code": "404",
    "error_message": "Not Found",
    "msg": "Not Found",
}
COUNTED_INSIDE = frozenset(rest_private.POST) - {
    "account/set-leverage",
    "account/set-position-mode",
    "trade/close-position",
}
"""Endpoints that count by instrument or tag, once they know it."""
BY_INSTRUMENT = frozenset(
    {"public/instruments", "public/funding-rate", "public/funding-rate-history", "public/mark-price"}
)
"""Public endpoints limited by address and instrument; the others by address alone."""


class Rest:
    """Serves ``/api/v5``."""

    def __init__(
        self, venue: Venue, doorman: Doorman, limits: RateLimits, faults: FaultPlan, seen: list[tuple[str, str]]
    ) -> None:
        """Answer from this venue; note every request in ``seen``."""
        self.venue, self.doorman, self.limits, self.faults, self.seen = venue, doorman, limits, faults, seen
        self.operations = Operations(venue, limits)
        self.stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        path = request.match_info["tail"]
        name = _name(request.method, path)
        body = await request.text()
        self.seen.append((name, body or request.query_string))
        planned = self.faults.strike(name)
        if planned is None or planned.fault is Fault.DELAY:
            await asyncio.sleep(planned.delay_s if planned else 0)
            return self._answer(request, path, name, body)
        if planned.fault in Fault and Fault(planned.fault).executes:
            self._answer(request, path, name, body)
        return await self._fail(request, planned)

    async def _fail(self, request: web.Request, planned: Planned) -> web.StreamResponse:
        kind = planned.fault.name.partition("_")[0]
        if kind == "ANSWER":
            return web.json_response(planned.refusal.body(), status=planned.refusal.http)
        if kind == "ROW":
            reply = refused_rows(_rows(await request.text()), planned.refusal)
            if "algo" in request.path:
                reply.code, reply.message = self.venue.rules.algo_refusal_code, ""
            return web.json_response(reply.body())
        if kind == "GARBAGE":
            return web.Response(text='{"code":"0","data":[{"ordId":"25000', content_type="application/json")
        if kind == "HANG":
            await _until(self.stopping, HANG_S)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    def _answer(self, request: web.Request, path: str, name: str, body: str) -> web.StreamResponse:
        table = rest_private.GET if request.method == "GET" else rest_private.POST
        endpoint = rest_public.ENDPOINTS.get(path) if request.method == "GET" else None
        try:
            if endpoint is None and path not in table:
                return web.json_response(NOT_FOUND, status=404)
            self.venue.run_timers()
            reply = self._carry_out(request, path, name, body, endpoint or table[path], private=endpoint is None)
        except VenueError as refused:
            return web.json_response(refused.body(), status=refused.http)
        return web.json_response(reply.body())

    def _carry_out(
        self, request: web.Request, path: str, name: str, body: str, endpoint: Endpoint, *, private: bool
    ) -> Reply:
        key = self._admit(request, path, body) if private else None
        if request.method == "GET" or path not in COUNTED_INSIDE:
            told = request.query.get("instType", "") + request.query.get("instId", "")
            self.limits.count(name, told if path in BY_INSTRUMENT else "")
        if self.venue.maintenance and request.method == "POST" and path.startswith("trade/"):
            raise VenueError("50001")
        rows = _rows(body) if request.method == "POST" else []
        deadline = request.headers.get("expTime", "")
        asked = Asked(self.venue, self.operations, dict(request.query), rows, key, deadline)
        result = endpoint(asked)
        return result if isinstance(result, Reply) else Reply(result)

    def _admit(self, request: web.Request, path: str, body: str) -> ApiKey:
        key = self.doorman.admit(request.headers, request.method, request.raw_path, body)
        addresses = [part for part in key.address.split(",") if part]
        if addresses and (request.remote or "") not in addresses:
            raise VenueError("50110", request.remote or "", key.key)
        trades = request.method == "POST" and path.startswith(("trade/", "account/"))
        permit(key, "trade" if trades else "read_only")
        return key


def _name(method: str, path: str) -> str:
    both = path in rest_private.GET and path in rest_private.POST
    return f"GET {path}" if method == "GET" and both else path


def _rows(body: str) -> list[Row]:
    if not body:
        raise VenueError("50000")
    try:
        parsed = json.loads(body)
    except ValueError as e:
        raise VenueError("50002") from e
    rows = parsed if isinstance(parsed, list) else [parsed]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise VenueError("50002")
    return rows


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
