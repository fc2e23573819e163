"""A tiny trader for tests of the write path: two stages whose outputs depend on every input and on their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from schemas.codec import encode
from schemas.envelope import Event, Message
from schemas.events.common import Regime
from schemas.events.control import SettingsChanged, TimerFired
from schemas.events.intelligence import RegimeClassified, SignalScored
from schemas.events.market import MarkPrice
from schemas.ids import derive_id
from schemas.values import Price, rate
from streams.core.stage import Stage
from streams.log import create_log
from streams.log.base import EventLog, NewRecord
from tests.builders import at, message, settings_changed


@dataclass(slots=True)
class SumState:
    """Running hash-like sum: any lost, repeated or reordered input changes every later output."""

    total: int = 7
    count: int = 0


def _sum_decide(state: SumState, incoming: Message) -> Sequence[Event]:
    value = _value(incoming.event)
    total = (state.total * 31 + value) % 1_000_003
    if value % 3 == 0:
        return ()
    return [_signal(total, number) for number in range(value % 3)]


def _sum_evolve(state: SumState, incoming: Message) -> SumState:
    if isinstance(incoming.event, SignalScored):
        return SumState(state.total, state.count + 1)
    return SumState((state.total * 31 + _value(incoming.event)) % 1_000_003, state.count)


def _value(event: Event) -> int:
    return int(event.mark_price) if isinstance(event, MarkPrice) else 1 if isinstance(event, TimerFired) else 0


def _signal(total: int, number: int) -> SignalScored:
    return SignalScored("T", "1m", f"toy{number}", total / 1_000_003, 60, "toy", "", False)


def _label_decide(state: SumState, incoming: Message) -> Sequence[Event]:
    if state.count % 2 == 0:
        return ()
    return [
        RegimeClassified("T", "1m", Regime.RANGE, Regime.UNKNOWN, (), rate(Decimal(0)), "TOY", state.count, "", False)
    ]


def _label_evolve(state: SumState, incoming: Message) -> SumState:
    return SumState(state.total, state.count + 1)


SUM: Stage[SumState] = Stage(
    "sum", (SettingsChanged, MarkPrice, TimerFired), SumState, SumState, _sum_decide, _sum_evolve
)
LABEL: Stage[SumState] = Stage("label", (SignalScored,), SumState, SumState, _label_decide, _label_evolve)
STAGES = (SUM, LABEL)


def mark(number: int, value: int) -> NewRecord:
    """Return the ``number``-th tick."""
    event = MarkPrice("T", Price(Decimal(value)))
    incoming = message(event, ts=at(number), event_id=derive_id("tick", number))
    return NewRecord("ticks", 0, b"T", encode(incoming.envelope, event), at(number))


def timer(number: int) -> NewRecord:
    """Return the ``number``-th command."""
    event = TimerFired("paper")
    incoming = message(event, ts=at(0), event_id=derive_id("timer", number))
    return NewRecord("commands", 0, b"paper", encode(incoming.envelope, event), at(0))


def settings_record() -> NewRecord:
    """Return the first settings."""
    event = settings_changed()
    incoming = message(event, ts=at(0), event_id=derive_id("settings", 0))
    return NewRecord("settings", 0, b"paper", encode(incoming.envelope, event), at(0))


def fill(log: EventLog, ticks: Sequence[int], timers: int = 0) -> None:
    """Create the log and put settings, ticks and commands on it."""
    create_log(log)
    log.append([settings_record()])
    log.append([mark(number, value) for number, value in enumerate(ticks)])
    log.append([timer(number) for number in range(timers)])
