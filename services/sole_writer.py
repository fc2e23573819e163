"""Append to a partition as its only writer, and notice when somebody else writes there too.

One writer a partition, and the one that started last is it. Each writes its session (when it started) into the envelope
of its records. An append tells the offsets it got; if they are not the ones right after our own last, somebody else has
written in between, and what they wrote says who: a later session, or anything that is no such writer: we stop. An
earlier session: it has not noticed yet, will at its own next append, and we go on. So two never write on for long, and
the log says whose each record is. An append in doubt ends the process: the next start reads the log's end and knows.
Source: ADR 23.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.codec import CodecError, decode
from streams.log.base import EventLog, LogError, NewRecord

LOOK_MAX = 10_000
"""Foreign records looked at to learn who writes."""


class WriterStopped(Exception):
    """A writer must stop; the message says why and what to do."""

    exit_code = 75


class Displaced(WriterStopped):
    """Somebody else writes this partition: the one that came last goes on, this process stops."""

    exit_code = 1


class AppendInDoubt(WriterStopped):
    """Nobody can tell whether records reached the log: start again, its end decides."""


class SoleWriter:
    """The end of one partition. ``mark``: what such writers are called in ``producer``; ``session``: the later wins."""

    def __init__(
        self, log: EventLog, topic: str, partition: int, *, mark: str, who: str, producer: str, session: int
    ) -> None:
        self._log = log
        self._topic = topic
        self._partition = partition
        self._mark = mark
        self._who = who
        self._session = session
        self.producer = f"{producer} {mark}/{session}"
        self._next = log.end_offset(topic, partition)

    def append(self, records: Sequence[NewRecord]) -> None:
        """Append records in order, durably. Raises AppendInDoubt, or Displaced when another one has taken over."""
        if not records:
            return
        try:
            offsets = self._log.append(records)
        except LogError as error:
            raise AppendInDoubt(f"{len(records)} {self._topic} are in doubt, start again: {error}") from error
        if offsets != list(range(self._next, self._next + len(offsets))):
            self._look_at_others(offsets)
        self._next = offsets[-1] + 1

    def _look_at_others(self, own: Iterable[int]) -> None:
        mine = set(own)
        for record in self._log.read(self._topic, self._partition, self._next, limit=LOOK_MAX):
            if record.offset in mine:
                continue
            producer = _producer_of(record.value)
            session = session_of(producer, self._mark)
            if session is None or session > self._session:
                who = f"no {self._who}" if session is None else f"a {self._who} that started later"
                raise Displaced(
                    f"{self._topic} of shard {self._partition}: offset {record.offset} was written by {producer!r}, "
                    f"{who}: this one stops; only one may write there"
                )


def _producer_of(value: bytes) -> str:
    try:
        return decode(value)[0].producer
    except CodecError:
        return "somebody unreadable"


def session_of(producer: str, mark: str) -> int | None:
    """Return the session of a writer from what it wrote as its producer; None: it is no such writer's."""
    _, found, session = producer.rpartition(f" {mark}/")
    return int(session) if found and session.isdigit() else None
