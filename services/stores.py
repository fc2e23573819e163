"""Open the database of the projections by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projections.embedded import EmbeddedPostgres

EMBEDDED = "embedded:"


@contextmanager
def open_database(url: str) -> Iterator[str]:
    """Yield the DSN of ``embedded:FOLDER``, which runs while the block lasts, or of ``postgresql://...`` as it is.

    Raises EmbeddedPostgresError when the embedded server does not start.
    """
    if url.startswith(EMBEDDED):
        with EmbeddedPostgres(Path(url.removeprefix(EMBEDDED))) as server:
            yield server.dsn
    else:
        yield url.replace("postgresql+psycopg://", "postgresql://", 1)
