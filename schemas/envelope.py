"""What every record on the log carries beside its payload, and the message a stage sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from schemas.values import Micros

NOT_SEQUENCED = -1
"""``seq``, ``step`` of a record that no trader wrote: inputs are ordered by their offset."""


class Envelope(NamedTuple):
    """Identity, cause, place and time of one event. The field order is the wire order.

    ``ts_ingest`` is when the event reached us; an output carries the one of the input that caused its step, so that
    publishing it again after a crash writes the same bytes.
    """

    event_id: str
    correlation_id: str
    causation_id: str
    stage: str
    step: int
    ordinal: int
    seq: int
    ts_event: Micros
    ts_ingest: Micros
    producer: str
    settings_digest: str


class Event:
    """Base of every event. ``stops_cause``: emitting it keeps the causing message from later stages."""

    __slots__ = ()
    stops_cause: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way through a step. ``now``: the largest ``ts_event`` the shard has seen, this one included."""

    envelope: Envelope
    event: Event
    now: Micros
