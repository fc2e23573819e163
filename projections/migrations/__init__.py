"""Alembic migrations of the projection schema; ``projections.migrate`` runs them."""
