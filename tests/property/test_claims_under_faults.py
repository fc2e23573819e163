"""The write path when claims and checkpoints, too, are killed, repeated or overtaken, not only commits and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.log.base import LogError, NewRecord
from streams.log.memory import MemoryLog
from tests.toy import fill
from tests.write_path import BrokerLog, Fault, Faults, plain_trader, run_once, run_to_end, violations


class ClaimBroker(BrokerLog):
    """A broker whose faults strike claims and checkpoints as they strike commits and outputs."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        fault = self._fault()
        self._before(fault)
        if fault is Fault.LOST:
            raise LogError("not acknowledged")
        offsets = MemoryLog.append(self, records)
        if fault is Fault.TWICE:
            offsets = MemoryLog.append(self, records)
        self._after(fault)
        if fault is Fault.ACK_LOST:
            raise LogError("not acknowledged")
        return offsets


batch = st.tuples(st.sampled_from(["ticks", "ticks", "commands"]), st.integers(1, 9))
plan = st.lists(st.sampled_from([Fault.NONE, Fault.NONE, *Fault]), max_size=20)
life = st.tuples(plan, st.lists(batch, max_size=8))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ticks=st.lists(st.integers(0, 20), max_size=40),
    lives=st.lists(life, min_size=1, max_size=4),
    takeover=st.lists(batch, max_size=5),
)
def test_faults_at_claims_and_checkpoints_leave_one_history(
    ticks: list[int],
    lives: list[tuple[list[Fault], list[tuple[str, int]]]],
    takeover: list[tuple[str, int]],
) -> None:
    log = ClaimBroker()
    fill(log, ticks, 4)
    for number, (faults, batches) in enumerate(lives):
        log.faults = Faults(list(faults), lambda: run_once(log, plain_trader, "other", takeover))
        run_once(log, plain_trader, f"w{number}", batches)
    log.faults = Faults()
    run_to_end(log, plain_trader)
    assert violations(log) == []
