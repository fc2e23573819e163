"""PostgreSQL and recorded data as fixtures: one embedded server a session, a fresh database a test."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from projections.embedded import EmbeddedPostgres
from projections.migrate import migrate

_databases = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Run one PostgreSQL server for the session, in a directory of its own (pytest's are closed to its user)."""
    directory = Path(tempfile.mkdtemp(prefix="tapeline-pg-"))
    try:
        with EmbeddedPostgres(directory / "data") as server:
            yield server
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    name = "migrated"
    create_database(postgres, name)
    migrate(postgres.dsn_of(name))
    return name


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """Return the DSN of a new, empty database; dropped after the test."""
    yield from _fresh_database(postgres, "template1")


@pytest.fixture
def database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """Return the DSN of a new database with the projection schema in place; dropped after the test."""
    yield from _fresh_database(postgres, migrated_template)


@pytest.fixture(scope="module")
def module_database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """Return the DSN of a database with the schema in place, for all tests of a module that only read it."""
    yield from _fresh_database(postgres, migrated_template)


def _fresh_database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_databases)}"
    create_database(postgres, name, template)
    yield postgres.dsn_of(name)
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def create_database(postgres: EmbeddedPostgres, name: str, template: str = "template1") -> str:
    """Create a database of the session's server; return its name."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded market data; without it skip loudly, or fail under CI."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("TAPELINE_SHARED_DATA", default))
    if not path.is_dir():
        message = f"recorded data not found at {path}; set TAPELINE_SHARED_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose parents every user may enter: the database server runs as one of its own."""
    with tempfile.TemporaryDirectory(prefix="tapeline-home-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
