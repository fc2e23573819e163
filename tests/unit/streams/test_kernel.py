"""The kernel stamps, orders and bounds what stages emit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import pytest

from schemas.codec import decode
from schemas.envelope import Event, Message
from schemas.events.data import MessageQuarantined, QuarantineReason, TickQuarantined
from schemas.events.intelligence import SignalScored
from schemas.events.market import Channel, MarkPrice
from schemas.ids import derive_id, output_id
from schemas.values import Price
from streams.core import kernel as kernel_module
from streams.core.kernel import BAD_RUN_MAX, Kernel, KernelError
from streams.core.stage import Stage
from streams.log.base import LogError
from streams.log.memory import MemoryLog
from streams.trader import Trader
from tests.builders import at, message
from tests.toy import STAGES, mark, settings_record, timer


@dataclass(slots=True)
class Seen:
    """The types a stage was given, in order."""

    names: list[str]

    KEEP: ClassVar[int] = 100


def recorder(name: str, takes: tuple[type[Event], ...], emit: Sequence[Event] = ()) -> Stage[Seen]:
    def evolve(state: Seen, incoming: Message) -> Seen:
        return Seen([*state.names, type(incoming.event).__name__])

    return Stage(name, takes, Seen, lambda: Seen([]), lambda *_: emit, evolve)


def signal() -> SignalScored:
    return SignalScored("T", "1m", "s", 0.5, 60, "why", "", False)


def quarantine() -> TickQuarantined:
    return TickQuarantined("T", Channel.MARK, QuarantineReason.OUTLIER, "x", "far off")


def step(kernel: Kernel, event: Event, seconds: int = 0) -> list[tuple[object, object]]:
    incoming = message(event, ts=at(seconds), event_id=derive_id("in", seconds))
    return [decode(output.value) for output in kernel.step_event(incoming.envelope, event)]


PRICE = MarkPrice("T", Price(Decimal(1)))


def test_a_stage_folds_its_own_output_once_and_the_others_see_it_after() -> None:
    first = recorder("first", (MarkPrice, SignalScored), [signal()])
    one = Stage("first", (MarkPrice,), Seen, first.initial, first.decide, first.evolve)
    second = recorder("second", (MarkPrice, SignalScored))
    kernel = Kernel((one, second), code_version="1")
    step(kernel, PRICE)
    assert kernel.states[0].names == ["MarkPrice", "SignalScored"]
    assert kernel.states[1].names == ["MarkPrice", "SignalScored"]


def test_an_event_that_stops_its_cause_keeps_it_from_later_stages() -> None:
    gate = recorder("gate", (MarkPrice,), [quarantine()])
    later = recorder("later", (MarkPrice, TickQuarantined))
    kernel = Kernel((gate, later), code_version="1")
    step(kernel, PRICE)
    assert kernel.states[1].names == ["TickQuarantined"]


def test_outputs_carry_identity_cause_place_and_time() -> None:
    kernel = Kernel((recorder("s", (MarkPrice,), [signal(), signal()]),), code_version="7")
    (first, _), (second, _) = step(kernel, PRICE, 5)
    cause = derive_id("in", 5)
    assert (first.event_id, second.event_id) == (output_id(cause, "s", 0), output_id(cause, "s", 1))
    assert first.causation_id == first.correlation_id == cause
    assert (first.seq, second.seq, first.ordinal, second.ordinal) == (0, 1, 0, 1)
    assert (first.ts_event, first.producer, first.stage) == (at(5), "7", "s")


def test_time_never_runs_backwards() -> None:
    kernel = Kernel((recorder("s", (MarkPrice,), [signal()]),), code_version="1")
    step(kernel, PRICE, 60)
    ((late, _),) = step(kernel, PRICE, 10)
    assert late.ts_event == at(60)


def test_two_stages_that_answer_each_other_without_end_stop_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "EVENTS_PER_STEP_MAX", 50)
    ping = recorder("ping", (MarkPrice, TickQuarantined), [signal()])
    pong = recorder("pong", (SignalScored,), [quarantine()])
    with pytest.raises(KernelError, match="answer each other without end"):
        step(Kernel((ping, pong), code_version="1"), PRICE)


def test_an_unreadable_tick_is_set_aside_and_an_unreadable_command_stops() -> None:
    kernel = Kernel(STAGES, code_version="1")
    (output,) = kernel.step("ticks", b"\x00\x00\x00\x00\x01garbage")
    event = decode(output.value)[1]
    assert isinstance(event, MessageQuarantined)
    assert event.raw == b"\x00\x00\x00\x00\x01garbage"
    with pytest.raises(KernelError, match="a record of topic commands cannot be read"):
        kernel.step("commands", b"garbage")


def test_too_many_unreadable_ticks_in_a_row_stop_the_shard() -> None:
    kernel = Kernel(STAGES, code_version="1")
    for _ in range(BAD_RUN_MAX):
        kernel.step("ticks", b"garbage")
    with pytest.raises(KernelError, match="11 in a row"):
        kernel.step("ticks", b"garbage")


def test_a_restored_state_is_the_same_state() -> None:
    kernel = Kernel(STAGES, code_version="1")
    for number in range(20):
        kernel.step("ticks", mark(number, number % 7).value)
    again = Kernel(STAGES, code_version="1")
    again.restore(kernel.state_json())
    assert again.state_json() == kernel.state_json()
    following = mark(21, 5).value
    assert again.step("ticks", following) == kernel.step("ticks", following)


def test_the_first_settings_are_taken_before_anything_else() -> None:
    log = MemoryLog()
    from streams.log import create_log

    create_log(log)
    log.append([timer(0), mark(0, 1)])
    with pytest.raises(LogError, match="the settings topic is empty"):
        Trader(log, 0, STAGES, worker="w", code_version="1").start()
    log.append([settings_record()])
    trader = Trader(log, 0, STAGES, worker="w", code_version="1")
    trader.start()
    assert trader.positions == {"settings": 1, "commands": 0, "completions": 0, "context": 0, "ticks": 0}
    assert trader.kernel.counters.settings_digest
