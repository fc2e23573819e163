"""Write ticks to the log, and notice when somebody else does.

One writer a partition, and the gateway that started last is the one. Each writes its session (when it started) into the
envelope of its ticks. An append tells the offsets it got; if they are not the ones right after our own last, somebody
else has written in between, and what they wrote says who: a later session, or anything that is no gateway (an import):
we stop. An earlier session: it has not noticed yet, will at its own next append, and we go on. So two never write on
for long, and the log says whose each tick is; bars and trades both have written the trader's quality stage sets aside.
An append in doubt ends the process: the next start reads the log's end and knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.codec import decode, encode
from schemas.envelope import Envelope
from schemas.topics import BY_NAME
from services.feeds.model import Parsed, make_envelope, tick_id
from services.gateways.okx.market.errors import AppendInDoubt, Displaced
from services.gateways.okx.market.tail import TICKS
from streams.log.base import EventLog, LogError, NewRecord

VENUE = "OKX"
STAGE = "okx-market"
"""The stage named in the envelope of every live tick."""
CHUNK = 5_000
"""Ticks appended at once."""
LOOK_MAX = 10_000
"""Foreign ticks looked at to learn who writes."""
_MARK = " okx-market/"


class TickWriter:
    """The end of one partition of ``ticks``, as its only writer. ``session``: when it started; the later one wins."""

    def __init__(self, log: EventLog, shard: int, producer: str, *, session: int) -> None:
        self._log = log
        self._shard = shard
        self._session = session
        self._producer = f"{producer}{_MARK}{session}"
        self._next = log.end_offset(TICKS, shard)

    def write(self, ticks: Sequence[Parsed]) -> None:
        """Append ticks in order, durably. Raises AppendInDoubt, or Displaced when another one has taken over."""
        for start in range(0, len(ticks), CHUNK):
            offsets = self._append([self._record(parsed) for parsed in ticks[start : start + CHUNK]])
            if offsets != list(range(self._next, self._next + len(offsets))):
                self._look_at_others(offsets)
            self._next = offsets[-1] + 1

    def _append(self, records: Sequence[NewRecord]) -> list[int]:
        try:
            return self._log.append(records)
        except LogError as error:
            raise AppendInDoubt(f"{len(records)} ticks are in doubt, start again: {error}") from error

    def _look_at_others(self, own: Iterable[int]) -> None:
        mine = set(own)
        for record in self._log.read(TICKS, self._shard, self._next, limit=LOOK_MAX):
            if record.offset in mine:
                continue
            producer = decode(record.value)[0].producer
            session = session_of(producer)
            if session is None or session > self._session:
                who = "no market gateway" if session is None else "a market gateway that started later"
                raise Displaced(
                    f"ticks of shard {self._shard}: offset {record.offset} was written by {producer!r}, {who}: "
                    "this one stops; only one may write there"
                )

    def _record(self, parsed: Parsed) -> NewRecord:
        envelope = self._envelope(parsed)
        key = str(getattr(parsed.event, BY_NAME[TICKS].key)).encode()
        return NewRecord(TICKS, self._shard, key, encode(envelope, parsed.event), parsed.ts_event)

    def _envelope(self, parsed: Parsed) -> Envelope:
        made = make_envelope(tick_id(VENUE, parsed), parsed.ts_event, parsed.ts_ingest, self._producer)
        return made._replace(stage=STAGE)


def session_of(producer: str) -> int | None:
    """Return the session of a gateway from what it wrote as its producer; None: it is no gateway's."""
    _, found, session = producer.rpartition(_MARK)
    return int(session) if found and session.isdigit() else None
