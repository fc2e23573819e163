"""The control side of the HTTP API on a real socket, beside a trader that answers."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.codec import decode
from schemas.events.control import GeneratePlan, Planner
from schemas.events.risk import DenialCode
from schemas.settings import TradingSettings
from services.api import create_app
from services.logs import configure_logs
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log.memory import MemoryLog
from streams.log.sqlite import SqliteLog
from tests.answering import SETTINGS, SILENT, answering, prepare
from tests.builders import T0
from tests.live_server import serving

TOKEN = "correct-horse-battery-staple"
PLAN = json.loads((Path(__file__).parents[2] / "examples" / "plan_trend.json").read_text())
DEAD_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"


def settings_of(trading: TradingSettings = SETTINGS, *, wait_s: str = "5", per_minute: str = "10000") -> Settings:
    variables = {"TAPELINE_API_TOKEN": TOKEN, "TAPELINE_API_WAIT_S": wait_s}
    variables["TAPELINE_API_CALLS_PER_MINUTE"] = per_minute
    return Settings(load_settings(environ=variables, env_file=None).service, trading)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log.db")
    prepare(opened)
    yield opened
    opened.close()


@pytest.fixture
def api(log: SqliteLog) -> Iterator[httpx.Client]:
    """A client with the token, of an API without a database, beside a trader that answers."""
    database = ReadDatabase(DEAD_DATABASE)
    with (
        answering(log),
        serving(create_app(log, database, settings_of())) as url,
        httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=30) as client,
    ):
        yield client


# --- control ---------------------------------------------------------------------------------------------------------


def test_generate_returns_the_plan(api: httpx.Client) -> None:
    response = api.post("/plans/generate?symbol=BTC-USDT&market_type=perp")
    body = response.json()
    assert response.status_code == 200
    assert (body["command"], body["status"]) == ("GeneratePlan", "proposed")
    assert body["outcome"]["payload"]["instrument_id"] == "BTC-USDT-SWAP"
    assert body["outcome"]["payload"]["reference_price"] == "80000.1"
    assert body["outcome"]["payload"]["command_id"] == body["command_id"]


def test_generate_asks_the_planner_that_is_named(api: httpx.Client, log: SqliteLog) -> None:
    answer = api.post("/plans/generate?symbol=BTC-USDT&market_type=perp&planner=llm")
    assert answer.status_code == 200
    asked = decode(log.read("commands", 0, log.end_offset("commands", 0) - 1, limit=1)[0].value)[1]
    assert asked == GeneratePlan("paper", "BTC-USDT-SWAP", Planner.LLM)
    refused = api.post("/plans/generate?symbol=BTC-USDT&market_type=perp&planner=oracle")
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"field": "planner", "reason": "'oracle' must be rules or llm"}]


def test_a_script_that_runs_away_is_held_up_and_the_kill_switch_is_not(log: SqliteLog) -> None:
    settings = settings_of(per_minute="2")
    with (
        answering(log),
        serving(create_app(log, ReadDatabase(DEAD_DATABASE), settings)) as url,
        httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=30) as client,
    ):
        path = "/plans/generate?symbol=BTC-USDT&market_type=perp"
        assert [client.post(path).status_code for _ in range(3)] == [200, 200, 429]
        assert client.post(path).json()["retry_after_s"] > 0
        assert client.post("/risk/kill").status_code == 200
        assert client.post(path, headers={"X-API-Token": "wrong"}).status_code == 401


def test_generate_returns_the_reason_where_there_is_no_plan(api: httpx.Client) -> None:
    body = api.post("/plans/generate?symbol=ETH-USDT&market_type=perp").json()
    assert body["status"] == "declined"
    assert body["outcome"]["payload"]["reason"] == "NO_SETUP"


def test_a_verdict_is_200_with_every_check_though_it_denies(api: httpx.Client) -> None:
    response = api.post("/plans/execute", json=PLAN)
    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "denied"
    assert body["outcome"]["payload"]["code"] == "NOT_RECONCILED"
    assert [check["code"] for check in body["outcome"]["payload"]["checks"]] == list(DenialCode)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": "1"}, "quantity"),
        ({"entry": {"type": "LIMIT"}}, "entry.limit_price"),
        ({"position_side": "UP"}, "position_side"),
        ({"targets": [{"limit_price": "81000", "fraction": 0.5}]}, "targets[0].fraction"),
        ({"valid_for_s": 0}, "valid_for_s"),
        ({"stop": {"trigger_price": "79000", "trail_from_r": "1.0"}}, "stop.trail_from_r"),
    ],
)
def test_a_malformed_plan_is_422_with_the_field_and_the_reason(
    api: httpx.Client, log: SqliteLog, change: dict[str, Any], field: str
) -> None:
    response = api.post("/plans/execute", json={**PLAN, **change})
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert field in [error["field"] for error in errors]
    assert all(error["reason"] for error in errors)
    assert log.end_offset("commands", 0) == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1, "a": 2}', "'a' appears twice"),
        (b"[" * 60_000, "not valid JSON"),
        (b"\xff\xfe\xff", "not valid JSON"),
        ("\ufeff{}".encode(), "not valid JSON"),
        ('{"a": 1}'.encode("utf-16"), "not valid JSON"),
        (b'{"rationale": "half a pair: \\ud800"}', "surrogates not allowed"),
    ],
)
def test_a_body_that_is_no_json_object_is_422(api: httpx.Client, content: bytes, says: str) -> None:
    response = api.post("/plans/execute", content=content)
    assert response.status_code == 422
    assert says in response.json()["errors"][0]["reason"]


def test_a_body_that_is_too_long_is_413(api: httpx.Client) -> None:
    assert api.post("/plans/execute", content=b" " * 70_000).status_code == 413


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/plans/generate", "symbol"),
        ("/plans/generate?symbol=BTC-USDT-SWAP&market_type=perp", "symbol"),
        ("/plans/generate?symbol=btc-usdt", "symbol"),
        ("/plans/generate?symbol=BTC-USDT&market_type=option", "market_type"),
        ("/positions/close", "instrument_id"),
    ],
)
def test_a_malformed_symbol_is_422(api: httpx.Client, path: str, field: str) -> None:
    response = api.post(path)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


def test_an_unknown_instrument_is_404(api: httpx.Client, log: SqliteLog) -> None:
    assert api.post("/plans/generate?symbol=DOGE-USDT&market_type=spot").status_code == 404
    assert api.post("/plans/execute", json={**PLAN, "instrument_id": "DOGE-USDT"}).status_code == 404
    assert api.post("/positions/close", json={"instrument_id": "DOGE-USDT"}).status_code == 404
    assert log.end_offset("commands", 0) == 0


def test_an_instrument_defined_on_the_log_is_known_though_not_allowed(log: SqliteLog) -> None:
    nothing_allowed = settings_of(TradingSettings(instruments_allowed=()))
    with answering(log), serving(create_app(log, ReadDatabase(DEAD_DATABASE), nothing_allowed)) as url:
        client = httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=30)
        assert client.post("/plans/generate?symbol=BTC-USDT&market_type=perp").status_code == 200
        assert client.post("/plans/generate?symbol=ETH-USDT&market_type=perp").status_code == 404


def test_resume_with_latched_causes_is_409_and_with_a_reason_200(api: httpx.Client) -> None:
    refused = api.post("/risk/resume")
    assert refused.status_code == 409
    assert refused.json()["detail"] == "LATCHED_CAUSES: DRAWDOWN remains: resume with a reason"
    assert api.post("/risk/resume", json={"reason": "checked"}).json()["status"] == "done"


@pytest.mark.parametrize(("body", "state"), [(None, "REDUCING"), ({"state": "HALTED"}, "HALTED")])
def test_pause_works_without_and_with_a_body(api: httpx.Client, body: Any, state: str) -> None:
    response = api.post("/risk/pause", json=body) if body else api.post("/risk/pause")
    assert response.status_code == 200
    assert response.json()["status"] == "done"
    assert api.get(f"/commands/{response.json()['command_id']}").json()["related"][0]["payload"]["state"] == state


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/risk/pause", {"state": "ACTIVE"}, "state"),
        ("/risk/pause", {"stat": "HALTED"}, "stat"),
        ("/risk/resume", {"reason": ""}, "reason"),
        ("/risk/resume", {"reason": "x" * 501}, "reason"),
        ("/risk/kill", {"flatten": "yes"}, "flatten"),
        ("/risk/override", {"name": "heat_pct_max", "value": 5, "reason": "x"}, "value"),
        ("/account/transfer", {"amount": 3000}, "amount"),
        ("/account/transfer", {"amount": "1e25"}, "amount"),
        ("/account/transfer", {"amount": "0.000000001"}, "amount"),
    ],
)
def test_a_malformed_risk_body_is_422(api: httpx.Client, path: str, body: Any, field: str) -> None:
    response = api.post(path, json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


def test_kill_override_and_close_reach_the_trader(api: httpx.Client) -> None:
    assert api.post("/risk/kill", json={"flatten": True}).json()["status"] == "done"
    override = {"name": "heat_pct_max", "value": "5", "reason": "event risk"}
    assert api.post("/risk/override", json=override).json()["status"] == "done"
    flat = api.post("/positions/close?symbol=BTC-USDT&market_type=perp")
    assert (flat.status_code, flat.json()["status"]) == (409, "refused")


def test_every_caller_gets_the_answer_to_its_own_command(api: httpx.Client) -> None:
    symbols = ["BTC-USDT", "ETH-USDT"] * 10

    def ask(symbol: str) -> dict[str, Any]:
        body: dict[str, Any] = api.post(f"/plans/generate?symbol={symbol}&market_type=perp").json()
        return body

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(ask, symbols))
    assert [answer["outcome"]["payload"]["instrument_id"] for answer in answers] == [f"{name}-SWAP" for name in symbols]
    assert all(answer["outcome"]["payload"]["command_id"] == answer["command_id"] for answer in answers)
    assert len({answer["command_id"] for answer in answers}) == len(symbols)


def test_the_api_describes_the_bodies_it_takes(api: httpx.Client) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    plan = paths["/plans/execute"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(plan["required"]) <= set(PLAN)
    assert "$ref" not in json.dumps(plan)
    assert paths["/risk/pause"]["post"]["requestBody"]["required"] is False


def test_an_unknown_field_is_refused_with_the_ones_there_are(api: httpx.Client) -> None:
    response = api.post("/risk/override", json={"limit": "heat_pct_max", "value": "5", "reason": "x"})
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "limit: unknown field; allowed: name, value, reason",
    )


def test_the_documentation_is_a_page_of_its_own(api: httpx.Client) -> None:
    response = api.get("/", follow_redirects=True)
    assert str(response.url) == f"{api.base_url}/docs"
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert f"{api.base_url}/bars" in response.text


def test_no_answer_in_time_is_202_and_the_outcome_is_found_later(log: SqliteLog) -> None:
    with serving(create_app(log, ReadDatabase(DEAD_DATABASE), settings_of(wait_s="0.05"))) as url:
        client = httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=30)
        pending = client.post("/plans/generate?symbol=BTC-USDT&market_type=perp")
        assert pending.status_code == 202
        where = pending.json()["href"]
        assert client.get(where).status_code == 202
        with answering(log):
            answered = _until(lambda: client.get(where), lambda response: response.status_code == 200)
        assert answered.json()["status"] == "proposed"
        assert client.get("/commands/none-such").status_code == 404


def test_a_202_says_where_to_ask_and_for_how_long_no_trader_took_an_input(log: SqliteLog) -> None:
    headers = {"X-API-Token": TOKEN}
    app = create_app(log, ReadDatabase(DEAD_DATABASE), settings_of(wait_s="0.05"))
    with serving(app) as url, httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        body = client.post("/risk/kill").json()
        told = f"no outcome yet: ask /commands/{body['command_id']} again"
        assert body["detail"] == f"{told}; no trader has ever taken an input of this log"
        with answering(log):
            _until(lambda: client.get(body["href"]), lambda response: response.status_code == 200)
        assert "reason" not in client.get("/ready").json()["log"]
        body = client.post("/risk/kill").json()
        assert re.search(r"again; no trader has taken an input for \d+ s$", body["detail"])
        assert re.search(r"again; no trader .* \d+ s$", client.get(body["href"]).json()["detail"])


def test_a_command_nobody_answers_stays_pending(log: SqliteLog) -> None:
    app = create_app(log, ReadDatabase(DEAD_DATABASE), settings_of(wait_s="0.2"))
    with answering(log), serving(app) as url:
        headers = {"X-API-Token": TOKEN}
        response = httpx.post(f"{url}/positions/close", json={"instrument_id": SILENT}, headers=headers)
        assert (response.status_code, response.json()["status"]) == (202, "pending")


def _until(look: Callable[[], httpx.Response], is_it: Callable[[httpx.Response], bool]) -> httpx.Response:
    for _ in range(2000):
        response = look()
        if is_it(response):
            return response
    raise AssertionError(f"never came: {response.status_code} {response.text}")


def test_a_command_to_a_recording_carries_the_markets_time(api: httpx.Client, log: SqliteLog) -> None:
    api.post("/risk/pause")
    assert decode(log.read("commands", 0, 0, limit=1)[0].value)[0].ts_event == T0


def test_errors_are_json_without_traces(api: httpx.Client) -> None:
    missing = api.get("/nothing/here")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert api.get("/risk/pause").status_code == 405
    unavailable = api.get("/bars")
    assert unavailable.status_code == 503
    assert "Traceback" not in unavailable.text


def test_ready_says_what_is_missing(api: httpx.Client) -> None:
    response = api.get("/ready")
    assert response.status_code == 503
    assert response.json()["log"]["reachable"] is True
    assert response.json()["database"]["reachable"] is False


class BrokenLog(MemoryLog):
    """A log with a bug in it."""

    def end_offset(self, topic: str, partition: int) -> int:
        raise ZeroDivisionError(f"the token is {TOKEN}")


def test_a_bug_is_500_without_a_trace_and_the_log_has_it_without_the_token() -> None:
    written = StringIO()
    handlers = logging.getLogger().handlers[:]
    settings = settings_of()
    configure_logs(secrets=settings.secrets(), stream=written)
    try:
        with serving(create_app(BrokenLog(), ReadDatabase(DEAD_DATABASE), settings)) as url:
            response = httpx.post(f"{url}/risk/pause", headers={"X-API-Token": TOKEN})
    finally:
        logging.getLogger().handlers[:] = handlers
    assert (response.status_code, response.json()) == (500, {"detail": "internal error; the log has the details"})
    assert "ZeroDivisionError" in written.getvalue()
    assert TOKEN not in written.getvalue()
