"""What no restart cures stops the shard before anything is committed, in words an operator can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from schemas.codec import decode
from schemas.envelope import Event, Message
from schemas.events.intelligence import SignalScored
from schemas.topics import JOURNAL, OUTPUTS
from streams.core.stage import Stage
from streams.journal import Incurable
from streams.log.base import RECORD_BYTES_MAX, NewRecord
from streams.log.memory import MemoryLog
from streams.trader import Trader
from tests.toy import SUM, SumState, fill, timer
from tests.write_path import BrokerLog, plain_trader, run_to_end

FRAME = 4_000
"""More than everything else in the record takes."""


def emitting(size: int) -> Stage[SumState]:
    """A stage that answers every input with a signal of about ``size`` bytes."""

    def decide(state: SumState, incoming: Message) -> Sequence[Event]:
        return [SignalScored("T", "1m", "x" * size, 0.5, 60, "toy", "", False)]

    return replace(SUM, decide=decide)


def test_an_output_that_just_fits_is_committed() -> None:
    log = MemoryLog()
    fill(log, [])
    Trader(log, 0, (emitting(RECORD_BYTES_MAX - FRAME),), worker="w", code_version="1").start()
    (record,) = log.read("signals", 0, 0, limit=9)
    assert RECORD_BYTES_MAX - FRAME < len(record.key) + len(record.value) <= RECORD_BYTES_MAX


def test_an_output_no_log_could_store_is_not_committed_and_named() -> None:
    log = MemoryLog()
    fill(log, [])
    trader = Trader(log, 0, (emitting(RECORD_BYTES_MAX),), worker="w", code_version="1")
    with pytest.raises(
        Incurable, match=rf"SignalScored \w{{32}} \(step 0, stage sum\) .* at most {RECORD_BYTES_MAX} can be stored"
    ):
        trader.start()
    assert log.end_offset(JOURNAL, 0) == 1  # the claim
    assert all(log.end_offset(topic, 0) == 0 for topic in OUTPUTS)


def test_an_unreadable_command_is_named_with_its_place_and_what_to_do() -> None:
    log = BrokerLog()
    fill(log, [1, 2], timers=1)
    log.append([NewRecord("commands", 0, b"", b"garbage", 1), timer(1)])
    for _ in range(2):
        with pytest.raises(Incurable) as stopped:
            run_to_end(log, plain_trader)
    words = str(stopped.value)
    assert "shard 0: commands offset 1 cannot be taken" in words
    assert "not Confluent-framed Avro" in words
    assert "run the version that wrote it, or restore the topic from a backup" in words
    assert "`tapeline log cat commands --from-offset 1 --limit 1` shows the record" in words


def test_what_was_taken_before_it_stays() -> None:
    log = BrokerLog()
    fill(log, [1, 2])
    run_to_end(log, plain_trader)
    log.append([NewRecord("commands", 0, b"", b"garbage", 1)])
    with pytest.raises(Incurable):
        run_to_end(log, plain_trader)
    last = decode(log.read("signals", 0, log.end_offset("signals", 0) - 1, limit=1)[0].value)[0]
    assert last.step == 2
