"""Migrations in order; Alembic loads them by file."""
