"""Metrics over real runs: a restarted projector shows what one that never stopped shows; every service serves them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from itertools import islice
from threading import Event as Alarm

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from projections.migrate import migrate
from projections.writer import Projector
from schemas.settings import TradingSettings
from services.api import create_app
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from services.metrics.catalog import CATALOG, Kind
from services.metrics.serve import serve_metrics
from services.projection import LogSource, MeteredProjector
from services.query.database import ReadDatabase
from services.settings import load_settings
from streams.batch import run_batch
from streams.log.sqlite import SqliteLog
from tests.live_server import serving

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

TICKS = 12_000
PRESENT = {m.name for m in CATALOG if m.kind is Kind.GAUGE and not m.name.endswith("_sum")}
"""The gauges that tell the present. Ages and arrival times are left to the unit tests: they move with the clock."""
CLOCKED = {"tapeline_feed_last_ingest_timestamp_seconds"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLog]:
    """Three days of history and some hours of trading on the made-up tape."""
    opened = SqliteLog(tmp_path_factory.mktemp("metrics") / "log.db")
    import_feed(opened, islice(synthetic_feed(), TICKS), TradingSettings())
    trader = build_trader(opened, 0)
    trader.start()
    run_batch(opened, trader)
    yield opened
    opened.close()


def _present(projector: MeteredProjector) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in projector.registry.collect()
        for sample in family.samples
        if sample.name in PRESENT - CLOCKED
    }


def _run(log: SqliteLog, dsn: str) -> Samples:
    with MeteredProjector(log, dsn) as projector:
        projector.run(until_caught_up=True, stop=Alarm())
        return _present(projector)


def test_a_projector_started_in_the_middle_shows_what_one_that_never_stopped_shows(
    log: SqliteLog, database: str, empty_database: str
) -> None:
    migrate(empty_database)
    undisturbed = _run(log, database)
    assert undisturbed["tapeline_equity_quote", (("account_id", "paper"),)] > 0
    with Projector(LogSource(log), empty_database, batch=2_000) as early:
        early.step()
        early.step()
    assert _run(log, empty_database) == undisturbed
    assert _run(log, empty_database) == undisturbed, "started when everything was projected"


def test_metrics_are_served_over_http_and_stop_with_the_service(log: SqliteLog, database: str) -> None:
    with (
        MeteredProjector(log, database) as projector,
        serve_metrics(projector.registry, host="127.0.0.1", port=0) as port,
    ):
        projector.run(until_caught_up=True, stop=Alarm())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    bars = [s for s in families["tapeline_events"].samples if s.labels.get("event") == "BarClosed"]
    assert bars
    assert bars[0].value > 1_000
    offsets = {s.labels["topic"]: s.value for s in families["tapeline_projector_offset"].samples}
    assert offsets["ticks"] == log.end_offset("ticks", 0)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_no_port_serves_nothing() -> None:
    with serve_metrics(CollectorRegistry(), host="127.0.0.1", port=None) as port:
        assert port is None


def test_the_api_counts_requests_by_route_not_by_what_callers_make_up(log: SqliteLog, database: str) -> None:
    settings = load_settings(environ={}, env_file=None)
    read = ReadDatabase(database)
    try:
        with serving(create_app(log, read, settings)) as url, httpx.Client(base_url=url, timeout=30) as client:
            client.get("/health")
            client.get("/health")
            client.get("/audit/no-such-event")
            client.get("/made/up/1")
            client.get("/made/up/2")
            text = client.get("/metrics").text
    finally:
        read.close()
    counted = {
        (s.labels["route"], s.labels["status"]): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name == "tapeline_http_requests_total"
    }
    assert counted["/health", "200"] == 2
    assert counted["none", "404"] == 2
    assert any(route.startswith("/audit/{") for route, _ in counted)
