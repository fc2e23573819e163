"""Append a command to the log and wait, bounded, for what the trader made of it.

Used by the control API and by the command line alike. It decides nothing: the command is an event, its outcome another.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event as Alarm
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from structlog.contextvars import bound_contextvars

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events import control, plan, risk
from schemas.events.market import InstrumentDefined
from schemas.values import Micros
from services.control.scan import headers_of, is_one_of, naming
from services.market_time import market_time, wall_time
from streams.log.base import EventLog, LogError, NewRecord

if TYPE_CHECKING:
    from services.lag import TraderProgress, TraderWatch

COMMANDS = "commands"
ANSWER_TOPICS = ("plans", "verdicts")
POLL_S = 0.005
POLL_LIMIT = 500
SCAN_LIMIT = 5_000
PRODUCER = "control"
MODEL_WAIT_S = 30.0
"""How long the answer of a language model is waited for where nobody says otherwise; most come within seconds."""

_log = structlog.get_logger("tapeline.control")
_INSTRUMENT = headers_of(InstrumentDefined)
_COMMAND_ID = re.compile(r"[0-9a-f]{32}")
_FINAL_PLAN = (plan.PlanProposed, plan.PlanDeclined, control.CommandHandled)
_FINAL_VERDICT = (risk.PlanApproved, risk.PlanDenied, plan.PlanDeclined, control.CommandHandled)
_FINAL: dict[type[Event], tuple[type[Event], ...]] = {
    control.GeneratePlan: _FINAL_PLAN,
    control.ExecutePlan: _FINAL_VERDICT,
}
_FINAL_OTHERS = (control.CommandHandled,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a command. ``outcome`` None: no answer yet. ``related``: further events that name it.

    ``trader``: how far it is, where there is no answer yet and the journal can be followed.
    """

    command_id: str
    command: Event
    outcome: tuple[Envelope, Event] | None
    related: tuple[tuple[Envelope, Event], ...] = ()
    trader: TraderProgress | None = None

    @property
    def refused(self) -> control.RefusalCode | None:
        """Return the code of a refusal, or None."""
        event = self.outcome[1] if self.outcome else None
        return event.code if isinstance(event, control.CommandHandled) else None


class CommandDesk:
    """Commands of one account on one shard of a log. May be shared between threads."""

    def __init__(self, log: EventLog, *, shard: int, account_id: str, instruments: Sequence[str] = ()) -> None:
        self.account_id = account_id
        self._log = log
        self._shard = shard
        self._instruments = set(instruments)
        self._ticks_seen = 0
        self._lock = Lock()
        self._trader: TraderWatch | None = None

    def ask(self, command: Event, *, wait_s: float) -> Answer:
        """Append a command and return its answer, without an outcome when none came within ``wait_s`` seconds.

        Raises LogError when the log does not take it.
        """
        starts = {topic: self._log.end_offset(topic, self._shard) for topic in ANSWER_TOPICS}
        command_id = self._append(command)
        with bound_contextvars(correlation_id=command_id):
            answer = self._told(self._wait(command_id, command, starts, time.monotonic() + wait_s))
            outcome = None if answer.outcome is None else type(answer.outcome[1]).__name__
            _log.info("command", command=type(command).__name__, outcome=outcome, refused=answer.refused)
        return answer

    def find(self, command_id: str) -> Answer | None:
        """Return what the whole log knows of a command; None: no such command. Looks from the end back."""
        if not _COMMAND_ID.fullmatch(command_id):
            return None
        said = naming(self._log, COMMANDS, self._shard, command_id)
        asked = next((pair for pair in said if pair[0].event_id == command_id), None)
        if asked is None:
            return None
        found: dict[str, tuple[Envelope, Event]] = {}
        for topic in ANSWER_TOPICS:
            for pair in naming(self._log, topic, self._shard, command_id, not_before=asked[0].ts_event):
                if getattr(pair[1], "command_id", None) == command_id:
                    found[pair[0].event_id] = pair
        events = sorted(found.values(), key=lambda pair: (pair[0].step, pair[0].ordinal))
        return self._told(_answer(command_id, asked[1], events))

    def _told(self, answer: Answer) -> Answer:
        """Return an answer without an outcome with how far the trader is."""
        if answer.outcome is not None:
            return answer
        from services.lag import TraderWatch  # not at the start of every command line

        try:
            with self._lock:
                self._trader = self._trader or TraderWatch(self._log, self._shard)
            return replace(answer, trader=self._trader.progress())
        except LogError:
            return answer

    def knows(self, instrument_id: str) -> bool:
        """Tell whether an instrument is on the allow list or defined on the log."""
        if instrument_id in self._instruments:
            return True
        with self._lock:
            self._scan_instruments()
        return instrument_id in self._instruments

    def market_time(self) -> Micros:
        """Return the time a command of now carries (``market_time``)."""
        return market_time(self._log, self._shard)

    def _append(self, command: Event) -> str:
        command_id = uuid4().hex
        wall = wall_time()
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

    def _scan_instruments(self) -> None:
        end = self._log.end_offset("ticks", self._shard)
        while self._ticks_seen < end:
            records = self._log.read("ticks", self._shard, self._ticks_seen, limit=SCAN_LIMIT)
            if not records:
                return
            self._ticks_seen = records[-1].offset + 1
            for record in records:
                if is_one_of(record, _INSTRUMENT):
                    event = decode(record.value)[1]
                    self._instruments.add(getattr(event, "instrument_id", ""))


def _answer(command_id: str, command: Event, events: Sequence[tuple[Envelope, Event]]) -> Answer:
    final = _FINAL.get(type(command), _FINAL_OTHERS)
    outcome = next((pair for pair in events if isinstance(pair[1], final)), None)
    related = tuple(pair for pair in events if pair is not outcome)
    return Answer(command_id, command, outcome, related)
