"""Kill the projector, its connection or its database anywhere: the tables end as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg
import pytest

from projections.digest import differences, table_digests
from projections.embedded import EmbeddedPostgres
from projections.migrate import migrate
from projections.writer import Projector
from services.projection import LogSource
from streams.log import create_log, open_log
from tests.events import tape

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ROUNDS = 60
KILLS = 14
SEED = 20261122


@pytest.fixture
def log_url(tmp_path: Path) -> str:
    """A SQLite log of every event type, repeats among them."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    log = open_log(url)
    create_log(log)
    records = list(tape(ROUNDS))
    log.append([*records, *records[-40:]])
    log.close()
    return url


@pytest.fixture
def expected(log_url: str, database: str) -> str:
    """A database an undisturbed projector filled."""
    log = open_log(log_url, read_only=True)
    with Projector(LogSource(log), database) as projector:
        projector.run(until_caught_up=True)
    log.close()
    return database


def start(log_url: str, dsn: str, *, what: str = "project") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fault.projector_child", what, log_url, dsn]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def read_batches(child: subprocess.Popen[str], count: int) -> bool:
    """Wait for ``count`` committed batches; False when the child ended before."""
    assert child.stdout is not None
    return all(child.stdout.readline() for _ in range(count))


def finish(child: subprocess.Popen[str]) -> None:
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors


def test_a_projector_killed_at_random_points_ends_equal_to_an_undisturbed_one(
    log_url: str, expected: str, empty_database: str
) -> None:
    migrate(empty_database)
    chance = random.Random(SEED)
    kills = 0
    while kills < KILLS:
        child = start(log_url, empty_database)
        assert read_batches(child, chance.randint(1, 12)), "the log is too short for so many kills"
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
        assert child.returncode == -signal.SIGKILL
        kills += 1
    finish(start(log_url, empty_database))
    assert differences(table_digests(expected), table_digests(empty_database)) == []


def test_a_rebuild_killed_at_random_points_leaves_the_tables_in_service_alone(log_url: str, expected: str) -> None:
    chance = random.Random(SEED + 3)
    before = table_digests(expected)
    for _ in range(5):
        child = start(log_url, expected, what="rebuild")
        assert read_batches(child, chance.randint(1, 120))
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
        assert differences(before, table_digests(expected)) == []
    finish(start(log_url, expected, what="rebuild"))
    assert differences(before, table_digests(expected)) == []
    with psycopg.connect(expected) as connection:
        left = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tapeline%'").fetchall()
    assert left == [("tapeline",)]


def test_a_projector_whose_connections_are_cut_fails_and_its_successor_ends_equal(
    log_url: str, expected: str, empty_database: str, postgres: EmbeddedPostgres
) -> None:
    migrate(empty_database)
    chance = random.Random(SEED + 1)
    name = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    for _ in range(5):
        child = start(log_url, empty_database)
        assert read_batches(child, chance.randint(1, 20))
        with psycopg.connect(postgres.dsn, autocommit=True) as operator:
            operator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 1, errors
    finish(start(log_url, empty_database))
    assert differences(table_digests(expected), table_digests(empty_database)) == []


def test_a_database_that_crashes_loses_rows_and_position_together_or_neither(log_url: str, expected: str) -> None:
    chance = random.Random(SEED + 2)
    with tempfile.TemporaryDirectory(prefix="tapeline-pg-") as folder:
        directory = Path(folder) / "data"
        with EmbeddedPostgres(directory) as server:
            migrate(server.dsn)
        for _ in range(4):
            server = EmbeddedPostgres(directory)
            child = start(log_url, server.dsn)
            assert read_batches(child, chance.randint(1, 40))
            crash(server)
            child.communicate(timeout=60)
        with EmbeddedPostgres(directory) as server:
            finish(start(log_url, server.dsn))
            assert differences(table_digests(expected), table_digests(server.dsn)) == []


def crash(server: EmbeddedPostgres) -> None:
    """End the server without a checkpoint and without writing what it holds (immediate shutdown), and let go of it."""
    process = psutil.Process(server.pid)
    os.kill(server.pid, signal.SIGQUIT)
    process.wait(timeout=30)
    server.stop()
