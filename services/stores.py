"""Open what the services stand on by its URL: the database of the projections, a log that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projections.embedded import EmbeddedPostgres, EmbeddedPostgresError
from streams.log import open_log
from streams.log.base import EventLog

EMBEDDED = "embedded:"


@contextmanager
def open_database(url: str) -> Iterator[str]:
    """Yield the DSN of ``embedded:FOLDER``, which runs while the block lasts, or of ``postgresql://...`` as it is.

    Raises EmbeddedPostgresError when the embedded server does not start, or the folder holds something else: starting
    hands the folder to the server's own user, so nothing but a database may be there.
    """
    if url.startswith(EMBEDDED):
        folder = Path(url.removeprefix(EMBEDDED))
        if folder.exists() and not (folder / "PG_VERSION").exists() and any(folder.iterdir()):
            raise EmbeddedPostgresError(f"{folder}: holds something else than a database; give --db another folder")
        with EmbeddedPostgres(folder) as server:
            yield server.dsn
    else:
        yield url.replace("postgresql+psycopg://", "postgresql://", 1)


def open_existing_log(url: str) -> EventLog:
    """Return a log that can be appended to; one that is not there is not created. Raises LogError."""
    open_log(url, read_only=True).close()
    return open_log(url)
