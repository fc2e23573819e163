"""Quality: decides which ticks later stages may act on, and how far each instrument's data can be trusted.

Emits TickQuarantined (keeps its tick from later stages), GapOpened, GapClosed and QualityChanged. The rules are in
``checks`` (one tick), ``gaps`` and ``rules`` (one instrument). Time is compared with the lanes once per second of event
time. Leaves out: what a bad quality does to a plan; that is the planner's and the risk stage's decision.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Event, Message
from schemas.events.common import Quality
from schemas.events.control import TimerFired
from schemas.events.data import GapClosed, GapOpened, QualityChanged, QuarantineReason, TickQuarantined
from schemas.events.market import (
    BookTop,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Tick,
    Trade,
    VenueBar,
)
from schemas.values import SECOND
from streams.core.quality import folding, gaps, rules
from streams.core.quality.checks import CHANNELS, JUDGES, Verdict
from streams.core.quality.state import QualityState, Slot
from streams.core.stage import Stage

_UNKNOWN = Slot()


def decide(state: QualityState, message: Message) -> Sequence[Event]:
    """Return what this message says about data quality; nothing at all for an ordinary tick."""
    event = message.event
    if not isinstance(event, Tick):
        return _decide_status(state, message)
    slot = state.slots.get(event.instrument_id, _UNKNOWN)
    verdict = JUDGES[type(event)](slot, event, message.envelope.ts_event)
    if verdict is None and slot.calm and (not isinstance(event, VenueBar) or gaps.follows(slot, event)):
        now = message.now
        if now < state.next_check_us:
            return ()
        if slot.punctual(now):
            return _decide_clock(state, now, skip=event.instrument_id)
    return _decide_tick(state, message, event, slot, verdict)


def evolve(state: QualityState, message: Message) -> QualityState:
    """Fold a tick, a feed's word, or an event of this stage's own. Changes the state in place."""
    event, now = message.event, message.now
    if isinstance(event, Tick):
        _evolve_tick(state, event, message.envelope.ts_event, now)
    elif isinstance(event, QualityChanged):
        slot = state.slots[event.instrument_id]
        slot.quality, slot.reasons = event.quality, event.reasons
        slot.calm = event.quality is Quality.GOOD
    elif isinstance(event, GapOpened | GapClosed):
        folding.apply_gap(state.slots[event.instrument_id], event, now)
    elif isinstance(event, InstrumentDefined | FeedStatus):
        slot = state.slots.setdefault(event.instrument_id, Slot())
        folding.apply(slot, event, None, ts=message.envelope.ts_event, now=now)
    if now >= state.next_check_us and not isinstance(event, TickQuarantined):
        state.next_check_us = now - now % SECOND + SECOND
    return state


def _evolve_tick(state: QualityState, event: Tick, ts: int, now: int) -> None:
    slot = state.slots.get(event.instrument_id)
    if slot is None:
        return
    kind = type(event)
    verdict = JUDGES[kind](slot, event, ts)
    if verdict is not None:
        folding.refuse(slot, event, verdict, now)
        return
    if slot.calm:
        folding.ACCEPT[kind](slot, event, ts)
    else:
        folding.accept(slot, event, ts)
    if isinstance(event, Trade):
        folding.remember_trade(slot, event.trade_id)


def _decide_tick(state: QualityState, message: Message, event: Tick, slot: Slot, verdict: Verdict) -> Sequence[Event]:
    instrument_id = event.instrument_id
    outputs: list[Event] = []
    if verdict is not None:
        channel, (reason, detail) = CHANNELS[type(event)], verdict
        outputs.append(TickQuarantined(instrument_id, channel, reason, message.envelope.event_id, detail))
        if reason is QuarantineReason.UNKNOWN_INSTRUMENT and instrument_id not in state.slots:
            return outputs + _decide_clock(state, message.now, skip=instrument_id)
    outputs += _after(slot, message, event, verdict)
    return outputs + _decide_clock(state, message.now, skip=instrument_id)


def _decide_status(state: QualityState, message: Message) -> Sequence[Event]:
    event = message.event
    if isinstance(event, InstrumentDefined | FeedStatus):
        slot = state.slots.get(event.instrument_id, _UNKNOWN)
        return _after(slot, message, event, None) + _decide_clock(state, message.now, skip=event.instrument_id)
    return _decide_clock(state, message.now, skip="")


def _after(slot: Slot, message: Message, event: Tick | InstrumentDefined | FeedStatus, verdict: Verdict) -> list[Event]:
    """Try the message out on a copy: the gaps it opens or closes, then the quality that follows."""
    ts, now = message.envelope.ts_event, message.now
    trial = slot.trial()
    found = gaps.gaps(slot, event, verdict, ts)
    folding.apply(trial, event, verdict, ts=ts, now=now)
    for gap in found:
        folding.apply_gap(trial, gap, now)
    return [*found, *_overdue(event.instrument_id, trial, now)]


def _decide_clock(state: QualityState, now: int, *, skip: str) -> list[Event]:
    """Compare the clock with the other instruments, at most once per second of event time."""
    if now < state.next_check_us:
        return []
    outputs: list[Event] = []
    for instrument_id, slot in state.slots.items():
        if instrument_id != skip and not (slot.calm and slot.punctual(now)):
            outputs += _overdue(instrument_id, slot, now)
    return outputs


def _overdue(instrument_id: str, slot: Slot, now: int) -> list[Event]:
    """Return the gap that silence opens and the change of quality, if there is one."""
    found = gaps.overdue_bars(instrument_id, slot, now)
    if found:
        slot = slot.trial()
        for gap in found:
            folding.apply_gap(slot, gap, now)
    quality, reasons = rules.assess(slot, now)
    if (quality, reasons) == (slot.quality, slot.reasons):
        return [*found]
    return [*found, QualityChanged(instrument_id, quality, slot.quality, reasons)]


STAGE = Stage(
    name="quality",
    takes=(
        Trade,
        Quote,
        BookTop,
        MarkPrice,
        IndexPrice,
        FundingRate,
        FundingSettled,
        VenueBar,
        InstrumentDefined,
        FeedStatus,
        TimerFired,
    ),
    state_type=QualityState,
    initial=QualityState,
    decide=decide,
    evolve=evolve,
)
