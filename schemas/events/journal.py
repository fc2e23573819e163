"""The trader's own books: who owns a shard, which inputs were taken in which order, and cached state."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.envelope import Event


@dataclass(frozen=True, slots=True)
class Claimed(Event):
    """A worker took the shard; the offset of this record is its epoch."""

    worker: str
    code_version: str
    input_topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """``count`` consecutive inputs taken from ``topic``."""

    topic: str
    count: int


@dataclass(frozen=True, slots=True)
class OutputRange:
    """``count`` outputs to ``topic``, numbered from ``first_seq``."""

    topic: str
    first_seq: int
    count: int


@dataclass(frozen=True, slots=True)
class Committed(Event):
    """The commit point of steps ``first_step``..``last_step``. Counts only under the latest claim and in dense order.

    ``chain``: hash of the previous chain and everything above. ``state_digest``: set where a checkpoint follows.
    """

    epoch: int
    first_step: int
    last_step: int
    runs: tuple[Run, ...]
    inputs_digest: str
    outputs: tuple[OutputRange, ...]
    outputs_digest: str
    chain: str
    state_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Next offset (inputs), or offset and seq after the last output, of one topic."""

    topic: str
    offset: int
    seq: int


@dataclass(frozen=True, slots=True)
class CheckpointTaken(Event):
    """A cache of the state at a commit; losing it costs time only. ``state``: zlib-compressed JSON.

    ``journal_offset``: of that commit, so that a recovery need not read the journal from its beginning.
    """

    step: int
    chain: str
    journal_offset: int
    inputs: tuple[Position, ...]
    outputs: tuple[Position, ...]
    state: bytes
    state_digest: str
