"""The token of the control side: without the right one nothing is done, and a flood of wrong ones is held up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.api import create_app
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log.sqlite import SqliteLog
from tests.answering import SETTINGS, answering, prepare
from tests.integration.test_api import DEAD_DATABASE, TOKEN, settings_of
from tests.live_server import serving

CALLS: list[tuple[str, str]] = [
    ("POST", "/plans/generate?symbol=BTC-USDT&market_type=perp"),
    ("POST", "/plans/execute"),
    ("POST", "/positions/close"),
    ("POST", "/risk/pause"),
    ("POST", "/risk/resume"),
    ("POST", "/risk/kill"),
    ("POST", "/risk/override"),
    ("POST", "/account/transfer"),
    ("GET", "/commands/abc"),
]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(tmp_path / "log.db")
    prepare(opened)
    yield opened
    opened.close()


@pytest.fixture
def api(log: SqliteLog) -> Iterator[httpx.Client]:
    """A client with the token, of an API without a database, beside a trader that answers."""
    with (
        answering(log),
        serving(create_app(log, ReadDatabase(DEAD_DATABASE), settings_of())) as url,
        httpx.Client(base_url=url, headers={"X-API-Token": TOKEN}, timeout=30) as client,
    ):
        yield client


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_a_missing_or_wrong_token_is_401_whatever_else_is_wrong(
    api: httpx.Client, log: SqliteLog, method: str, path: str, token: str | None
) -> None:
    headers = {} if token is None else {"X-API-Token": token}
    response = httpx.request(method, f"{api.base_url}{path}", headers=headers, content=b"{not json")
    assert response.status_code == 401
    assert TOKEN not in response.text
    assert log.end_offset("commands", 0) == 0


def test_without_a_configured_token_control_refuses_everybody(log: SqliteLog) -> None:
    off = Settings(load_settings(environ={}, env_file=None).service, SETTINGS)
    with serving(create_app(log, ReadDatabase(DEAD_DATABASE), off)) as url:
        for token in ("", "anything-at-all-1234"):
            response = httpx.post(f"{url}/risk/pause", headers={"X-API-Token": token})
            assert response.status_code == 401
            assert "TAPELINE_API_TOKEN" in response.json()["detail"]
        assert httpx.get(f"{url}/health").status_code == 200


def test_a_flood_of_wrong_tokens_is_held_up_and_the_right_one_goes_through(api: httpx.Client) -> None:
    wrong = {"X-API-Token": "wrong"}
    began = time.monotonic()
    found = [httpx.post(f"{api.base_url}{path}", headers=wrong) for path in ("/risk/kill", "/risk/pause") * 30]
    codes, since = [response.status_code for response in found], time.monotonic() - began
    assert codes[:30] == [401] * 30
    assert codes.count(401) <= 31 + since / 2, "one more every two seconds"
    last = next(response for response in reversed(found) if response.status_code == 429)
    seconds = last.json()["retry_after_s"]
    assert last.headers["retry-after"] == str(seconds)
    assert last.json()["detail"] == f"more than 30 calls without the right token a minute; try again in {seconds} s"
    assert 1 <= seconds <= 2
    assert 429 in {httpx.post(f"{api.base_url}/risk/kill").status_code for _ in range(3)}, "nor without a token"
    assert [api.post("/risk/pause").status_code for _ in range(35)] == [200] * 35, "from the same address"
    assert api.post("/plans/generate?symbol=BTC-USDT&market_type=perp").status_code == 200
    assert httpx.get(f"{api.base_url}/health").status_code == 200
