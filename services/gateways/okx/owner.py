"""The gateway's hold on ``reports``: it claims the topic, and every later record must land at the very next offset.

Another offset means that somebody else wrote: the hold is gone, and with it the right to send anything. Nothing is
retried in place; a new process claims, reads, and asks the venue (kernel, sections 3 and 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.codec import CodecError, decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import AccountSnapshot
from schemas.ids import derive_id
from schemas.topics import REPORTS
from schemas.values import Micros
from services.gateways.okx.tracked import Orders
from streams.log.base import Append, EventLog, LogError, NewRecord, StoredRecord
from streams.reader import SeqReader

ORDERS = "orders"
READ_LIMIT = 5_000
STAGE = "gateway"


class GatewayStopped(Exception):
    """This gateway may not go on: its hold on the reports is gone or in doubt. A new one finds out what is true."""


class OtherAccount(Exception):
    """The log belongs to another account at the venue, or to the other of demo and live: nothing may be mixed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims. ``venue_account``: the account at the venue and whether it is demo or live."""

    account_id: str
    gateway: str
    code_version: str
    venue_account: str


class ReportsTopic:
    """``reports`` of one shard in the hand of one gateway. clock: microseconds, as near to the venue's as we can.

    ``taken`` is called with every record, in order, ours included, as soon as it is known to be there.
    """

    def __init__(
        self,
        log: EventLog,
        shard: int,
        owner: Owner,
        clock: Callable[[], int],
        taken: Callable[[Envelope, Event], None],
    ) -> None:
        self.log = log
        self.shard = shard
        self.owner = owner
        self.claim_id = ""
        self.ts_begun = 0
        """When the first gateway claimed: what happened at the venue before is not this log's."""
        self.snapshots = (0, 0)
        """When the last but one and the last snapshot were told, by whomever; 0: none yet."""
        self.told: Callable[[Envelope, Event], None] = lambda envelope, event: None
        """Called with every report of ours that is on the log."""
        self._clock = clock
        self._taken = taken
        self._next = 0
        self._stopped = ""
        self.claimed = False
        self.written: dict[str, int] = {}
        """Reports of ours that are on the log by event type, the claim apart."""

    @property
    def next_offset(self) -> int:
        """The offset the next report must land at."""
        return self._next

    @property
    def ts_compared(self) -> int:
        """A moment before the last reconciliation that was told began to read the venue; 0: there was none.

        One begins after the one before it was told, so that is when the last but one was told: a claim, or any other
        report, says nothing of what happened at the venue meanwhile.
        """
        return self.snapshots[0]

    def resume(self, offset: int, *, ts_begun: int, snapshots: tuple[int, int]) -> None:
        """Go on where the records before ``offset`` have been taken; before the claim."""
        self._next, self.ts_begun, self.snapshots = offset, ts_begun, snapshots

    def end(self) -> int:
        """Return the offset after the last report there is."""
        return self.log.end_offset(REPORTS, self.shard)

    def claim(self) -> int:
        """Claim the topic and return the offset of the claim; ``take_up_to`` it comes next.

        Raises GatewayStopped.
        """
        claim_id = derive_id("claim", self.shard, self.owner.gateway, self._clock())
        event = GatewayClaimed(
            self.owner.account_id, claim_id, self.owner.gateway, self.owner.code_version, self.owner.venue_account
        )
        try:
            (offset,) = self.log.append([self._record(self._envelope(event, self._clock(), "", ""), event)])
        except LogError as error:
            raise GatewayStopped(f"the claim on the reports was not acknowledged: {error}") from error
        self.claim_id = claim_id
        return offset

    def take_up_to(self, end: int) -> None:
        """Take every record up to ``end``, inclusive. Raises OtherAccount; LogError at a hole or an unreadable one."""
        for record in self._stored(end + 1):
            envelope, event = self._decoded(record)
            self._refuse_others(event)
            self._take(envelope, event)

    def _refuse_others(self, event: Event) -> None:
        ours = self.owner.venue_account
        if isinstance(event, GatewayClaimed) and event.venue_account != ours:
            raise OtherAccount(
                f"this log trades {event.venue_account}, the keys are for {ours}: use the keys it was begun with, "
                "or begin a new log"
            )

    def _stored(self, end: int) -> Iterator[StoredRecord]:
        """Yield the records from the next one to ``end``, exclusive."""
        offset = self._next
        while offset < end:
            records = self.log.read(REPORTS, self.shard, offset, limit=min(READ_LIMIT, end - offset))
            if not records or records[0].offset != offset:
                raise LogError(f"reports of shard {self.shard}: offset {offset} is missing")
            yield from records
            offset += len(records)

    def _decoded(self, record: StoredRecord) -> tuple[Envelope, Event]:
        try:
            return decode(record.value)
        except CodecError as error:
            place = f"reports of shard {self.shard}, offset {record.offset}"
            raise LogError(
                f"{place}: {error}; nothing was sent: run the version that wrote it, or restore the topic from a backup"
            ) from error

    def report(self, event: Event, *, ts_event: int, causation_id: str = "", plan_id: str = "") -> None:
        """Append one record at the next offset and take it. Raises GatewayStopped if it did not land there."""
        if self._stopped:
            raise GatewayStopped(self._stopped)
        envelope = self._envelope(event, ts_event, causation_id, plan_id)
        result = self.log.append_at(self._record(envelope, event), self._next)
        if result is not Append.ACCEPTED:
            why = "taken: another gateway owns them" if result is Append.FENCED else "in doubt: the log gave no word"
            self._stopped = f"reports of shard {self.shard}: offset {self._next} is {why}"
            raise GatewayStopped(self._stopped)
        kind = type(event).__name__
        self.written[kind] = self.written.get(kind, 0) + 1
        self._take(envelope, event)
        self.told(envelope, event)

    def _take(self, envelope: Envelope, event: Event) -> None:
        self._next += 1
        self.ts_begun = self.ts_begun or envelope.ts_ingest
        if isinstance(event, AccountSnapshot):
            self.snapshots = (self.snapshots[1], envelope.ts_ingest)
        self.claimed = self.claimed or (isinstance(event, GatewayClaimed) and event.claim_id == self.claim_id)
        self._taken(envelope, event)

    def _envelope(self, event: Event, ts_event: int, causation_id: str, plan_id: str) -> Envelope:
        identity = derive_id("report", self.shard, self._next, type(event).__name__, self.claim_id, self._clock())
        now, when = Micros(self._clock()), Micros(ts_event)
        correlation = plan_id or identity
        return Envelope(
            identity,
            correlation,
            causation_id,
            STAGE,
            NOT_SEQUENCED,
            0,
            NOT_SEQUENCED,
            when,
            now,
            self.owner.code_version,
            "",
        )

    def _record(self, envelope: Envelope, event: Event) -> NewRecord:
        value = encode(envelope, event)
        return NewRecord(REPORTS, self.shard, self.owner.account_id.encode(), value, envelope.ts_event)


def read_intents(reader: SeqReader, orders: Orders) -> int:
    """Take every intent there is by the reader rule, so only what the trader committed; return how many records."""
    counted = 0
    while reader.lag() > 0:
        for accepted in reader.poll(READ_LIMIT):
            orders.intended(accepted.envelope, accepted.event)
            counted += 1
    return counted
