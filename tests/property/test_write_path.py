"""The write path under random batchings, kills, paused owners, lost acks and repeats holds its invariants."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.journal import Fenced
from streams.trader import Trader
from tests.toy import STAGES
from tests.write_path import FINISH, BrokerLog, Fault, plain_trader, run_once, scenario, violations

batch = st.tuples(st.sampled_from(["ticks", "ticks", "ticks", "commands", FINISH]), st.integers(1, 9))
plan = st.lists(st.sampled_from([Fault.NONE, Fault.NONE, Fault.NONE, *Fault]), max_size=14)
life = st.tuples(plan, st.lists(batch, max_size=8))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ticks=st.lists(st.integers(0, 20), max_size=50),
    timers=st.integers(0, 6),
    lives=st.lists(life, min_size=1, max_size=4),
    takeover=st.lists(batch, max_size=5),
)
def test_whatever_happens_the_log_holds_one_history(
    ticks: list[int],
    timers: int,
    lives: list[tuple[list[Fault], list[tuple[str, int]]]],
    takeover: list[tuple[str, int]],
) -> None:
    log = scenario(plain_trader, ticks=ticks, timers=timers, lives=lives, takeover=takeover)
    assert violations(log) == []


@settings(max_examples=100, deadline=None)
@given(ticks=st.lists(st.integers(0, 20), max_size=60), sizes=st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_outputs_do_not_depend_on_how_inputs_were_batched(ticks: list[int], sizes: list[int]) -> None:
    def outputs(batches: list[tuple[str, int]]) -> list[list[bytes]]:
        log = scenario(plain_trader, ticks=ticks, timers=0, lives=[([], batches)], takeover=[])
        return [[r.value for r in log.read(topic, 0, 0, limit=9999)] for topic in ("signals", "regimes")]

    assert outputs([("ticks", size) for size in sizes]) == outputs([("ticks", len(ticks) or 1)])


def test_a_paused_owner_publishes_nothing_after_another_claimed() -> None:
    log = BrokerLog()
    from tests.toy import fill

    fill(log, [1, 2, 1, 2, 1, 2])
    first = Trader(log, 0, STAGES, worker="first", code_version="1")
    first.start()
    first.process("ticks", log.read("ticks", 0, 0, limit=2))
    run_once(log, plain_trader, "second", [("ticks", 1)])
    before = {topic: log.end_offset(topic, 0) for topic in ("signals", "regimes")}
    try:
        first.process("ticks", log.read("ticks", 0, 2, limit=4))
    except Fenced:
        pass
    else:
        raise AssertionError("the paused owner committed")
    assert before == {topic: log.end_offset(topic, 0) for topic in ("signals", "regimes")}
