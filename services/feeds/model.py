"""The parts every importer shares: errors, the tick, what a run needs to know, and how a parsed line becomes a tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.market import Channel, FeedOrigin, InstrumentDefined
from schemas.ids import derive_id
from schemas.values import Micros

STAGE = "import"
"""The stage named in the envelope of every imported tick."""

TRADES_CADENCE: int | None = None
"""Cadence declared for trades: none, they come when something happens; the quality stage calls 5 s of silence stale."""

Tick = tuple[Envelope, Event]
"""One input of the trader: its envelope and the event."""

Item = tuple[int, int, str, int, int, Envelope, Event]
"""A tick with its place in the feed: (ts_event, rank, instrument id, source number, position in the source) first."""

RANK_DEFINED = 0
RANK_TICK = 1
RANK_BAR = 1_000
RANK_MARK = 10_000_000_000
RANK_INDEX = RANK_MARK + 1
RANK_SETTLED = RANK_MARK + 2
RANK_CONTEXT = RANK_MARK + 3
"""Order at equal ``ts_event``; a bar's rank is RANK_BAR plus its seconds. Source: domain definitions, section 1."""


class FeedError(Exception):
    """A feed that cannot be imported, or not any further; the message names the file and what to do."""


class UnknownFormat(FeedError):
    """A file that is none of the known formats. ``table``: those formats, a line each."""

    def __init__(self, message: str, *, table: str = "") -> None:
        super().__init__(message)
        self.table = table


class BadLine(ValueError):
    """A line that does not say what its format promises; the message is the reason kept with the quarantined line."""


class Parsed(NamedTuple):
    """What one line said. ``identity`` tells ticks of one type and instrument apart, whatever file they came from."""

    ts_event: int
    ts_ingest: int
    rank: int
    instrument_id: str
    identity: str
    event: Event


@dataclass(frozen=True, slots=True)
class Declared:
    """A channel a source is known to carry before its first line is read."""

    instrument_id: str
    channel: Channel
    cadence_us: int | None


@dataclass(slots=True)
class FileCount:
    """What became of the lines of one file. ``unused``: lines read and understood that yield no tick, by reason."""

    name: str
    format: str
    venue: str
    lines: int = 0
    ticks: int = 0
    quarantined: int = 0
    unused: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        """Count a line that yields no tick."""
        self.unused[reason] = self.unused.get(reason, 0) + 1


@dataclass(slots=True)
class Run:
    """What a reader needs besides its lines. ``backfill_until``: bars that close at or before it are history."""

    instruments: dict[str, InstrumentDefined]
    producer: str
    backfill_until: int = 0

    def instrument(self, instrument_id: str, where: str) -> InstrumentDefined:
        """Return the metadata of an instrument. Raises FeedError naming it, the file and what to do."""
        found = self.instruments.get(instrument_id)
        if found is None:
            raise FeedError(
                f"{where}: instrument {instrument_id} is not in the instrument table shipped with Tapeline; "
                "pass --instruments FILE with the venue's own reply (GET /api/v5/public/instruments)"
            )
        return found


class Source(Protocol):
    """One file, or one chain of files, of market data.

    ``primary``: bars, trades, quotes or books; marks and funding only accompany them and are clipped to their period.
    """

    venue: str
    origin: FeedOrigin
    primary: bool
    declared: Sequence[Declared]
    counts: list[FileCount]

    @property
    def name(self) -> str:
        """The name of the file, or of the files."""
        ...

    def first_open(self) -> int | None:
        """Return the open time of the first bar; None where the source holds no bars."""
        ...

    def items(self, run: Run, number: int) -> Iterator[Item]:
        """Yield the ticks in the order of the file; ``number`` is the source's place in the feed."""
        ...


def tick_id(venue: str, parsed: Parsed) -> str:
    """Return the event id of a tick: the same for the same record, whichever file it is read from."""
    return derive_id("tick", venue, parsed.instrument_id, type(parsed.event).__name__, parsed.identity)


def make_envelope(event_id: str, ts_event: int, ts_ingest: int, producer: str) -> Envelope:
    """Return the envelope of an imported tick: its own correlation, no cause, not sequenced."""
    return Envelope(
        event_id,
        event_id,
        "",
        STAGE,
        NOT_SEQUENCED,
        0,
        NOT_SEQUENCED,
        Micros(ts_event),
        Micros(ts_ingest),
        producer,
        "",
    )
