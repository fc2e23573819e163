"""Grafana's dashboards: every query runs on projected data as the read role; files are what the boards say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Event as Alarm
from typing import Any

import psycopg
import pytest
import yaml

from deploy.grafana.boards import BOARDS, Board, Panel
from deploy.grafana.generate import POSTGRES, PROMETHEUS, files
from projections.access import READ_ROLE, read_dsn
from projections.embedded import EmbeddedPostgres
from schemas.codec import encode
from schemas.events.context import OnchainMetric, SourceState, SourceStatus
from schemas.events.model import CompletionFailed, CompletionFailure
from schemas.settings import TradingSettings
from schemas.values import SECOND, Money, Ratio
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from services.metrics.catalog import CATALOG, Kind
from services.projection import MeteredProjector
from streams.batch import run_batch
from streams.log.base import NewRecord
from streams.log.sqlite import SqliteLog
from tests.builders import T0, message
from tests.postgres_fixture import create_database

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
MOMENT = T0 + 60 * SECOND
FROM, TO = "2025-01-06T00:00:00Z", "2027-01-01T00:00:00Z"
"""The range the panels are asked for: the made-up tape's days and the present, for what carries our own clock."""
QUERIES = [
    pytest.param(panel, id=f"{board.name}: {panel.title}")
    for board in BOARDS
    for panel in board.panels
    if not panel.prometheus
]
MAY_BE_EMPTY = (
    "Open positions",
    "Trades that lost more than was approved",
    "Filled quantity without a live stop",
    "Gaps",
    "Differences between log and venue",
    "Context sources: what they last said of themselves",
    "Records that could not be read",
)
"""Panels about what should not happen, and what the made-up tape happens to end without."""


def expand(query: str) -> str:
    """Return a panel's SQL with Grafana's macros as its documentation defines them (PostgreSQL data source)."""
    query = query.replace("$__interval", "1h")
    query = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN '{FROM}' AND '{TO}'", query)
    query = re.sub(r"\$__timeGroup\(([\w.]+),\s*'?1h'?\)", r"floor(extract(epoch from \1)/3600)*3600", query)
    query = re.sub(r"\$__timeGroup\(([\w.]+),\s*'?1m'?\)", r"floor(extract(epoch from \1)/60)*60", query)
    assert "$__" not in query, f"a macro this test does not know: {query}"
    return query


@pytest.fixture(scope="module")
def projected(
    tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres, migrated_template: str
) -> Iterator[psycopg.Connection[Any]]:
    """The whole made-up tape traded and projected; a connection of the read role, without a search path."""
    name = create_database(postgres, "grafana", migrated_template)
    log = SqliteLog(tmp_path_factory.mktemp("grafana") / "log.db")
    import_feed(log, synthetic_feed(), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    _put_what_comes_from_outside(log)
    with MeteredProjector(log, postgres.dsn_of(name)) as projector:
        projector.run(until_caught_up=True, stop=Alarm())
    log.close()
    with psycopg.connect(read_dsn(postgres.dsn_of(name))) as connection:
        yield connection


def _put_what_comes_from_outside(log: SqliteLog) -> None:
    """Put a source's state, a number that cannot be, and a model that gave no answer on the log."""
    metric = OnchainMetric("mempool.space", "hour_fee", Ratio(Decimal(-1)), "sat/vB", None, "below 0")
    for event in (SourceStatus("mempool.space", SourceState.UP, None, "", None), metric):
        value = encode(message(event, ts=MOMENT).envelope, event)
        log.append([NewRecord("context", 0, b"mempool.space", value, MOMENT)])
    failed = CompletionFailed(
        "paper", "r", "openai/gpt-x", "p", (), CompletionFailure.TIMEOUT, "no answer in 57.0 s", 900, 0,
        Money(Decimal(0)), 57_000, 1, unreported_tokens=2_500, unreported_cost=Money(Decimal("0.003")),
    )  # fmt: skip
    log.append([NewRecord("completions", 0, b"paper", encode(message(failed, ts=MOMENT).envelope, failed), MOMENT)])


@pytest.mark.parametrize("panel", QUERIES)
def test_a_panels_query_runs_as_the_read_role_and_shows_something(
    panel: Panel, projected: psycopg.Connection[Any]
) -> None:
    cursor = projected.execute(expand(panel.query).encode())
    rows = cursor.fetchall()
    columns = [column.name for column in cursor.description or ()]
    projected.rollback()
    assert rows or panel.title in MAY_BE_EMPTY, "no rows"
    assert len(set(columns)) == len(columns)
    if panel.is_series:
        assert columns[0] == "time"
        assert rows == sorted(rows, key=lambda row: row[0])
    if "metric" in columns:
        assert columns[1:] == ["metric", "value"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_promql_names_only_metrics_of_the_catalog(board: Board) -> None:
    known = {metric.name for metric in CATALOG}
    known |= {f"{metric.name}_bucket" for metric in CATALOG if metric.kind is Kind.HISTOGRAM}
    for panel in board.panels:
        if panel.prometheus:
            assert set(re.findall(r"tapeline_\w+", panel.query)) <= known


def test_the_dashboard_files_are_what_the_boards_say() -> None:
    assert {path: path.read_text(encoding="utf-8") for path in (GRAFANA / "dashboards").glob("*.json")} == files()


def test_panels_use_the_provisioned_data_sources_and_ids_are_unique() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/tapeline.yml").read_text())["datasources"]
    sources = {(source["type"], source["uid"]) for source in provisioned}
    assert {(source["type"], source["uid"]) for source in (POSTGRES, PROMETHEUS)} == sources
    assert next(s for s in provisioned if s["uid"] == POSTGRES["uid"])["user"] == READ_ROLE
    boards = [json.loads(text) for text in files().values()]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])
