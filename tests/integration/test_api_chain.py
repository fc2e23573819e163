"""The API over the real chain: ten stages on a made-up tape, projected, controlled and traced from fill to tick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from projections.embedded import EmbeddedPostgres
from projections.migrate import migrate
from projections.writer import Projector
from schemas.events.risk import DenialCode
from schemas.settings import TradingSettings
from services.api import create_app
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from services.projection import LogSource
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.batch import run_batch
from streams.log.sqlite import SqliteLog
from streams.pipeline import stages
from streams.verify import verify
from tests.answering import running
from tests.live_server import serving

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

TICKS = 11_000
"""Three days of history and most of a day of trading."""
TOKEN = "correct-horse-battery-staple"
PLAN = json.loads((Path(__file__).parents[2] / "examples" / "plan_trend.json").read_text())


@pytest.fixture(scope="module")
def chain(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqliteLog, str]]:
    """A traded tape on a log, projected into a database of its own."""
    log = SqliteLog(tmp_path_factory.mktemp("chain") / "log.db")
    import_feed(log, islice(synthetic_feed(), TICKS), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    dsn = postgres.dsn_of("template1").replace("template1", "postgres")
    migrate(dsn, "chain")
    with Projector(LogSource(log), dsn, schema="chain") as projector:
        projector.run(until_caught_up=True)
    yield log, dsn
    log.close()


@pytest.fixture(scope="module")
def api(chain: tuple[SqliteLog, str]) -> Iterator[httpx.Client]:
    """A client with the token, beside a trader that goes on where the batch run ended."""
    log, dsn = chain
    service = load_settings(environ={"TAPELINE_API_TOKEN": TOKEN, "TAPELINE_API_WAIT_S": "20"}, env_file=None).service
    reads = ReadDatabase(dsn, schema="chain")
    trader = build_trader(log, 0)
    trader.start()
    with (
        running(trader),
        serving(create_app(log, reads, Settings(service, TradingSettings()))) as url,
        httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=60) as client,
    ):
        yield client
    reads.close()
    assert verify(log, 0, stages()).proven  # the commands arrived at arbitrary moments; the recorded order decides


def items(api: httpx.Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(path).json()["items"]
    assert found, path
    return found


def test_every_read_model_has_rows(api: httpx.Client) -> None:
    for path in ("bars", "signals", "regimes", "plans", "verdicts", "orders", "fills", "equity", "states", "cash"):
        items(api, f"/{path}?limit=5")
    assert {row["state"] for row in items(api, "/orders?limit=200")} >= {"FILLED"}


def test_an_approval_is_traced_to_the_bar_it_rests_on_and_to_the_orders_it_caused(api: httpx.Client) -> None:
    approved = items(api, "/verdicts?event_type=PlanApproved&limit=1")[0]
    story = api.get(f"/audit/{approved['event_id']}").json()
    assert story["event"]["event_type"] == "PlanApproved"
    assert story["event"]["row"]["sizing_quantity"] == approved["sizing_quantity"]
    causes = [cause["event_type"] for cause in story["causes"]]
    assert causes[0] == "PlanProposed"
    assert causes[-1] == "VenueBar"
    assert "BarClosed" in causes
    effects = [(effect["depth"], effect["event_type"]) for effect in story["effects"]]
    assert (1, "OrderIntended") in effects
    assert not story["effects_truncated"]


def test_a_fill_is_traced_to_the_tick_that_filled_it(api: httpx.Client) -> None:
    fill = items(api, "/fills?limit=1")[0]
    story = api.get(f"/audit/{fill['event_id']}").json()
    assert [cause["event_type"] for cause in story["causes"]][-2:] == ["VenueFill", "VenueBar"]
    idea = [event["event_type"] for event in story["idea"]]
    assert idea[0] == "PlanProposed"
    assert idea.index("PlanApproved") < idea.index("OrderIntended") < idea.index("FillBooked")
    rests_on = {cause["event_type"]: cause["row"] for cause in story["idea_causes"]}
    assert rests_on.keys() >= {"FeaturesComputed", "BarClosed", "VenueBar"}
    assert rests_on["FeaturesComputed"]["features"]


@pytest.mark.parametrize(("event_id", "status"), [("0" * 32, 404), ("a'b", 422), ("x" * 65, 422)])
def test_audit_of_what_is_not_there(api: httpx.Client, event_id: str, status: int) -> None:
    assert api.get(f"/audit/{event_id}").status_code == status


def test_generate_answers_with_a_plan_or_the_reason_there_is_none(api: httpx.Client) -> None:
    response = api.post("/plans/generate?symbol=BTC-USDT&market_type=perp")
    assert response.status_code == 200
    assert response.json()["status"] in ("proposed", "declined")


def test_the_shipped_plan_gets_a_verdict_with_every_check(api: httpx.Client) -> None:
    response = api.post("/plans/execute", json=PLAN)
    assert response.status_code == 200
    body = response.json()
    assert body["status"] in ("approved", "denied")
    assert [check["code"] for check in body["outcome"]["payload"]["checks"]] == list(DenialCode)
    assert api.get(f"/commands/{body['command_id']}").json()["outcome"] == body["outcome"]


def test_pause_denies_and_resume_releases(api: httpx.Client) -> None:
    assert api.post("/risk/pause", json={"state": "HALTED", "reason": "test"}).json()["status"] == "done"
    denied = api.post("/plans/execute", json={**PLAN, "instrument_id": "ETH-USDT-SWAP"}).json()
    assert denied["status"] == "denied"
    failed = [c["code"] for c in denied["outcome"]["payload"]["checks"] if c["result"] == "FAIL"]
    assert "TRADING_HALTED" in failed
    assert api.post("/risk/resume").json()["status"] in ("done", "refused")


def test_a_kill_is_latched_until_it_is_resumed_with_a_reason(api: httpx.Client) -> None:
    assert api.post("/risk/kill", json={"flatten": False, "reason": "drill"}).json()["status"] == "done"
    refused = api.post("/risk/resume")
    assert refused.status_code == 409
    assert "KILL" in refused.json()["detail"]
    assert api.post("/risk/resume", json={"reason": "drill is over"}).status_code == 200


def test_an_override_past_the_hard_bound_is_422(api: httpx.Client) -> None:
    response = api.post("/risk/override", json={"name": "risk_budget_pct", "value": "11", "reason": "greed"})
    assert response.status_code == 422
    assert api.post("/risk/override", json={"name": "heat_pct_max", "value": "15", "reason": "news"}).status_code == 200


def test_a_deposit_is_booked_and_more_than_there_is_cannot_be_taken_out(api: httpx.Client) -> None:
    assert api.post("/account/transfer", json={"amount": "3000"}).json()["status"] == "done"
    refused = api.post("/account/transfer", json={"amount": "-999999999"})
    assert (refused.status_code, refused.json()["detail"].split(":")[0]) == (409, "CASH_INSUFFICIENT")


def test_closing_what_is_flat_is_a_conflict_that_says_so(api: httpx.Client) -> None:
    response = api.post("/positions/close", json={"instrument_id": "BTC-USDT"})
    assert response.status_code in (404, 409)
