"""Faust drivers that hand over whole batches: Kafka and SQLite, chosen by the scheme of the broker URL.

``tapeline-kafka://host:port`` and ``sqlite:////absolute/path``. They are also registered as entry points of the group
``faust.transports``, Faust's documented way to add a driver.
"""

from __future__ import annotations

from faust.transport.drivers import TRANSPORTS

KAFKA_SCHEME = "tapeline-kafka"
SQLITE_SCHEME = "sqlite"


def register() -> None:
    """Make both schemes known to Faust, also where the package is run without being installed."""
    TRANSPORTS.aliases[KAFKA_SCHEME] = "streams.transports.kafka:Transport"
    TRANSPORTS.aliases[SQLITE_SCHEME] = "streams.transports.sqlite:Transport"
