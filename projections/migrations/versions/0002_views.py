"""Read models: views over the tables, under the names the API, the dashboards and the review use."""

from __future__ import annotations

from alembic import op

from projections.migrations import scripts

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    scripts.run("0002_events.sql")
    scripts.run("0002_views.sql")


def downgrade() -> None:
    op.execute(
        "DO $$ DECLARE v text; BEGIN FOR v IN SELECT viewname FROM pg_views WHERE schemaname = current_schema()"
        " LOOP EXECUTE format('DROP VIEW IF EXISTS %I CASCADE', v); END LOOP; END $$"
    )
