"""Another version of the code goes on with a log: more topics, more stages, other decisions (ADR 14)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from schemas.envelope import Event, Message
from schemas.events.control import SettingsChanged
from schemas.events.market import MarkPrice
from schemas.topics import CHECKPOINTS, INPUTS, OUTPUTS
from services.lag import TraderWatch
from streams.batch import run_batch
from streams.core.stage import Stage
from streams.journal import FailStop
from streams.log import create_log
from streams.log.memory import MemoryLog
from streams.trader import Trader
from streams.verify import Report, verify
from tests.toy import LABEL, STAGES, SUM, SumState, mark, settings_record, timer

OLD, NEW = "1+old", "2+new"
TICKS = [4, 5, 7, 8, 10, 11, 1, 2]


@dataclass(slots=True)
class SeenState:
    """What a stage that joined has seen."""

    settings: int = 0
    marks: int = 0


def _see(state: SeenState, incoming: Message) -> SeenState:
    settings = isinstance(incoming.event, SettingsChanged)
    return SeenState(state.settings + settings, state.marks + isinstance(incoming.event, MarkPrice))


SEEN: Stage[SeenState] = Stage("seen", (SettingsChanged, MarkPrice), SeenState, SeenState, lambda *_: (), _see)


def _decide_otherwise(state: SumState, incoming: Message) -> Sequence[Event]:
    return [replace(event, horizon_s=61) for event in SUM.decide(state, incoming)]  # type: ignore[type-var]


OTHERWISE = (replace(SUM, decide=_decide_otherwise), LABEL)


@contextmanager
def topics(*, inputs: Sequence[str], outputs: Sequence[str]) -> Iterator[None]:
    """Run the code as of a version that knew these topics only."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("streams.recovery", "streams.trader"):
            patch.setattr(f"{module}.inputs_of", lambda _venue: tuple(inputs))
        for module in ("streams.recovery", "streams.core.kernel"):
            patch.setattr(f"{module}.outputs_of", lambda _venue: tuple(outputs))
        yield


def run(log: MemoryLog, stages: Sequence[Stage[object]], version: str, *, stop_cleanly: bool = True) -> Trader:
    """Take every input; a clean stop leaves a checkpoint."""
    trader = Trader(log, 0, stages, worker="w", code_version=version)
    trader.start()
    if stop_cleanly:
        run_batch(log, trader)
    else:
        trader.process("ticks", log.read("ticks", 0, trader.position("ticks"), limit=100))
    return trader


def old_log(*, stop_cleanly: bool = True) -> MemoryLog:
    """A log of eight ticks as the old code leaves it."""
    log = MemoryLog()
    create_log(log)
    log.append([settings_record(), *(mark(number, value) for number, value in enumerate(TICKS))])
    run(log, STAGES, OLD, stop_cleanly=stop_cleanly)
    return log


def more_ticks(log: MemoryLog) -> None:
    log.append([mark(number, value) for number, value in enumerate([13, 14, 0], start=len(TICKS))])


def proof(log: MemoryLog, stages: Sequence[Stage[object]] = STAGES, version: str = NEW) -> Report:
    return verify(log, 0, stages, code_version=version)


def spans(report: Report) -> list[tuple[str, int, int, bool]]:
    return [(r.code_version, r.first_step, r.last_step, r.proven) for r in report.recorded]


# -- more topics ----------------------------------------------------------------------------------------------------


def log_of_fewer_topics() -> MemoryLog:
    """A log whose writer knew neither ``commands`` nor ``fills``: it has no such topics."""
    log, fewer = MemoryLog(), ("settings", "ticks")
    log.create_topics(dict.fromkeys((*fewer, *OUTPUTS, "journal", CHECKPOINTS), 1))
    del log._partitions["fills"]
    log.append([settings_record(), *(mark(number, value) for number, value in enumerate(TICKS))])
    with topics(inputs=fewer, outputs=[name for name in OUTPUTS if name != "fills"]):
        run(log, STAGES, OLD)
    return log


def test_a_log_with_fewer_topics_is_verified_and_watched_as_it_is() -> None:
    log = log_of_fewer_topics()
    assert proof(log).proven
    progress = TraderWatch(log, 0).progress()
    assert (progress.inputs, progress.taken) == (9, 9)


def test_a_new_input_topic_is_taken_from_its_beginning_and_a_new_output_topic_numbered_from_zero() -> None:
    log = log_of_fewer_topics()
    create_log(log)
    log.append([timer(number) for number in range(3)])
    more_ticks(log)
    trader = run(log, STAGES, NEW)
    assert {topic: trader.position(topic) for topic in INPUTS} == {
        "settings": 1,
        "commands": 3,
        "completions": 0,
        "context": 0,
        "ticks": 11,
    }
    assert trader.kernel.counters.seqs["fills"] == 0
    assert trader.kernel.counters.step == 15
    report = proof(log)
    assert report.difference is None
    assert report.inputs == {"settings": 1, "ticks": 11, "commands": 3}
    assert spans(report) == [(OLD, 0, 8, True), (NEW, 9, 14, True)]


def test_a_topic_that_is_no_longer_an_output_stops_the_older_version() -> None:
    log = old_log()
    with (
        topics(inputs=INPUTS, outputs=[name for name in OUTPUTS if name != "fills"]),
        pytest.raises(
            FailStop, match=r"it numbers topic fills, which is no output here.*by code 1\+old, this is 2\+new"
        ),
    ):
        run(log, STAGES, NEW)


def test_a_topic_that_is_no_longer_an_input_stops_the_older_version() -> None:
    log = old_log()
    with topics(inputs=("settings", "ticks"), outputs=OUTPUTS), pytest.raises(FailStop, match="topic commands is no"):
        run(log, STAGES, NEW)


# -- more stages ----------------------------------------------------------------------------------------------------


def test_a_new_stage_begins_with_its_initial_state_and_the_settings_in_force() -> None:
    log = old_log()
    more_ticks(log)
    trader = run(log, (*STAGES, SEEN), NEW)
    assert trader.kernel.states[2] == SeenState(settings=1, marks=3)
    report = proof(log, (*STAGES, SEEN))
    assert report.difference is None
    assert spans(report) == [(OLD, 0, 8, True), (NEW, 9, 11, True)]


def test_the_state_of_a_new_stage_survives_the_next_start() -> None:
    log = old_log()
    more_ticks(log)
    run(log, (*STAGES, SEEN), NEW)
    assert run(log, (*STAGES, SEEN), NEW).kernel.states[2] == SeenState(settings=1, marks=3)


def test_a_stage_that_is_gone_stops_the_shard_and_says_who_wrote_the_log() -> None:
    with pytest.raises(FailStop, match=r"has a stage label that is not here; recorded by code 1\+old.*run the vers"):
        run(old_log(), (SUM,), NEW)


# -- another state --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class WiderState:
    """The toy's state with a field more."""

    total: int = 7
    count: int = 0
    extra: int = 5


@dataclass(slots=True)
class NarrowState:
    """The toy's state with a field less."""

    total: int = 7


@dataclass(slots=True)
class OtherState:
    """The toy's state with a field that old states cannot fill."""

    total: int
    count: int
    must: int

    @classmethod
    def begin(cls) -> OtherState:
        """Return the state before the first input."""
        return cls(7, 0, 1)


def _keep(state: object, incoming: Message) -> object:
    return state


def label_with(state_type: type[object]) -> tuple[Stage[object], ...]:
    begin = getattr(state_type, "begin", state_type)
    return SUM, Stage("label", LABEL.takes, state_type, begin, lambda *_: (), _keep)


def test_a_new_field_with_a_default_takes_it() -> None:
    trader = run(old_log(), label_with(WiderState), NEW)
    assert getattr(trader.kernel.states[1], "extra", None) == 5


@pytest.mark.parametrize(
    ("state_type", "words"),
    [(NarrowState, "the state of label has label.count, which this version would forget"),
     (OtherState, "the state of label does not fit")],
)  # fmt: skip
def test_a_state_that_would_lose_or_lacks_a_field_stops_the_shard(state_type: type[object], words: str) -> None:
    with pytest.raises(FailStop, match=words):
        run(old_log(), label_with(state_type), NEW)


# -- other decisions ------------------------------------------------------------------------------------------------


def test_other_decisions_from_a_clean_stop_on_are_no_contradiction(caplog: pytest.LogCaptureFixture) -> None:
    log = old_log()
    more_ticks(log)
    with caplog.at_level(logging.WARNING):
        run(log, OTHERWISE, NEW)
    assert f"code {NEW} goes on at step 9 where {OLD} stopped" in caplog.text


def test_other_decisions_after_no_clean_stop_are_refused_with_both_versions() -> None:
    log = old_log(stop_cleanly=False)
    assert log.end_offset(CHECKPOINTS, 0) == 0
    with pytest.raises(FailStop, match=r"outputs digest .* recorded by code 1\+old, this is 2\+new.*stop it"):
        run(log, OTHERWISE, NEW)


def test_the_same_decisions_by_another_version_need_no_clean_stop() -> None:
    log = old_log(stop_cleanly=False)
    more_ticks(log)
    run(log, STAGES, NEW)
    assert proof(log).proven


def test_verify_compares_what_another_version_recorded_and_says_so() -> None:
    log = old_log()
    more_ticks(log)
    run(log, OTHERWISE, NEW)
    report = proof(log, OTHERWISE)
    assert report.difference is not None
    assert "field horizon_s" in report.difference.detail
    assert report.difference.detail.endswith(f"steps 0..8 were recorded by code {OLD}, this is {NEW}")
    assert spans(report) == [(OLD, 0, 8, False), (NEW, 9, 11, True)]


def test_verify_of_the_same_decisions_names_both_versions_and_proves_them() -> None:
    log = old_log()
    report = proof(log)
    assert report.proven
    assert (report.code_version, spans(report)) == (NEW, [(OLD, 0, 8, True)])


def test_a_difference_in_what_this_version_recorded_is_not_blamed_on_another() -> None:
    report = proof(old_log(), OTHERWISE, OLD)
    assert report.difference is not None
    assert "recorded by" not in report.difference.detail
