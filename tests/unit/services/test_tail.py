"""``log tail --follow`` says that a number is missing, as every reader does; a late repeat is no reason to."""

from __future__ import annotations

import time

import pytest

from services.commands.log import Filter, _follow, rule_at
from streams.log.base import NewRecord
from tests.clock import Clock
from tests.unit.streams.test_reader import log_of, signal

ALL = Filter(frozenset(), None)


def test_what_comes_before_its_turn_while_it_follows_is_an_error_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.reader.UNFILLED_S_MAX", 0.0)
    _follow(log_of(0, 1, 3), "signals", {0: 2}, ALL, 1, time.monotonic() + 60)
    assert "signals[0]: seq 2 is missing for 0 s although seq 3 is there" in caplog.text
    assert '"seq": 3' in capsys.readouterr().out  # it is shown all the same: the log as it is


def test_nothing_is_missing_after_a_late_repeat_at_the_end() -> None:
    clock = Clock()
    rule = rule_at(log_of(0, 1, 2, 0), "signals", 0, 4, clock=clock)
    assert rule is not None
    assert rule.take(3)
    clock.now = 100.0
    assert rule.unfilled() is None


def test_a_topic_ordered_by_offset_and_bytes_that_are_no_record_have_no_number() -> None:
    log = log_of(0)
    log.append([NewRecord("signals", 0, b"", b"garbage", 1), signal(1)])
    assert rule_at(log, "ticks", 0, 0) is None
    rule = rule_at(log, "signals", 0, 3)
    assert rule is not None
    assert rule.seq == 2
