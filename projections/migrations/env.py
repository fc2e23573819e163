"""Alembic's entry: run on the connection and in the schema that ``projections.migrate`` hands in."""

from __future__ import annotations

from alembic import context

from projections.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
