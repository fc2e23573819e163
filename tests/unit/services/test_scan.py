"""Looking through a topic from its end: all of it, in order, and no further than it must."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.codec import encode
from schemas.events.control import CommandHandled, CommandOutcome
from schemas.events.risk import TradingStateChanged
from services.control.scan import BLOCK, backwards, naming, newest, newest_time
from streams.log.base import NewRecord, StoredRecord
from streams.log.memory import MemoryLog
from tests.builders import T0, message
from tests.events import sample

TOPIC = "verdicts"


class CountingLog(MemoryLog):
    """A log that counts the records read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.records_read = 0

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        records = super().read(topic, partition, offset, limit=limit)
        self.records_read += len(records)
        return records


def _handled(number: int) -> NewRecord:
    event = CommandHandled(f"command-{number}", "paper", CommandOutcome.DONE, None, "")
    wrapped = message(event, ts=T0 + number)
    return NewRecord(TOPIC, 0, b"paper", encode(wrapped.envelope, event), wrapped.now)


@pytest.fixture
def log() -> CountingLog:
    """One change of state, then two and a half blocks of answered commands."""
    filled = CountingLog()
    filled.create_topics({TOPIC: 1})
    state = sample(TradingStateChanged, 1)
    filled.append([NewRecord(TOPIC, 0, b"paper", encode(message(state).envelope, state), T0)])
    filled.append([_handled(number) for number in range(BLOCK * 5 // 2)])
    return filled


def test_backwards_gives_every_record_once_newest_first(log: CountingLog) -> None:
    offsets = [record.offset for record in backwards(log, TOPIC, 0)]
    assert offsets == list(reversed(range(BLOCK * 5 // 2 + 1)))


def test_newest_finds_a_type_however_far_back(log: CountingLog) -> None:
    found = newest(log, TOPIC, 0, TradingStateChanged)
    assert found is not None
    assert found[1] == sample(TradingStateChanged, 1)


def test_newest_of_a_type_that_is_not_there_is_none(log: CountingLog) -> None:
    assert newest(log, TOPIC, 0, CommandHandled) is not None
    log.create_topics({"plans": 1})
    assert newest(log, "plans", 0, CommandHandled) is None


def test_newest_time_passes_over_what_cannot_be_read(log: CountingLog) -> None:
    log.append([NewRecord(TOPIC, 0, b"", b"garbage", 0)])
    assert newest_time(log, TOPIC, 0) == T0 + BLOCK * 5 // 2 - 1


def test_naming_finds_what_names_an_identifier(log: CountingLog) -> None:
    (found,) = naming(log, TOPIC, 0, "command-2001")
    assert getattr(found[1], "command_id", None) == "command-2001"


def test_naming_stops_at_the_moment_it_is_told(log: CountingLog) -> None:
    late = T0 + BLOCK * 5 // 2 - 10
    assert list(naming(log, TOPIC, 0, "command-x", not_before=late)) == []
    assert log.records_read <= BLOCK
