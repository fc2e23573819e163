"""Fixtures every test may ask for."""

from __future__ import annotations

from tests.kafka_fixture import kafka_broker, kafka_url

__all__ = ["kafka_broker", "kafka_url"]
