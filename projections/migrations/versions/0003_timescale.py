"""TimescaleDB where it is there: hypertables, compression, continuous aggregates behind the same view names."""

from __future__ import annotations

from alembic import op

from projections import timescale

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    if timescale.available(raw):
        timescale.upgrade(raw)


def downgrade() -> None:
    raw = op.get_bind().connection.driver_connection
    assert raw is not None
    if timescale.installed(raw):
        timescale.downgrade(raw)
