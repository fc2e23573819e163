"""Verify proves an untouched run and names the first difference of a touched one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.codec import decode, encode
from schemas.topics import CHECKPOINTS, JOURNAL
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.verify import verify
from tests.toy import STAGES
from tests.unit.streams.test_recovery import finished_log
from tests.write_path import BrokerLog


def changed_output(log: BrokerLog, topic: str, index: int, **values: object) -> None:
    records = log._partitions[topic][0]
    envelope, event = decode(records[index].value)
    records[index] = replace(records[index], value=encode(envelope, replace(event, **values)))  # type: ignore[type-var]


def test_an_untouched_run_is_proven_with_counts_and_digests() -> None:
    log = finished_log()
    report = verify(log, 0, STAGES)
    assert report.proven
    assert report.steps == 64
    assert report.inputs == {"settings": 1, "ticks": 60, "commands": 3}
    assert report.outputs["signals"] == log.end_offset("signals", 0)
    assert set(report.digests) == {"signals", "regimes"}


def test_a_changed_output_is_named_with_both_versions_and_the_field() -> None:
    log = finished_log()
    changed_output(log, "signals", 7, horizon_s=61)
    difference = verify(log, 0, STAGES).difference
    assert difference is not None
    assert "signals seq 7 (offset 7), field horizon_s" in difference.detail
    assert "on the log: 61" in difference.detail
    assert "re-run:     60" in difference.detail


def test_a_dropped_output_is_named() -> None:
    log = finished_log()
    records = log._partitions["signals"][0]
    kept = [record for record in records if record.offset != 5]
    log._partitions["signals"][0] = [replace(record, offset=offset) for offset, record in enumerate(kept)]
    difference = verify(log, 0, STAGES).difference
    assert difference is not None
    assert "signals seq 5: SignalScored" in difference.detail
    assert "is missing from the log" in difference.detail


def test_a_changed_input_is_named_by_the_first_output_that_differs_and_its_steps() -> None:
    log = finished_log()
    ticks = log._partitions["ticks"][0]
    envelope, _ = decode(ticks[4].value)
    ticks[4] = replace(ticks[4], value=encode(envelope, decode(ticks[5].value)[1]))
    difference = verify(log, 0, STAGES).difference
    assert difference is not None
    assert "seq" in difference.detail
    assert "are not those that were committed" in difference.detail


def test_the_earliest_difference_wins_whatever_the_segments() -> None:
    log = finished_log()
    changed_output(log, "signals", 30, horizon_s=61)
    changed_output(log, "signals", 4, horizon_s=62)
    with_cuts = verify(log, 0, STAGES).difference
    log._partitions[CHECKPOINTS][0].clear()
    without = verify(log, 0, STAGES).difference
    assert with_cuts == without
    assert with_cuts is not None
    assert "signals seq 4 " in with_cuts.detail


@pytest.mark.parametrize("kept", [0, -4])
def test_a_journal_that_lost_records_is_not_proven(kept: int) -> None:
    log = finished_log()
    del log._partitions[JOURNAL][0][kept:]
    assert not verify(log, 0, STAGES).proven


def test_a_stretch_is_proven_alone_from_the_checkpoint_before_it() -> None:
    log = finished_log()
    whole = verify(log, 0, STAGES)
    part = verify(log, 0, STAGES, since_step=50)
    assert part.proven
    assert 0 < part.steps < whole.steps, "less than everything, and what was asked for"
    assert part.digests == {}
    assert verify(log, 0, STAGES, since_step=whole.steps).steps == 0


def test_a_stretch_leaves_out_what_was_proven_before_and_sees_what_comes_after() -> None:
    log = finished_log()
    changed_output(log, "signals", 2, horizon_s=61)
    assert not verify(log, 0, STAGES).proven
    assert verify(log, 0, STAGES, since_step=50).proven
    changed_output(log, "signals", log.end_offset("signals", 0) - 1, horizon_s=61)
    assert not verify(log, 0, STAGES, since_step=50).proven


def test_outputs_nobody_committed_are_seen_in_a_stretch_too() -> None:
    log = finished_log()
    last = log._partitions["signals"][0][-1]
    envelope, event = decode(last.value)
    stray = encode(envelope._replace(seq=envelope.seq + 1), event)
    log._partitions["signals"][0].append(replace(last, offset=last.offset + 1, value=stray))
    difference = verify(log, 0, STAGES, since_step=50).difference
    assert difference is not None
    assert "were never committed" in difference.detail


def test_an_output_that_cannot_be_read_is_named_wherever_it_stands_also_where_a_checkpoint_looks() -> None:
    for index in range(finished_log().end_offset("signals", 0)):
        log = finished_log()
        records = log._partitions["signals"][0]
        step = decode(records[index].value)[0].step
        records[index] = replace(records[index], value=b"torn")
        difference = verify(log, 0, STAGES).difference
        assert difference is not None
        assert (difference.step, difference.detail.partition(":")[0]) == (step, f"signals seq {index}")
        assert (difference.what, f"signals[0] offset {index}: not Confluent" in difference.detail) == ("signals", True)


@pytest.mark.parametrize("since_step", [0, 10**6])
def test_a_record_behind_the_last_output_that_cannot_be_read_is_named(since_step: int) -> None:
    log = finished_log()
    MemoryLog.append(log, [NewRecord("signals", 0, b"", b"torn", 0)])
    difference = verify(log, 0, STAGES, since_step=since_step).difference
    assert difference is not None
    assert difference.what == "signals"
    assert "cannot be read" in difference.detail
