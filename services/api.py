"""The HTTP API: the read side and the control side as one application, and the server that runs it.

The two sides share nothing but the process: the read side holds a read-only database role and the log to look at, the
control side holds the desk that appends commands.
"""

from __future__ import annotations

import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from services.control.commands import CommandDesk
from services.control.router import control_router
from services.errors import ERRORS, ApiError, FieldError
from services.metrics.http import add_metrics
from services.pages import POLICY, docs_page
from services.query import registry
from services.query.audit import audit_router
from services.query.database import DatabaseUnavailable, ReadDatabase
from services.query.health import health_router
from services.query.reads import reads_router
from services.settings import Settings
from services.signals import stop_alarm
from services.stores import open_database, open_existing_log
from streams.log.base import EventLog, LogError
from streams.pipeline import CODE_VERSION

_log = structlog.get_logger("tapeline.api")
DESCRIPTION = (
    "The read side shows what the log holds, through tables a projector fills, and can change nothing. The control "
    "side appends a command to the log, waits for the trader's answer and returns it, or 202 with where to ask again. "
    "Prices, quantities and money are decimals in strings; ts_ fields are microseconds since 1970, UTC, with the same "
    "moment as text beside them in ..._iso."
)


def create_app(log: EventLog, database: ReadDatabase, settings: Settings) -> FastAPI:
    """Return the application over an open log and database."""
    service, trading = settings.service, settings.trading
    token = None if service.api_token is None else service.api_token.get_secret_value()
    desk = CommandDesk(log, shard=service.shard, account_id=trading.account_id, instruments=trading.instruments_allowed)
    app = FastAPI(
        title="Tapeline", version=CODE_VERSION, description=DESCRIPTION, docs_url=None, redoc_url=None, responses=ERRORS
    )
    app.include_router(health_router(log, database, shard=service.shard, version=CODE_VERSION))
    app.include_router(reads_router(database))
    app.include_router(audit_router(database))
    app.include_router(registry.router)
    app.include_router(
        control_router(desk, token=token, wait_s=service.api_wait_s, per_minute=service.api_calls_per_minute)
    )
    _add_docs(app)
    _add_error_answers(app)
    add_metrics(app)
    return app


def serve(settings: Settings) -> None:
    """Run the API until it is told to stop. Raises LogError or ProjectionError when log or database do not open."""
    service = settings.service
    password = service.db_read_password.get_secret_value() if service.db_read_password else None
    log = open_existing_log(service.log)
    stop_alarm()  # uvicorn raises the signal again when done; by default that would leave an embedded server behind
    try:
        with open_database(service.db.get_secret_value()) as dsn:
            database = ReadDatabase(dsn, password=password)
            try:
                uvicorn.run(
                    create_app(log, database, settings),
                    host=service.api_host, port=service.api_port, log_config=None, server_header=False,
                )  # fmt: skip
            finally:
                database.close()
    finally:
        log.close()


def _add_docs(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        page = docs_page(app.openapi(), str(request.base_url))
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def _add_error_answers(app: FastAPI) -> None:
    """Answer every error as JSON with ``detail`` and, where fields are at fault, ``errors``; never with a trace."""

    @app.exception_handler(ApiError)
    async def api_error(_request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body, status_code=error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [
            FieldError(field=".".join(map(str, detail["loc"][1:])) or "body", reason=detail["msg"])
            for detail in error.errors()
        ]
        body = {"detail": f"{errors[0]['field']}: {errors[0]['reason']}", "errors": errors}
        return JSONResponse(body, status_code=422)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(DatabaseUnavailable)
    @app.exception_handler(LogError)
    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        _log.warning("unavailable", reason=str(error))
        return JSONResponse({"detail": str(error)}, status_code=503)

    @app.exception_handler(Exception)
    async def bug(request: Request, _error: Exception) -> JSONResponse:
        # Starlette raises it again behind this answer, so that the server logs it in full; the caller sees no trace.
        _log.error("bug", path=request.url.path)
        return JSONResponse({"detail": "internal error; the log has the details"}, status_code=500)
