"""A log whose reports are the gateway's: projected by offset, every one of them, and rebuilt equal."""

from __future__ import annotations

import pytest

from projections.connect import connect
from projections.digest import differences, table_digests
from projections.migrate import migrate
from projections.tables import SCHEMA
from projections.writer import Projector
from schemas.topics import REPORTS
from services.projection import LogSource
from tests.okx_shard import begun, put, run, snapshot, traded

pytestmark = pytest.mark.postgres


def catch_up(log: object, dsn: str, *, batch: int = 100) -> None:
    with Projector(LogSource(log), dsn, batch=batch) as projector:  # type: ignore[arg-type]
        projector.run(until_caught_up=True)
        assert not any(projector.lag().values())


def rows(dsn: str, table: str) -> int:
    with connect(dsn, SCHEMA) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert found is not None
    return int(found[0])


def test_reports_of_a_gateway_are_projected_and_rebuilt_equal(database: str, empty_database: str) -> None:
    log = begun()
    traded(log)
    catch_up(log, database, batch=2)
    assert (rows(database, "account_snapshots"), rows(database, "venue_reports"), rows(database, "fills")) == (1, 4, 1)
    put(log, REPORTS, snapshot())
    run(log)
    catch_up(log, database)
    assert rows(database, "account_snapshots") == 2
    migrate(empty_database)
    catch_up(log, empty_database)
    assert differences(table_digests(database), table_digests(empty_database)) == []
