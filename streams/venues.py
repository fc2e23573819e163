"""Where a shard's orders go, read from its log: the first settings say it, and it holds for the shard's life.

On a paper shard the trader writes ``reports``; on any other a gateway does, the trader takes them as input, and every
reader orders them by offset. Whoever reads a log asks here and does not guess.
"""

from __future__ import annotations

from schemas.codec import decode
from schemas.events.control import SettingsChanged
from schemas.settings import Venue, venue_in
from schemas.topics import BY_NAME, REPORTS
from streams.log.base import EventLog, LogError, end_of

SETTINGS = "settings"


def venue_of(log: EventLog, shard: int) -> Venue | None:
    """Return the venue of a shard; None: its first settings are not written yet. Raises LogError."""
    if end_of(log, SETTINGS, shard) == 0:
        return None
    records = log.read(SETTINGS, shard, 0, limit=1)
    event = decode(records[0].value)[1] if records and records[0].offset == 0 else None
    if not isinstance(event, SettingsChanged):
        raise LogError(f"settings of shard {shard}: offset 0 does not hold the first settings; restore the topic")
    return venue_in(event.values)


def is_sequenced(log: EventLog, topic: str, shard: int) -> bool:
    """Tell whether readers of a topic go by ``seq``: the trader wrote it. Before the first settings there is nothing
    a gateway could have written. Raises LogError.
    """
    if topic != REPORTS:
        return BY_NAME[topic].sequenced
    return venue_of(log, shard) in (None, Venue.PAPER)
