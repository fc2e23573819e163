"""The outputs a run left on the log beside those of its re-run: how the first of them differs. Decides nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.codec import CodecError, decode
from schemas.envelope import Envelope, Event
from streams.core.kernel import Output
from streams.log.base import EventLog
from streams.reader import Accepted, SeqReader
from streams.recovery import Place

READ_AHEAD = 500
"""Stored outputs fetched at once per topic."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the log and the re-run disagree. ``step``: orders differences of parallel segments."""

    step: int
    what: str
    detail: str


class Stored:
    """The outputs on the log, as a reader accepts them, topic by topic."""

    def __init__(self, log: EventLog, shard: int, place: Place) -> None:
        self._readers = {
            topic: SeqReader(log, topic, shard, offset=offset, seq=seq)
            for topic, (offset, seq) in place.outputs.items()
        }
        self._ready: dict[str, list[Accepted]] = {topic: [] for topic in place.outputs}
        self._torn: set[str] = set()  # topics with a record ahead that cannot be read

    def compare(self, output: Output) -> Difference | None:
        """Return how a re-run output differs from the stored one with its number; None: not at all."""
        envelope, event = decode(output.value)
        place = f"{output.topic} seq {output.seq}"
        try:
            accepted = self._next(output.topic)
        except CodecError as error:
            return Difference(envelope.step, output.topic, f"{place}: the stored record cannot be read: {error}")
        if accepted is None:
            detail = f"{place}: {describe(envelope, event)} is missing from the log"
            return Difference(envelope.step, output.topic, detail)
        if accepted.record.value == output.value and accepted.record.key == output.key:
            return None
        field_name, was, now = first_difference(accepted, envelope, event)
        detail = (
            f"{place} (offset {accepted.record.offset}), field {field_name}:\n"
            f"  on the log: {was}\n  re-run:     {now}\n  in {describe(envelope, event)}"
        )
        return Difference(envelope.step, output.topic, detail)

    def _next(self, topic: str) -> Accepted | None:
        ready, reader = self._ready[topic], self._readers[topic]
        while not ready and reader.lag() > 0:
            ready.extend(reversed(self._ahead(reader)))
        return ready.pop() if ready else None

    def _ahead(self, reader: SeqReader) -> list[Accepted]:
        """Read ahead, but not past what cannot be read: what stands before it is compared first, so that the difference
        carries the number and step of the record itself."""
        place = reader.offset, reader.seq
        if reader.topic not in self._torn:
            try:
                return reader.poll(READ_AHEAD)
            except CodecError:
                self._torn.add(reader.topic)
                reader.offset, reader.seq = place
        return reader.poll(1)


def describe(envelope: Envelope, event: Event) -> str:
    """Name an event for a person: type, id, step, stage."""
    return f"{type(event).__name__} {envelope.event_id} (step {envelope.step}, stage {envelope.stage})"


def first_difference(stored: Accepted, envelope: Envelope, event: Event) -> tuple[str, Any, Any]:
    """Return the first field in which a stored record and its re-run differ, with both values."""
    if type(stored.event) is not type(event):
        return "event type", type(stored.event).__name__, type(event).__name__
    for name in Envelope._fields:
        was, now = getattr(stored.envelope, name), getattr(envelope, name)
        if was != now:
            return f"envelope.{name}", was, now
    for name in event.__dataclass_fields__:  # type: ignore[attr-defined]
        was, now = getattr(stored.event, name), getattr(event, name)
        if was != now:
            return name, was, now
    return "bytes", stored.record.value.hex(), "equal fields, other bytes"
