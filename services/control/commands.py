"""Append a command to the log and wait, bounded, for what the trader made of it.

Used by the control API and by the command line alike. It decides nothing: the command is an event, its outcome another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack
from threading import Event as Alarm
from threading import Lock
from uuid import uuid4

from schemas.codec import HEADER_BYTES, CodecError, decode, encode, schema_ids
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events import control, plan, risk
from schemas.events.market import InstrumentDefined
from schemas.values import SECOND, Micros
from streams.log.base import EventLog, NewRecord
from streams.reader import Accepted, SeqReader

COMMANDS = "commands"
ANSWER_TOPICS = ("plans", "verdicts")
RECORDED_AFTER_S = 3600
"""A log whose newest tick is older than this is a recording: commands to it carry the market's time, not the wall's."""
POLL_S = 0.005
POLL_LIMIT = 500
SCAN_LIMIT = 5_000
TAIL = 100
PRODUCER = "control"

_INSTRUMENT_HEADERS = {pack(">bI", 0, number) for number in schema_ids()[InstrumentDefined.__name__].values()}
"""First bytes of every InstrumentDefined of any version: a tape is searched without decoding it."""

_FINAL_PLAN = (plan.PlanProposed, plan.PlanDeclined, control.CommandHandled)
_FINAL_VERDICT = (risk.PlanApproved, risk.PlanDenied, plan.PlanDeclined, control.CommandHandled)
_FINAL: dict[type[Event], tuple[type[Event], ...]] = {
    control.GeneratePlan: _FINAL_PLAN,
    control.ExecutePlan: _FINAL_VERDICT,
}
_FINAL_OTHERS = (control.CommandHandled,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a command. ``outcome`` None: no answer yet. ``related``: further events that name it."""

    command_id: str
    command: Event
    outcome: tuple[Envelope, Event] | None
    related: tuple[tuple[Envelope, Event], ...] = ()

    @property
    def refused(self) -> str | None:
        """Return the code of a refusal, or None."""
        event = self.outcome[1] if self.outcome else None
        refused = isinstance(event, control.CommandHandled) and event.outcome is control.CommandOutcome.REFUSED
        return event.code if refused and isinstance(event, control.CommandHandled) else None


class CommandDesk:
    """Commands of one account on one shard of a log. May be shared between threads."""

    def __init__(self, log: EventLog, *, shard: int, account_id: str, instruments: Sequence[str] = ()) -> None:
        self.account_id = account_id
        self._log = log
        self._shard = shard
        self._instruments = set(instruments)
        self._ticks_seen = 0
        self._answers: dict[str, list[tuple[Envelope, Event]]] = {}
        self._commands: dict[str, Event] = {}
        self._readers = [SeqReader(log, topic, shard) for topic in (COMMANDS, *ANSWER_TOPICS)]
        self._lock = Lock()

    def ask(self, command: Event, *, wait_s: float) -> Answer:
        """Append a command and return its answer, without an outcome when none came within ``wait_s`` seconds.

        Raises LogError when the log does not take it.
        """
        starts = {topic: self._log.end_offset(topic, self._shard) for topic in ANSWER_TOPICS}
        command_id = self._append(command)
        return self._wait(command_id, command, starts, time.monotonic() + wait_s)

    def find(self, command_id: str) -> Answer | None:
        """Return what the whole log knows of a command; None: no such command."""
        with self._lock:
            self._catch_up()
            command = self._commands.get(command_id)
            events = tuple(self._answers.get(command_id, ()))
        return None if command is None else _answer(command_id, command, events)

    def knows(self, instrument_id: str) -> bool:
        """Tell whether an instrument is on the allow list or defined on the log."""
        if instrument_id in self._instruments:
            return True
        with self._lock:
            self._scan_instruments()
        return instrument_id in self._instruments

    def market_time(self) -> Micros:
        """Return the time a command of now carries: the wall clock, or the newest tick's on a recording.

        ``now`` in the trader is the largest ``ts_event`` seen: a command stamped by the wall clock would push the clock
        of a recorded run years ahead and make every later tick stale.
        """
        wall = Micros(time.time_ns() // 1000)
        newest = self._newest("ticks") or self._newest("settings")
        if newest is None or wall - newest < RECORDED_AFTER_S * SECOND:
            return wall
        return newest

    def _newest(self, topic: str) -> Micros | None:
        end = self._log.end_offset(topic, self._shard)
        records = self._log.read(topic, self._shard, max(0, end - TAIL), limit=TAIL) if end else ()
        for record in reversed(records):
            try:
                return decode(record.value)[0].ts_event
            except CodecError:
                continue  # the trader quarantines what it cannot read; the one before tells the time as well
        return None

    def _append(self, command: Event) -> str:
        command_id = uuid4().hex
        wall = Micros(time.time_ns() // 1000)
        ts_event = self.market_time()
        envelope = Envelope(
            event_id=command_id,
            correlation_id=command_id,
            causation_id="",
            stage="control",
            step=NOT_SEQUENCED,
            ordinal=0,
            seq=NOT_SEQUENCED,
            ts_event=ts_event,
            ts_ingest=wall,
            producer=PRODUCER,
            settings_digest="",
        )
        value = encode(envelope, command)
        self._log.append([NewRecord(COMMANDS, self._shard, self.account_id.encode(), value, ts_event)])
        return command_id

    def _wait(self, command_id: str, command: Event, starts: dict[str, int], deadline: float) -> Answer:
        """Tail the answer topics. No ``seq`` rule is needed: a repeat is byte-identical, and nothing is ever published
        that is not committed, so whatever names this command is true."""
        found: dict[str, tuple[Envelope, Event]] = {}
        pause = Alarm()
        while True:
            for topic in ANSWER_TOPICS:
                for record in self._log.read(topic, self._shard, starts[topic], limit=POLL_LIMIT):
                    starts[topic] = record.offset + 1
                    envelope, event = decode(record.value)
                    if getattr(event, "command_id", None) == command_id:
                        found[envelope.event_id] = (envelope, event)
            answer = _answer(command_id, command, tuple(found.values()))
            if answer.outcome is not None or time.monotonic() >= deadline:
                return answer
            pause.wait(POLL_S)

    def _catch_up(self) -> None:
        for reader in self._readers:
            while reader.lag() > 0:
                for accepted in reader.poll(SCAN_LIMIT):
                    self._index(accepted)

    def _index(self, accepted: Accepted) -> None:
        if accepted.record.topic == COMMANDS:
            self._commands[accepted.envelope.event_id] = accepted.event
            return
        command_id = getattr(accepted.event, "command_id", None)
        if command_id is not None:
            self._answers.setdefault(command_id, []).append((accepted.envelope, accepted.event))

    def _scan_instruments(self) -> None:
        end = self._log.end_offset("ticks", self._shard)
        while self._ticks_seen < end:
            records = self._log.read("ticks", self._shard, self._ticks_seen, limit=SCAN_LIMIT)
            if not records:
                return
            self._ticks_seen = records[-1].offset + 1
            for record in records:
                if record.value[:HEADER_BYTES] in _INSTRUMENT_HEADERS:
                    event = decode(record.value)[1]
                    self._instruments.add(getattr(event, "instrument_id", ""))


def _answer(command_id: str, command: Event, events: Sequence[tuple[Envelope, Event]]) -> Answer:
    final = _FINAL.get(type(command), _FINAL_OTHERS)
    outcome = next((pair for pair in events if isinstance(pair[1], final)), None)
    related = tuple(pair for pair in events if pair is not outcome)
    return Answer(command_id, command, outcome, related)
