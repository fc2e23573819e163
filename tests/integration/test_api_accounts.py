"""An API that speaks for an account the trader of its log does not trade: every command is answered, with 404."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.settings import TradingSettings
from services.api import create_app
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.trader import Trader
from tests.answering import prepare, running
from tests.live_server import serving

TOKEN = "correct-horse-battery-staple"
PLAN = json.loads((Path(__file__).parents[2] / "examples" / "plan_trend.json").read_text())


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    """A client of an API set up for account ``other`` beside the ten stages trading ``paper``."""
    log = MemoryLog()
    prepare(log)
    trader = Trader(log, 0, stages(), worker="test", code_version="test")
    trader.start()
    variables = {"TAPELINE_API_TOKEN": TOKEN, "TAPELINE_API_WAIT_S": "20"}
    service = load_settings(environ=variables, env_file=None).service
    database = ReadDatabase("postgresql://nobody@127.0.0.1:1/nothing")
    app = create_app(log, database, Settings(service, TradingSettings(account_id="other")))
    with (
        running(trader),
        serving(app) as url,
        httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=60) as client,
    ):
        yield client
    database.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/plans/generate?symbol=BTC-USDT&market_type=perp", None),
        ("/plans/execute", PLAN),
        ("/positions/close", {"instrument_id": "BTC-USDT-SWAP"}),
        ("/risk/pause", None),
        ("/risk/resume", {"reason": "all clear"}),
        ("/risk/kill", {"flatten": True}),
        ("/risk/override", {"name": "leverage_max", "value": "5", "reason": "careful"}),
        ("/account/transfer", {"amount": "100"}),
    ],
)
def test_a_command_for_an_account_nobody_trades_here_is_404(api: httpx.Client, path: str, body: Any) -> None:
    response = api.post(path, json=body) if body else api.post(path)
    told = response.json()
    assert (response.status_code, told["status"]) == (404, "refused")
    assert told["detail"] == "UNKNOWN_ACCOUNT: other: this shard's account is paper"
    assert told["related"] == []
