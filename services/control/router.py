"""The control routes: each appends one command, waits (bounded) for its outcome event and returns it.

Every route needs the header ``X-API-Token``; it is checked before anything of the request is read.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse

from schemas.events.control import (
    ClosePosition,
    ExecutePlan,
    GeneratePlan,
    KillSwitch,
    OverrideLimit,
    PauseTrading,
    Planner,
    RefusalCode,
    ResumeTrading,
    TransferCash,
)
from schemas.plan_document import PlanDocumentError, parse_plan_document
from schemas.settings import INSTRUMENT_ID
from services.control import bodies
from services.control.answers import describe
from services.control.commands import MODEL_WAIT_S, Answer, CommandDesk
from services.control.limits import RateLimit
from services.control.requests import flag, money_amount, only, parse_object, pause_state, read_body, text
from services.control.symbols import SymbolError, instrument_of
from services.errors import ApiError, FieldError, invalid

Body = Annotated[bytes, Depends(read_body)]
_STATUS_OF_CODE = {
    RefusalCode.UNKNOWN_ACCOUNT: 404,
    RefusalCode.UNKNOWN_INSTRUMENT: 404,
    RefusalCode.UNKNOWN_LIMIT: 422,
    RefusalCode.INVALID_VALUE: 422,
    RefusalCode.HARD_BOUND: 422,
}
"""HTTP status of a refusal; every other (LATCHED_CAUSES, NO_POSITION, ...) is a conflict with the state: 409."""


REFUSALS_PER_MINUTE = 30
"""Calls of one client without the right token that are answered 401 in a minute; more are answered 429."""
REFUSALS_LOGGED = 60
"""Refused callers logged in a minute; /metrics counts them all."""
_log = structlog.get_logger("tapeline.control")


def token_check(token: str | None) -> Callable[[Request, str | None], None]:
    """Return the dependency that refuses callers without the token; with no token configured it refuses everybody."""
    expected = None if token is None else sha256(token.encode()).digest()
    told, refusals = RateLimit(REFUSALS_LOGGED), RateLimit(REFUSALS_PER_MINUTE)
    if expected is not None:
        _log.info("control is on", caller=fingerprint(expected))

    def check(request: Request, x_api_token: Annotated[str | None, Header()] = None) -> None:
        given = sha256((x_api_token or "").encode()).digest()
        if expected is not None and compare_digest(given, expected):
            return
        refusals.charge(request, "calls without the right token")
        if expected is None:
            raise ApiError(401, "control is off: set TAPELINE_API_TOKEN and restart the API")
        if not told.take(""):
            _log.warning("refused", caller=fingerprint(given) if x_api_token else "none")
        raise ApiError(401, "missing or wrong token in the header X-API-Token")

    return check


def fingerprint(digest: bytes) -> str:
    """Return what a token is called in logs: enough of its hash to tell one from another, and no way back."""
    return f"sha256:{digest.hex()[:12]}"


def respond(answer: Answer) -> JSONResponse:
    """Return 200 with the outcome, 202 while there is none, or the status of a refusal."""
    body = describe(answer)
    if answer.outcome is None:
        return JSONResponse(body, status_code=202)
    if answer.refused is None:
        return JSONResponse(body)
    body["detail"] = f"{answer.refused}: {body['outcome']['payload']['detail']}"
    return JSONResponse(body, status_code=_STATUS_OF_CODE.get(answer.refused, 409))


def control_router(desk: CommandDesk, *, token: str | None, wait_s: float, per_minute: int) -> APIRouter:
    """Return the control routes over one account's desk. ``per_minute``: calls of one client, see ``limits``."""
    limit = RateLimit(per_minute)
    router = APIRouter(tags=["control"], dependencies=[Depends(token_check(token)), Depends(limit.check)])
    _add_plan_routes(router, desk, wait_s)
    _add_risk_routes(router, desk, wait_s)
    _add_command_route(router, desk)
    return router


def _add_plan_routes(router: APIRouter, desk: CommandDesk, wait_s: float) -> None:
    @router.post("/plans/generate")
    def generate(symbol: str, market_type: str = "perp", planner: str = "rules") -> JSONResponse:
        """Ask a planner (rules or llm) for a plan; nothing is executed. A model is waited for up to 30 s, then 202."""
        instrument_id = _known(desk, _instrument(symbol, market_type))
        if planner.upper() not in tuple(Planner):
            raise invalid("planner", f"{planner!r} must be rules or llm")
        asked = Planner(planner.upper())
        patience = max(wait_s, MODEL_WAIT_S) if asked is Planner.LLM else wait_s
        return respond(desk.ask(GeneratePlan(desk.account_id, instrument_id, asked), wait_s=patience))

    @router.post("/plans/execute", openapi_extra=bodies.PLAN)
    def execute(body: Body) -> JSONResponse:
        """Send a plan document through risk; answer with the verdict and every check."""
        document = parse_object(body, required=True)
        try:
            parse_plan_document(document)
        except PlanDocumentError as error:
            raise _malformed(error) from error
        _known(desk, document["instrument_id"])
        return respond(desk.ask(ExecutePlan(desk.account_id, body.decode()), wait_s=wait_s))

    @router.post("/positions/close", openapi_extra=bodies.CLOSE)
    def close(body: Body, symbol: str | None = None, market_type: str = "perp") -> JSONResponse:
        """Close one position at market: name it by query (symbol, market_type) or by body (instrument_id)."""
        fields = parse_object(body, required=False)
        only(fields, "instrument_id")
        named = text(fields, "instrument_id", required=symbol is None)
        instrument_id = _instrument(symbol, market_type) if symbol is not None else named
        if instrument_id is None or not INSTRUMENT_ID.fullmatch(instrument_id):
            raise invalid("instrument_id", f"{instrument_id!r} must look like BTC-USDT-SWAP or BTC-USDT")
        return respond(desk.ask(ClosePosition(desk.account_id, _known(desk, instrument_id)), wait_s=wait_s))


def _add_risk_routes(router: APIRouter, desk: CommandDesk, wait_s: float) -> None:
    @router.post("/risk/pause", openapi_extra=bodies.PAUSE)
    def pause(body: Body) -> JSONResponse:
        """Stop opening (REDUCING), or with ``{"state": "HALTED"}`` everything but protection."""
        fields = parse_object(body, required=False)
        only(fields, "state", "reason")
        command = PauseTrading(desk.account_id, pause_state(fields), text(fields, "reason") or "")
        return respond(desk.ask(command, wait_s=wait_s))

    @router.post("/risk/resume", openapi_extra=bodies.RESUME)
    def resume(body: Body) -> JSONResponse:
        """Release the operator's pause; with ``{"reason": "..."}`` latched causes too."""
        fields = parse_object(body, required=False)
        only(fields, "reason")
        return respond(desk.ask(ResumeTrading(desk.account_id, text(fields, "reason")), wait_s=wait_s))

    @router.post("/risk/kill", openapi_extra=bodies.KILL)
    def kill(body: Body) -> JSONResponse:
        """Halt and cancel every entry; with ``{"flatten": true}`` close every position at market."""
        fields = parse_object(body, required=False)
        only(fields, "flatten", "reason")
        command = KillSwitch(desk.account_id, flag(fields, "flatten"), text(fields, "reason") or "")
        return respond(desk.ask(command, wait_s=wait_s))

    @router.post("/risk/override", openapi_extra=bodies.OVERRIDE)
    def override(body: Body) -> JSONResponse:
        """Move one limit inside its hard bound: ``{"name", "value", "reason"}``."""
        fields = parse_object(body, required=True)
        only(fields, "name", "value", "reason")
        name, value, reason = (text(fields, field, required=True) or "" for field in ("name", "value", "reason"))
        return respond(desk.ask(OverrideLimit(desk.account_id, name, value, reason), wait_s=wait_s))

    @router.post("/account/transfer", openapi_extra=bodies.TRANSFER)
    def transfer(body: Body) -> JSONResponse:
        """Pay paper cash in (positive) or take it out (negative): ``{"amount": "3000"}``; on OKX: book what differs."""
        fields = parse_object(body, required=True)
        only(fields, "amount")
        return respond(desk.ask(TransferCash(desk.account_id, money_amount(fields, "amount")), wait_s=wait_s))


def _add_command_route(router: APIRouter, desk: CommandDesk) -> None:
    @router.get("/commands/{command_id}")
    def command(command_id: str) -> JSONResponse:
        """Return what became of a command: its outcome, or 202 while there is none."""
        answer = desk.find(command_id)
        if answer is None:
            raise ApiError(404, f"no command {command_id[:64]!r} on the log")
        body = describe(answer)
        return JSONResponse(body, status_code=202 if answer.outcome is None else 200)


def _malformed(error: PlanDocumentError) -> ApiError:
    errors = [
        FieldError(field=path.removeprefix("$").lstrip(".") or "body", reason=why) for path, why in error.problems
    ]
    return ApiError(422, "; ".join(f"{entry['field']}: {entry['reason']}" for entry in errors), errors=errors)


def _instrument(symbol: str, market_type: str) -> str:
    try:
        return instrument_of(symbol, market_type)
    except SymbolError as error:
        raise invalid(error.field, error.reason) from error


def _known(desk: CommandDesk, instrument_id: str) -> str:
    if not desk.knows(instrument_id):
        raise ApiError(404, f"unknown instrument {instrument_id}: neither on the allow list nor on the log")
    return instrument_id
