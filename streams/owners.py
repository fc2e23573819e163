"""Who took a shard from whom, in words for people: two workers of one name take it from each other without end.

Nothing is decided here: a claim counts whatever is found. A log that does not answer leaves it unsaid.
"""

from __future__ import annotations

import time

from schemas.codec import decode
from schemas.envelope import Envelope, Event
from schemas.events.journal import Claimed, Committed
from schemas.topics import JOURNAL
from streams.log.base import EventLog, LogError

RECENT_S = 15.0
"""Silence after which an owner is taken for gone: the broker takes its shards from it after ten seconds."""
ADVICE = "two workers of one name take the shard from each other: give each a --worker-id of its own"


def taken_by(log: EventLog, shard: int, offset: int, worker: str) -> str:
    """Say whose record stands at the journal offset that ``worker`` meant for its own."""
    try:
        event = _read(log, shard, offset)[1]
        if isinstance(event, Claimed):
            return f"{_named(event.worker)} claimed the shard{_twin(event.worker, worker)}"
        if isinstance(event, Committed) and isinstance(claim := _read(log, shard, event.epoch)[1], Claimed):
            late = f"{_named(claim.worker)}, which had the shard before, still ran and wrote there"
            return f"{late}{_twin(claim.worker, worker)}"
    except LogError:
        pass  # the one thing known is that it is not ours
    return "another worker owns it"


def twin_before(log: EventLog, shard: int, epoch: int, worker: str, *, known: int | None) -> str | None:
    """Say that the owner before the claim at ``epoch`` has our name and wrote a moment ago, without a clean stop.

    known: the epoch of this process's own claim before, which is no twin. None: nothing to say.
    """
    try:
        if epoch == 0:
            return None
        envelope, event = _read(log, shard, epoch - 1)
        claimed_at = event.epoch if isinstance(event, Committed) else epoch - 1
        claim = event if isinstance(event, Claimed) else _read(log, shard, claimed_at)[1]
    except LogError:
        return None
    silent_s = time.time() - envelope.ts_ingest / 1e6
    stopped = isinstance(event, Committed) and event.state_digest is not None
    if not isinstance(claim, Claimed) or claim.worker != worker or claimed_at == known or stopped:
        return None
    if silent_s > RECENT_S:
        return None
    last = f"{_named(worker)} wrote to the journal {silent_s:.1f} s ago and did not stop cleanly"
    return f"{last}: it was killed, or another of this name still runs; {ADVICE}"


def _twin(name: str, worker: str) -> str:
    return f", under our own name; {ADVICE}" if name == worker else ""


def _named(worker: str) -> str:
    return f"worker {worker!r}"


def _read(log: EventLog, shard: int, offset: int) -> tuple[Envelope, Event]:
    records = log.read(JOURNAL, shard, offset, limit=1)
    if not records or records[0].offset != offset:
        raise LogError(f"journal of shard {shard}: offset {offset} cannot be read")
    return decode(records[0].value)
