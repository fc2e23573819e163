"""The same projections on TimescaleDB: hypertables and continuous aggregates under the same names, same digests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from projections import timescale
from projections.connect import connect
from projections.digest import differences, table_digests
from projections.families import FAMILIES
from projections.migrate import migrate
from projections.rebuild import rebuild
from projections.tables import SCHEMA
from projections.writer import Projector
from services.projection import LogSource
from streams.log.memory import MemoryLog
from tests.events import tape
from tests.integration.test_projector import log_of

DSN = os.environ.get("TAPELINE_TEST_TIMESCALE_DSN")

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        DSN is None,
        reason="TIMESCALEDB TESTS NOT RUN: set TAPELINE_TEST_TIMESCALE_DSN to a superuser's DSN of a server",
    ),
]

BUCKETED = ("bars_1h", "trade_ticks_1m", "equity_1h")
_names = count(1)


@pytest.fixture
def hyper() -> Iterator[str]:
    """A new database on the TimescaleDB server, migrated; dropped after the test."""
    assert DSN is not None
    name = f"tapeline_test_{os.getpid()}_{next(_names)}"
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        dsn = psycopg.conninfo.make_conninfo(DSN, dbname=name)
        migrate(dsn)
        yield dsn
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def fill(log: MemoryLog, dsn: str) -> None:
    with Projector(LogSource(log), dsn) as projector:
        projector.run(until_caught_up=True)


def test_event_tables_are_hypertables(hyper: str) -> None:
    with connect(hyper, SCHEMA) as connection:
        rows = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert {family.table for family in FAMILIES} <= {row[0] for row in rows}


def test_tables_and_bucketed_views_equal_those_of_plain_postgres(hyper: str, database: str) -> None:
    log = log_of(tape(30))
    fill(log, hyper)
    fill(log, database)
    assert differences(table_digests(database), table_digests(hyper)) == []
    for view in BUCKETED:
        statement = f"SELECT * FROM {view} ORDER BY 1, 2".encode()
        with connect(hyper, SCHEMA) as one, connect(database, SCHEMA) as other:
            assert one.execute(statement).fetchall() == other.execute(statement).fetchall()


def test_a_rebuild_switches_hypertables_and_refreshes_the_aggregates(hyper: str) -> None:
    log = log_of(tape(10))
    fill(log, hyper)
    rebuilt = rebuild(LogSource(log), hyper)
    assert (rebuilt.compared, rebuilt.differences) == (True, ())
    log.append(list(tape(0)))
    fill(log, hyper)
    with connect(hyper, SCHEMA) as connection:
        timescale.refresh(connection, SCHEMA)
        for view in BUCKETED:
            assert connection.execute(f"SELECT count(*) FROM {view}".encode()).fetchone() != (0,)
