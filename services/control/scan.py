"""Look through a topic without decoding all of it: newest first, by schema id or by an identifier in the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack

from schemas.codec import HEADER_BYTES, CodecError, decode, schema_ids
from schemas.envelope import Envelope, Event
from streams.log.base import EventLog, StoredRecord

BLOCK = 2_000


def headers_of(*kinds: type[Event]) -> frozenset[bytes]:
    """Return the first bytes of every record of these event types, of any version."""
    numbers = [number for kind in kinds for number in schema_ids()[kind.__name__].values()]
    return frozenset(pack(">bI", 0, number) for number in numbers)


def is_one_of(record: StoredRecord, headers: frozenset[bytes]) -> bool:
    """Tell by its header whether a record is of the types ``headers_of`` was asked for."""
    return record.value[:HEADER_BYTES] in headers


def backwards(log: EventLog, topic: str, partition: int) -> Iterator[StoredRecord]:
    """Yield the records of a partition, newest first."""
    end = log.end_offset(topic, partition)
    while end > 0:
        start = max(0, end - BLOCK)
        yield from reversed(log.read(topic, partition, start, limit=end - start))
        end = start


def newest(log: EventLog, topic: str, partition: int, kind: type[Event]) -> tuple[Envelope, Event] | None:
    """Return the newest event of a type. A repeat at the end of a topic is the same event again."""
    headers = headers_of(kind)
    found = next((record for record in backwards(log, topic, partition) if is_one_of(record, headers)), None)
    return None if found is None else decode(found.value)


def newest_time(log: EventLog, topic: str, partition: int) -> int | None:
    """Return ``ts_event`` of the newest record that can be read; None: there is none."""
    for record in backwards(log, topic, partition):
        try:
            return decode(record.value)[0].ts_event
        except CodecError:
            continue  # the trader quarantines what it cannot read; the one before tells the time as well
    return None


def naming(
    log: EventLog, topic: str, partition: int, identifier: str, *, not_before: int | None = None
) -> Iterator[tuple[Envelope, Event]]:
    """Yield the events whose bytes hold an identifier, newest first.

    ``not_before``: stop at outputs of a step before this moment; a trader's ``ts_event`` never goes back.
    """
    needle = identifier.encode()
    for number, record in enumerate(backwards(log, topic, partition)):
        if needle in record.value:
            yield decode(record.value)
        elif not_before is not None and number % BLOCK == BLOCK - 1 and decode(record.value)[0].ts_event < not_before:
            return
