"""The read-only tables: bars, signals, regimes, plans, verdicts, orders, fills, trades, equity and their neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import QueryParams

from schemas.values import Micros
from services.errors import invalid
from services.moments import parse_moment
from services.query.database import CursorError, Page, ReadDatabase
from services.query.vocabulary import words_of

LIMIT_MAX = 1000
LIMIT = 100
ORDERS = ("desc", "asc")
OPEN, YES = "open", "true"


@dataclass(frozen=True, slots=True)
class Resource:
    """One route: its path, the tables or views behind it, the columns it can be filtered by and ordered by.

    ``now``: the view of what is so at present, for ``open=true``; empty: the route has no such parameter.
    """

    path: str
    tables: tuple[str, ...]
    filters: tuple[str, ...]
    says: str
    time: str = "ts_event"
    now: str = ""


RESOURCES: tuple[Resource, ...] = (
    Resource("bars", ("bars",), ("instrument_id", "timeframe"), "Closed bars."),
    Resource("signals", ("signals",), ("instrument_id", "timeframe", "strategy"), "Scored signals."),
    Resource("regimes", ("regimes",), ("instrument_id", "timeframe", "regime"), "Market regimes with probabilities."),
    Resource(
        "plans",
        ("plans", "plan_declines"),
        ("instrument_id", "plan_id", "strategy", "origin", "status", "reason", "command_id", "event_type"),
        "Plans proposed with what became of them, and plans declined with the reason.",
    ),
    Resource(
        "verdicts",
        ("verdicts",),
        ("instrument_id", "plan_id", "strategy", "code", "command_id", "event_type"),
        "Plans approved (sized) and denied, with every check.",
    ),
    Resource(
        "orders",
        ("orders",),
        ("instrument_id", "plan_id", "client_order_id", "purpose", "state"),
        "Orders with their present state.",
        time="ts_intended",
    ),
    Resource(
        "order-events",
        ("order_events",),
        ("instrument_id", "plan_id", "client_order_id", "event_type"),
        "Every event in the life of every order.",
    ),
    Resource("fills", ("fills",), ("instrument_id", "plan_id", "client_order_id"), "Booked fills."),
    Resource("trades", ("trades",), ("instrument_id", "plan_id", "strategy", "exit_reason"), "Closed trades."),
    Resource("equity", ("equity",), ("account_id",), "Equity, peak and drawdown."),
    Resource(
        "positions",
        ("position_events",),
        ("account_id", "instrument_id", "plan_id"),
        "Every change of a position; with open=true the positions there are now.",
        now="open_positions",
    ),
    Resource("states", ("trading_states",), ("account_id", "state"), "Trading states with their causes."),
    Resource(
        "cash",
        ("cash_flows", "funding_payments", "charges"),
        ("account_id", "instrument_id", "plan_id", "event_type"),
        "Money that moved without a fill: deposits and withdrawals, funding, charges of the venue.",
    ),
    Resource(
        "reconciliations",
        ("reconciliations",),
        ("account_id", "subject", "repair", "event_type"),
        "Differences between venue and log: told, with age and repair, and settled.",
    ),
)
"""Rows carry every column of their table; a filter that one of two tables lacks selects nothing from it."""


def reads_router(database: ReadDatabase) -> APIRouter:
    """Return one GET route a resource."""
    router = APIRouter(tags=["read"])
    for resource in RESOURCES:
        documented = {"parameters": [_parameter(resource, name, says) for name, says in _parameters(resource).items()]}
        route = router.get(f"/{resource.path}", summary=resource.says, name=resource.path, openapi_extra=documented)
        route(_endpoint(database, resource))
    return router


def _endpoint(database: ReadDatabase, resource: Resource) -> Callable[[Request], JSONResponse]:
    def read(request: Request) -> JSONResponse:
        page = page_of(resource, request.query_params)
        tables = (resource.now,) if request.query_params.get(OPEN) == YES else resource.tables
        try:
            items, following = database.page(tables, page)
        except CursorError as error:
            raise invalid("cursor", str(error)) from error
        return JSONResponse({"items": items, "next_cursor": following})

    return read


def _parameters(resource: Resource) -> dict[str, str]:
    now = {OPEN: "true: only what is open now, a row each; false (default): every change."} if resource.now else {}
    return (
        {name: "Only rows with this value." for name in resource.filters}
        | now
        | {
            "ts_from": "From this moment on: microseconds since 1970 or ISO 8601 with its zone.",
            "ts_to": "Before this moment.",
            "limit": f"At most this many rows: 1 to {LIMIT_MAX}, default {LIMIT}.",
            "cursor": "Where the page before ended: its next_cursor.",
            "order": "desc (newest first, default) or asc.",
        }
    )


def _parameter(resource: Resource, name: str, says: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    words = _words(resource, name)
    if words:
        schema["enum"] = list(words)
    return {"name": name, "in": "query", "required": False, "description": says, "schema": schema}


def _words(resource: Resource, name: str) -> tuple[str, ...]:
    """Return the words a parameter is one of; empty: it takes any value."""
    if name == "order":
        return ORDERS
    if name == OPEN:
        return YES, "false"
    return words_of(resource.tables, name) if name in resource.filters else ()


def page_of(resource: Resource, query: QueryParams) -> Page:
    """Return the page a query string asks for; a parameter the resource does not have is refused, not ignored."""
    known = _parameters(resource)
    for name in query:
        if name not in known:
            raise invalid(name, f"/{resource.path} has no such parameter; it has {', '.join(known)}")
        if len(query.getlist(name)) > 1:
            raise invalid(name, "given twice")
        words = _words(resource, name)
        if words and query[name] not in words:
            raise invalid(name, f"{query[name][:40]!r} must be one of {', '.join(words)}")
    return Page(
        time=resource.time,
        filters={name: query[name].replace("\x00", "") for name in resource.filters if name in query},
        ts_from=moment_of("ts_from", query.get("ts_from")),
        ts_to=moment_of("ts_to", query.get("ts_to")),
        limit=_limit(query.get("limit")),
        cursor=query.get("cursor"),
        newest_first=query.get("order", "desc") == "desc",
    )


def _limit(value: str | None) -> int:
    if value is None:
        return LIMIT
    if not value.isdecimal() or len(value) > 6 or not 1 <= int(value) <= LIMIT_MAX:
        raise invalid("limit", f"{value[:40]!r} must be a whole number from 1 to {LIMIT_MAX}")
    return int(value)


def moment_of(field: str, value: str | None) -> Micros | None:
    """Return a moment given as microseconds since 1970 or as ISO 8601 with its zone. Raises ApiError 422."""
    if value is None:
        return None
    try:
        return parse_moment(value)
    except ValueError as error:
        raise invalid(field, str(error)) from error
