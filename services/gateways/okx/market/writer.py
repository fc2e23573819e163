"""Write ticks to the log as the only writer of their partition; trades and bars an earlier writer has written as well
are set aside by the trader's quality stage."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.codec import encode
from schemas.envelope import Envelope
from schemas.topics import BY_NAME
from services.feeds.model import Parsed, make_envelope, tick_id
from services.gateways.okx.market.tail import TICKS
from services.sole_writer import SoleWriter
from streams.log.base import EventLog, NewRecord

VENUE = "OKX"
STAGE = "okx-market"
"""The stage named in the envelope of every live tick, and the mark of its writer."""
CHUNK = 5_000
"""Ticks appended at once."""


class TickWriter:
    """The end of one partition of ``ticks``, as its only writer. ``session``: when it started; the later one wins."""

    def __init__(self, log: EventLog, shard: int, producer: str, *, session: int) -> None:
        self._shard = shard
        self._writer = SoleWriter(
            log, TICKS, shard, mark=STAGE, who="market gateway", producer=producer, session=session
        )  # fmt: skip

    def write(self, ticks: Sequence[Parsed]) -> None:
        """Append ticks in order, durably. Raises AppendInDoubt, or Displaced when another one has taken over."""
        for start in range(0, len(ticks), CHUNK):
            self._writer.append([self._record(parsed) for parsed in ticks[start : start + CHUNK]])

    def _record(self, parsed: Parsed) -> NewRecord:
        envelope = self._envelope(parsed)
        key = str(getattr(parsed.event, BY_NAME[TICKS].key)).encode()
        return NewRecord(TICKS, self._shard, key, encode(envelope, parsed.event), parsed.ts_event)

    def _envelope(self, parsed: Parsed) -> Envelope:
        made = make_envelope(tick_id(VENUE, parsed), parsed.ts_event, parsed.ts_ingest, self._writer.producer)
        return made._replace(stage=STAGE)
