"""The projector's and the read models' suites again, on TimescaleDB, and what only TimescaleDB has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import psycopg
import pytest

from projections import timescale
from projections.connect import connect
from projections.digest import differences, table_digests
from projections.families import FAMILIES
from projections.migrate import migrate
from projections.rebuild import rebuild
from projections.tables import SCHEMA
from schemas.events.account import EquityChanged
from schemas.events.common import Side
from schemas.events.market import Trade
from schemas.values import Money, Price, Quantity
from services.projection import LogSource
from tests.builders import MINUTE, T0
from tests.events import sample
from tests.integration import test_projector, test_read_models
from tests.integration.test_read_models import BTC, Story, bar

DSN = os.environ.get("TAPELINE_TEST_TIMESCALE_DSN")

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        DSN is None,
        reason="TIMESCALEDB TESTS NOT RUN: set TAPELINE_TEST_TIMESCALE_DSN to a superuser's DSN of a server",
    ),
]
HOURS = 3
_names = count(1)


def _borrowed() -> dict[str, Any]:
    """Return the tests and fixtures of the suites that run on any PostgreSQL, to be collected here once more."""
    found = {**vars(test_projector), **vars(test_read_models)}
    wanted = ("story", "reader")
    return {name: thing for name, thing in found.items() if name.startswith("test_") or name in wanted}


globals().update(_borrowed())


def _new_database() -> Iterator[str]:
    assert DSN is not None
    name = f"tapeline_test_{os.getpid()}_{next(_names)}"
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield psycopg.conninfo.make_conninfo(DSN, dbname=name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Return the DSN of a new, empty database of the TimescaleDB server."""
    yield from _new_database()


@pytest.fixture
def database() -> Iterator[str]:
    """Return the DSN of a new, migrated database of the TimescaleDB server."""
    for dsn in _new_database():
        migrate(dsn)
        yield dsn


@pytest.fixture
def plain(postgres: Any) -> Iterator[str]:
    """Return the DSN of a migrated database without TimescaleDB, to compare with."""
    name = f"plain_{next(_names)}"
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        migrate(postgres.dsn_of(name))
        yield postgres.dsn_of(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def tell(story: Story, first: int, last: int) -> None:
    """Tell a bar, a trade and an equity a minute."""
    for minute in range(first, last):
        when = T0 + minute * MINUTE
        story.tell(bar(minute, (minute, minute + 5, minute - 5, minute + 1)), f"b{minute}", ts=when)
        price = Price(Decimal(minute % 50))
        tick = Trade(BTC, str(minute), Side.SELL, price, Quantity(Decimal(2)))
        story.tell(tick, f"t{minute}", ts=when)
        equity = replace(sample(EquityChanged, 4), equity=Money(Decimal(10_000 - minute % 70)))
        story.tell(equity, f"q{minute}", ts=when)


def bucketed(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    with connect(dsn, SCHEMA) as connection:
        return {
            view: connection.execute(f"SELECT * FROM {view} ORDER BY 1, 2".encode()).fetchall()
            for view in timescale.AGGREGATES
        }


def test_event_tables_are_hypertables(database: str) -> None:
    with connect(database, SCHEMA) as connection:
        rows = connection.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
    assert {family.table for family in FAMILIES} <= {row[0] for row in rows}


def test_bucketed_views_equal_those_of_plain_postgres_before_and_after_a_refresh(
    story: Story, database: str, plain: str
) -> None:
    tell(story, 0, HOURS * 60)
    story.project(database)
    story.project(plain)
    assert differences(table_digests(plain), table_digests(database)) == []
    expected = bucketed(plain)
    assert [len(rows) for rows in expected.values()] == [HOURS + 1, HOURS * 60, HOURS]
    assert bucketed(database) == expected
    with connect(database, SCHEMA) as connection:
        timescale.refresh(connection, SCHEMA)
    assert bucketed(database) == expected


def test_a_rebuild_moves_aggregates_along_and_they_go_on_growing(story: Story, database: str, plain: str) -> None:
    tell(story, 0, 60)
    story.project(database)
    rebuilt = rebuild(LogSource(story.log), database)
    assert (rebuilt.compared, rebuilt.differences) == (True, ())
    tell(story, 60, 180)
    story.project(database)
    story.project(plain)
    assert bucketed(database) == bucketed(plain)


def test_compressed_chunks_keep_their_digest_and_take_late_rows(story: Story, database: str, plain: str) -> None:
    tell(story, 0, 60)
    story.project(database)
    with connect(database, SCHEMA) as connection:
        for table in ("bars", "trade_ticks", "equity_points"):
            connection.execute("SELECT compress_chunk(c) FROM show_chunks(%s::regclass) c", (table,))
    tell(story, 60, 90)
    tell(story, 30, 40)
    story.project(database)
    story.project(plain)
    assert differences(table_digests(plain), table_digests(database)) == []


def test_retention_is_off_until_asked_for(database: str) -> None:
    with connect(database, SCHEMA) as connection:
        policies = "SELECT count(*) FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
        assert connection.execute(policies.encode()).fetchone() == (0,)
        timescale.keep_for(connection, 30, ("trade_ticks", "quotes"))
        assert connection.execute(policies.encode()).fetchone() == (2,)
