"""A clock around the stages: it counts what they take, changes nothing they do, and looks at few steps."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import generate_latest

from schemas.settings import Venue
from services.metrics.worker import worker_registry
from streams.batch import run_batch
from streams.core.kernel import Kernel
from streams.log.memory import MemoryLog
from streams.shards import Shards
from streams.timings import BOUNDS_S, SAMPLE, Durations, StepTimings
from streams.trader import Trader
from tests.builders import at, message, settings_changed
from tests.tools import check_metrics
from tests.toy import LABEL, STAGES, SUM, fill, mark, settings_record


class Ticking:
    """A clock that is a millisecond later at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks / 1_000


def test_a_stage_takes_the_time_between_the_looks_before_and_after_each_of_its_calls() -> None:
    """Mark 1 makes SUM emit one signal, which LABEL takes: SUM decides, folds, folds its own; LABEL decides, folds."""
    kernel, timings = Kernel(STAGES, code_version="1"), StepTimings(STAGES, clock=Ticking())
    kernel.step("settings", settings_record().value)
    outputs = timings.step(kernel, "ticks", mark(0, 1).value)
    assert [output.topic for output in outputs] == ["signals"]
    assert round(timings.stages["sum"].total_s, 9) == 0.003
    assert round(timings.stages["label"].total_s, 9) == 0.002
    assert round(timings.steps.total_s, 9) == 0.011, "five calls with two looks each, from the first look to the last"


def test_the_same_bytes_come_out_and_the_stages_are_bare_again() -> None:
    timed, bare = Kernel(STAGES, code_version="1"), Kernel(STAGES, code_version="1")
    timings = StepTimings(STAGES)
    for record in (settings_record(), *(mark(number, number) for number in range(20))):
        assert timings.step(timed, record.topic, record.value) == bare.step(record.topic, record.value)
    assert timed.state_json() == bare.state_json()
    assert timed.stages == STAGES


def test_settings_that_decide_the_venue_under_the_clock_decide_it_for_good() -> None:
    """The first step of a shard is one of those that are looked at; a stage of the other venue must fall silent."""
    stages = (replace(SUM, only_on=Venue.PAPER), LABEL)
    kernel, event = Kernel(stages, code_version="1"), settings_changed(venue="OKX")
    with kernel.through(StepTimings(stages)._timed):
        kernel.step_event(message(event, ts=at(0)).envelope, event)
    assert kernel.venue is Venue.OKX
    assert kernel.step("ticks", mark(0, 1).value) == []


def test_durations_are_counted_by_the_bucket_they_fit() -> None:
    durations = Durations()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 99.0):
        durations.add(seconds)
    assert durations.buckets == [2, 1, *[0] * (len(BOUNDS_S) - 2), 1]


def test_a_worker_shows_ticks_lag_and_durations_of_its_traders() -> None:
    log = MemoryLog()
    fill(log, range(2 * SAMPLE), timers=3)
    trader = Trader(log, 0, STAGES, worker="w", code_version="1")
    trader.start()
    run_batch(log, trader)
    log.append([mark(2 * SAMPLE, 1)])
    registry, watch = worker_registry()
    shards = Shards(log, lambda _: trader, lambda *_: None)
    shards.traders = lambda: [trader]  # type: ignore[method-assign]  # in hand without a worker's event loop
    watch(shards)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tapeline_{name}", {"shard": "0", **labels})

    assert value("trader_inputs_total", topic="ticks") == 2 * SAMPLE
    assert value("trader_inputs_total", topic="commands") == 3
    assert value("trader_lag_records", topic="ticks") == 1
    steps = 1 + 2 * SAMPLE + 3  # the settings, the ticks, the timers
    assert value("step_seconds_count") == len(range(0, steps, SAMPLE))
    assert value("stage_seconds_count", stage="sum") == len(range(0, steps, SAMPLE))
    assert (value("commit_seconds_count") or 0) >= 1
    assert value("step_seconds_bucket", le="+Inf") == value("step_seconds_count")
    check_metrics(generate_latest(registry).decode(), "worker")
