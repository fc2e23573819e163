"""What a run left in its journal, with the wall clock of every record: how fast the worker was, measured by itself."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.codec import decode
from schemas.events.journal import Claimed, Committed
from schemas.topics import JOURNAL
from streams.log.base import EventLog

MICROS = 1e6


@dataclass(frozen=True, slots=True)
class Moment:
    """One journal record: when it was made (epoch seconds), the ticks taken up to and with it, and what it is."""

    at: float
    ticks: int
    claim: bool
    outputs: bool


def moments(log: EventLog, first_offset: int = 0) -> list[Moment]:
    """Return the journal's records of shard 0 from an offset on; ticks are counted from there."""
    found, ticks, offset = list[Moment](), 0, first_offset
    while records := log.read(JOURNAL, 0, offset, limit=5_000):
        for record in records:
            envelope, event = decode(record.value)
            if isinstance(event, Committed):
                ticks += sum(run.count for run in event.runs if run.topic == "ticks")
            outputs = isinstance(event, Committed) and bool(event.outputs)
            found.append(Moment(envelope.ts_ingest / MICROS, ticks, isinstance(event, Claimed), outputs))
        offset = records[-1].offset + 1
    return found


def ticks_per_second(log: EventLog, first_offset: int = 0) -> float:
    """Return the ticks after the last claim over the time from that claim to the last commit with outputs.

    Fetching, stepping, committing and publishing are in it; the process start before the claim is not, nor are the
    ticks after that commit: an idle worker waits a second before it commits inputs that caused nothing.
    """
    found = moments(log, first_offset)
    claim = max(index for index, moment in enumerate(found) if moment.claim)
    done = max((moment for moment in found[claim:] if moment.outputs), key=lambda moment: moment.at)
    return (done.ticks - found[claim].ticks) / (done.at - found[claim].at)
