"""Fixtures every test may ask for."""

from __future__ import annotations

from tests.kafka_fixture import kafka_broker, kafka_url
from tests.postgres_fixture import (
    database,
    empty_database,
    home,
    migrated_template,
    module_database,
    postgres,
    shared_data,
)

__all__ = [
    "database",
    "empty_database",
    "home",
    "kafka_broker",
    "kafka_url",
    "migrated_template",
    "module_database",
    "postgres",
    "shared_data",
]
