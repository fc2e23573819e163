"""The journal of a shard: which commits count, how they are chained, and the errors that stop a writer.

``Claimed`` takes the shard; its own offset is the epoch. A ``Committed`` counts iff its epoch is that of the latest
claim before it and its first step follows the last counted one; anything else is void, for ever (kernel, section 1).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.journal import Claimed, Committed, OutputRange, Run
from schemas.ids import derive_id
from schemas.topics import JOURNAL
from schemas.values import Micros
from streams.core.kernel import Output
from streams.log.base import EventLog, NewRecord

READ_LIMIT = 5_000
"""Records fetched at once while reading a topic through."""
STAGE = "journal"
GENESIS = ""
"""Chain before the first commit."""


class TraderStopped(Exception):
    """The trader of a shard may not go on in this process; recovery in a new one decides what is true."""


class Fenced(TraderStopped):
    """Another worker has claimed the shard."""


class Unsure(TraderStopped):
    """Nobody can tell whether the last write landed; only reading the journal again can."""


class FailStop(TraderStopped):
    """The log contradicts itself, or an input is missing: a person has to look. Names topic, offset and step."""


class Incurable(FailStop):
    """A fail-stop a restart only repeats: an input that may not be skipped cannot be taken, or an output not stored."""


@dataclass(frozen=True, slots=True)
class CountedCommit:
    """A commit that counts, the claim it was made under, and where it stands."""

    offset: int
    claim: Claimed
    commit: Committed


@dataclass(slots=True)
class JournalState:
    """What a pass over the journal has found so far. Feed it records in offset order; every verdict is final."""

    epoch: int = -1
    claim: Claimed | None = None
    next_step: int = 0
    chain: str = GENESIS
    next_offset: int = 0

    def take(self, offset: int, event: Event) -> CountedCommit | None:
        """Take one record; return it if it is a commit that counts."""
        self.next_offset = offset + 1
        if isinstance(event, Claimed):
            self.epoch, self.claim = offset, event
            return None
        if not isinstance(event, Committed):
            raise FailStop(
                f"journal offset {offset}: holds a {type(event).__name__}; nobody but the trader writes here"
            )
        if self.claim is None or event.epoch != self.epoch or event.first_step != self.next_step:
            return None
        if event.chain != chain_of(self.chain, event):
            if event.last_step < event.first_step:
                return None  # a commit of no steps moves the chain only: written twice, it is void the second time
            raise FailStop(
                f"journal offset {offset}: chain {event.chain} does not follow {self.chain or 'the beginning'}"
            )
        self.next_step = event.last_step + 1
        self.chain = event.chain
        return CountedCommit(offset, self.claim, event)


def read_journal(log: EventLog, shard: int, state: JournalState, end: int) -> Iterator[CountedCommit]:
    """Yield the commits that count from ``state.next_offset`` to ``end`` (exclusive); ``state`` moves along."""
    while state.next_offset < end:
        records = log.read(JOURNAL, shard, state.next_offset, limit=min(READ_LIMIT, end - state.next_offset))
        if not records:
            raise FailStop(
                f"journal of shard {shard}: ends at {state.next_offset}, but {end} records were acknowledged"
            )
        for record in records:
            if record.offset != state.next_offset:
                raise FailStop(f"journal of shard {shard}: offset {state.next_offset} is missing")
            counted = state.take(record.offset, decode(record.value)[1])
            if counted is not None:
                yield counted


def chain_of(previous: str, commit: Committed) -> str:
    """Return the chain value of a commit: a hash of the one before and of everything the commit says."""
    blank = replace(commit, chain="")
    envelope = Envelope("", "", "", STAGE, 0, 0, 0, Micros(0), Micros(0), "", "")
    return sha256(previous.encode() + encode(envelope, blank)).hexdigest()[:32]


def commit_of(
    *,
    epoch: int,
    first_step: int,
    last_step: int,
    runs: Sequence[Run],
    inputs_digest: str,
    outputs: Sequence[Output],
    outputs_digest: str,
    previous_chain: str,
    state_digest: str | None,
) -> Committed:
    """Build the commit record of a batch of steps."""
    first: dict[str, int] = {}
    for output in outputs:
        first.setdefault(output.topic, output.seq)
    counts = Counter([output.topic for output in outputs])
    blank = Committed(
        epoch=epoch,
        first_step=first_step,
        last_step=last_step,
        runs=tuple(runs),
        inputs_digest=inputs_digest,
        outputs=tuple(OutputRange(topic, first[topic], counts[topic]) for topic in sorted(first)),
        outputs_digest=outputs_digest,
        chain="",
        state_digest=state_digest,
    )
    return replace(blank, chain=chain_of(previous_chain, blank))


def trader_record(topic: str, shard: int, event: Event, *, step: int, ts_event: int, code_version: str) -> NewRecord:
    """Wrap a journal or checkpoint event as a record; its ``ts_ingest`` is the wall clock, for people only."""
    wall = Micros(time.time_ns() // 1000)
    identity = derive_id(topic, shard, step, wall)
    envelope = Envelope(identity, identity, "", STAGE, step, 0, NOT_SEQUENCED, Micros(ts_event), wall, code_version, "")
    return NewRecord(topic, shard, b"", encode(envelope, event), ts_event)


def output_records(outputs: Sequence[Output], shard: int) -> list[NewRecord]:
    """Wrap outputs for publication, in step order."""
    return [NewRecord(output.topic, shard, output.key, output.value, output.ts_event) for output in outputs]
