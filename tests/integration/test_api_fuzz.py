"""Whatever is sent to any route, the answer is one the API means to give: never a 5xx, never a trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from projections.writer import Projector
from services.api import create_app
from services.projection import LogSource
from services.query.database import ReadDatabase
from services.settings import Settings, load_settings
from streams.log.sqlite import SqliteLog
from tests.answering import SETTINGS, answering, prepare
from tests.live_server import serving

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def url(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API over a projected tape, beside a trader that answers."""
    log = SqliteLog(tmp_path_factory.mktemp("fuzz") / "log.db")
    prepare(log)
    with Projector(LogSource(log), database) as projector:
        projector.run(until_caught_up=True)
    variables = {"TAPELINE_API_TOKEN": TOKEN, "TAPELINE_API_WAIT_S": "2", "TAPELINE_API_CALLS_PER_MINUTE": "10000"}
    service = load_settings(environ=variables, env_file=None).service
    reads = ReadDatabase(database)
    with answering(log), serving(create_app(log, reads, Settings(service, SETTINGS))) as base:
        yield base
    reads.close()
    log.close()


EXAMPLES = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_no_request_makes_a_server_error(url: str) -> None:
    """schemathesis makes up requests from the API's own description, route by route."""
    asked = set()
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = found.ok()
        asked.add(operation.label)

        @EXAMPLES
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            response = case.call(headers={"X-API-Token": TOKEN})
            assert response.status_code < 500, f"{case.as_curl_command()}: {response.status_code} {response.text}"
            assert "Traceback" not in response.text

        ask()
    assert len(asked) > 30
