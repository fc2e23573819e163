"""Records that are not ours: set aside where the topic may skip them, and only so many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import Connection, sql

from projections.columns import Unprojectable, without_nul
from projections.connect import ProjectionError
from projections.projectors import project_all
from projections.source import Record
from schemas.codec import CodecError, decode
from schemas.envelope import Envelope, Event

RUN_MAX = 100
"""Unreadable records in a row after which the projector stops: that is no bad line, that is another format."""
RATIO_MAX = 0.01
"""Share of a batch that may be unreadable, once it is more than ``FREE``."""
FREE = 10
HEAD_BYTES = 256


class TooManyUnreadable(ProjectionError):
    """So much of a topic cannot be read that skipping it would hide a fault."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A readable record."""

    record: Record
    envelope: Envelope
    event: Event


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record no event could be made of, and why."""

    record: Record
    reason: str


def sift(records: Sequence[Record]) -> tuple[list[Decoded], list[Unreadable]]:
    """Sort out what can be decoded and projected, in order. Raises TooManyUnreadable past the run or ratio allowed."""
    good: list[Decoded] = []
    bad: list[Unreadable] = []
    run = 0
    for record in records:
        try:
            decoded = Decoded(record, *decode(record.value))
            project_all((decoded,))
            good.append(decoded)
            run = 0
        except (CodecError, Unprojectable) as error:
            bad.append(Unreadable(record, str(error)))
            run += 1
        if run > RUN_MAX or len(bad) > max(FREE, RATIO_MAX * len(records)):
            raise TooManyUnreadable(
                f"{record.topic}/{record.partition}: {len(bad)} unreadable of the {len(good) + len(bad)} records up to "
                f"offset {record.offset}, the last because: {bad[-1].reason}"
            )
    return good, bad


def set_aside(connection: Connection, schema: str, bad: Sequence[Unreadable]) -> None:
    """Write unreadable records to their table inside the caller's transaction."""
    if not bad:
        return
    statement = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s)").format(
        sql.Identifier(schema, "quarantined_records")
    )
    rows = [
        (
            entry.record.topic,
            entry.record.partition,
            entry.record.offset,
            without_nul(entry.reason),
            len(entry.record.value),
            entry.record.value[:HEAD_BYTES],
        )
        for entry in bad
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
