"""A real Kafka broker for tests: one per session, started only when a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from deploy.kafka.broker import LocalBroker, missing_tools

_prefixes = count(1)


def require_kafka() -> None:
    """Skip the test with one loud line when no broker can be started here; under CI=true that is a failure."""
    reason = missing_tools()
    if reason is None:
        return
    message = f"KAFKA TESTS NOT RUN: {reason}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A running broker for the whole session. A test that kills it starts it again before it ends."""
    require_kafka()
    broker = LocalBroker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def kafka_url(kafka_broker: LocalBroker) -> str:
    """The URL of a log of its own on the session's broker."""
    return f"kafka://{kafka_broker.start().address}/test{next(_prefixes)}"
