"""Tables: one per event family, the audit trail, positions, quarantine.

The SQL is generated from the event classes (``python -m projections.generate``) and frozen here; while nothing is
released it is rewritten, afterwards a new revision adds what changed.
"""

from __future__ import annotations

from alembic import op

from projections.migrations import scripts

revision = "0001"
down_revision = None


def upgrade() -> None:
    scripts.run("0001_tables.sql")


def downgrade() -> None:
    op.execute(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        " AND tablename <> 'alembic_version' LOOP EXECUTE format('DROP TABLE %I CASCADE', t); END LOOP; END $$"
    )
