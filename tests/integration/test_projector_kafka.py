"""The projector over Kafka gives the tables it gives over memory."""

from __future__ import annotations

import pytest

from projections.digest import differences, table_digests
from projections.migrate import migrate
from projections.writer import Projector
from services.projection import LogSource
from streams.log import create_log, open_log
from streams.log.base import EventLog
from streams.log.memory import MemoryLog
from tests.events import tape

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]


def fill(log: EventLog, dsn: str) -> Projector:
    with Projector(LogSource(log), dsn, batch=50) as projector:
        projector.run(until_caught_up=True)
    return projector


def test_a_log_on_kafka_and_one_in_memory_give_equal_tables(kafka_url: str, database: str, empty_database: str) -> None:
    records = list(tape(5))
    kafka, memory = open_log(kafka_url), MemoryLog()
    for log in (kafka, memory):
        create_log(log)
        log.append([*records, *records[-60:]])
    fill(memory, database)
    migrate(empty_database)
    assert not any(fill(kafka, empty_database).lag().values())
    assert differences(table_digests(database), table_digests(empty_database)) == []
    kafka.close()
