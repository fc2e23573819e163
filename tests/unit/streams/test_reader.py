"""The reader rule, and its alert: a higher number that stays unfilled for 10 s (kernel, section 6)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from schemas.codec import encode
from schemas.events.intelligence import SignalScored
from schemas.ids import derive_id
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.reader import ALERT_AGAIN_S, SeqReader, Unfilled
from tests.builders import message
from tests.clock import Clock


def signal(seq: int) -> NewRecord:
    """Return the signal with a number."""
    event = SignalScored("T", "1m", "toy", 0.5, 60, "toy", "", False)
    envelope = message(event, event_id=derive_id("signal", seq)).envelope._replace(seq=seq)
    return NewRecord("signals", 0, b"T", encode(envelope, event), 1)


def log_of(*seqs: int) -> MemoryLog:
    log = MemoryLog()
    create_log(log)
    log.append([signal(seq) for seq in seqs])
    return log


@pytest.fixture
def clock() -> Clock:
    return Clock()


def polled(reader: SeqReader) -> list[int]:
    """Read what there is; return the numbers accepted."""
    found: list[int] = []
    while reader.lag():
        found += [accepted.envelope.seq for accepted in reader.poll(2)]
    return found + [accepted.envelope.seq for accepted in reader.poll(2)]


def alerts(caplog: pytest.LogCaptureFixture) -> Sequence[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "tapeline.reader"]


@pytest.mark.parametrize(
    ("stored", "accepted"),
    [
        ((0, 1, 2), [0, 1, 2]),
        ((0, 0, 1, 0, 1, 2), [0, 1, 2]),
        ((0, 2, 3), [0]),
        ((0, 2, 3, 1, 2, 3), [0, 1, 2, 3]),
        ((1, 2), []),
    ],
)
def test_the_next_number_is_accepted_and_no_other(stored: Sequence[int], accepted: list[int]) -> None:
    assert polled(SeqReader(log_of(*stored), "signals", 0)) == accepted


def test_a_number_missing_for_ten_seconds_is_an_error_with_its_place_and_age(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    reader = SeqReader(log_of(0, 2, 3), "signals", 0, clock=clock)
    assert polled(reader) == [0]
    clock.now = 9.9
    polled(reader)
    assert alerts(caplog) == []
    clock.now = 10.0
    polled(reader)
    (alert,) = alerts(caplog)
    assert alert.levelno == logging.ERROR
    said = {name: alert.__dict__[name] for name in ("topic", "partition", "expected_seq", "seen_seq", "age_s")}
    assert said == {"topic": "signals", "partition": 0, "expected_seq": 1, "seen_seq": 3, "age_s": 10.0}
    assert "signals[0]: seq 1 is missing for 10 s although seq 3 is there" in alert.getMessage()


def test_the_error_is_repeated_once_a_minute_and_ends_with_the_wait(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = log_of(0, 2)
    reader = SeqReader(log, "signals", 0, clock=clock)
    for clock.now in (0.0, 10.0, 11.0, 10.0 + ALERT_AGAIN_S - 0.1, 10.0 + ALERT_AGAIN_S):
        polled(reader)
    assert len(alerts(caplog)) == 2
    log.append([signal(1), signal(2)])
    assert polled(reader) == [1, 2]
    clock.now += 1000
    polled(reader)
    assert reader.unfilled() is None
    assert len(alerts(caplog)) == 2


def test_a_number_published_again_without_its_successor_begins_a_new_wait(clock: Clock) -> None:
    """1 comes, but 2, which was there before it, has to come again behind it."""
    log = log_of(0, 2)
    reader = SeqReader(log, "signals", 0, clock=clock)
    polled(reader)
    clock.now = 9.0
    log.append([signal(1)])
    assert polled(reader) == [1]
    clock.now = 12.0
    assert reader.unfilled() == Unfilled("signals", 0, 2, 2, 3.0)


def test_a_repeat_is_no_reason_to_wait(clock: Clock) -> None:
    reader = SeqReader(log_of(0, 1, 0, 1), "signals", 0, clock=clock)
    polled(reader)
    assert (reader.unfilled(), reader.repeats) == (None, 2)


def test_a_topic_ordered_by_offset_waits_for_nothing(clock: Clock) -> None:
    log = log_of()
    record = signal(0)
    log.append([NewRecord("ticks", 0, b"T", record.value, 1)])
    reader = SeqReader(log, "ticks", 0, clock=clock)
    assert len(reader.poll(9)) == 1
    reader.look_back()
    assert reader.unfilled() is None


@pytest.mark.parametrize(
    ("stored", "offset", "seq", "waits_for"),
    [
        ((0, 1, 3), 3, 2, (2, 3)),  # 3 was passed over
        ((0, 2, 1), 3, 2, (2, 2)),  # 2 was passed over and 1 taken behind it
        ((0, 1, 2, 0), 4, 3, None),  # the last one is a repeat
        ((0, 1, 3), 2, 2, None),  # 3 was not read yet
        ((), 0, 0, None),
    ],
)
def test_a_consumer_started_again_knows_what_was_waited_for(
    clock: Clock, stored: Sequence[int], offset: int, seq: int, waits_for: tuple[int, int] | None
) -> None:
    reader = SeqReader(log_of(*stored), "signals", 0, offset=offset, seq=seq, clock=clock)
    reader.look_back()
    clock.now = 1.0
    found = reader.unfilled()
    assert (found and (found.expected_seq, found.seen_seq)) == waits_for
    assert found is None or found.age_s == 1.0
