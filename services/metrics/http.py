"""Count and time the API's requests by route, and show the API's metrics at ``/metrics``."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from services.metrics.catalog import Metrics, Service

UNKNOWN_ROUTE = "none"
"""Label of a request no route matches: a caller cannot make up labels."""


def add_metrics(app: FastAPI) -> None:
    """Add the counting and the ``/metrics`` route to an application whose other routes are in place."""
    metrics = Metrics(Service.API)

    @app.get("/metrics", include_in_schema=False)
    async def shown() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.middleware("http")
    async def count(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        began, status = time.monotonic(), 500
        try:
            response = await go_on(request)
            status = response.status_code
            return response
        finally:
            method, route = _method(request), _route(request)
            metrics.counter("tapeline_http_requests_total").labels(method, route, str(status)).inc()
            metrics.histogram("tapeline_http_request_seconds").labels(method, route).observe(time.monotonic() - began)


def _method(request: Request) -> str:
    return request.method if request.method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE") else "OTHER"


def _route(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", UNKNOWN_ROUTE))
