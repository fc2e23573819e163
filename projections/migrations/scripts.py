"""Run a file of SQL statements on the migration's connection, whatever ``%`` and ``:`` it holds."""

from __future__ import annotations

from pathlib import Path

from alembic import op

VERSIONS = Path(__file__).parent / "versions"


def run(name: str) -> None:
    """Run ``versions/<name>`` inside the migration's transaction."""
    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    raw.execute((VERSIONS / name).read_text())
