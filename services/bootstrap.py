"""Build the objects a service needs from settings: the only place, beside ``streams.app``, that does."""

from __future__ import annotations

import os
import socket
import time

from schemas.codec import decode, encode
from schemas.envelope import NOT_SEQUENCED, Envelope
from schemas.events.control import SettingsChanged
from schemas.ids import derive_id
from schemas.settings import SettingsError, TradingSettings
from schemas.values import Micros
from streams.log import create_log
from streams.log.base import EventLog, NewRecord
from streams.pipeline import CODE_VERSION, stages
from streams.trader import Trader
from streams.venues import venue_of

SETTINGS = "settings"


def prepare_log(log: EventLog, settings: TradingSettings, *, shards: int = 1, ts_event: int | None = None) -> bool:
    """Create the topics and put the settings in force on the log of every shard; return whether they changed.

    ``ts_event``: market time of the first settings of a recorded run (its ids and bytes follow from it); None: the
    wall clock. Settings equal to the newest ones on the log are not written again. Raises SettingsError for another
    venue than the log's: a shard is on one venue for life.
    """
    create_log(log, shards=shards)
    changed = False
    for shard in range(shards):
        if (venue := venue_of(log, shard)) not in (None, settings.venue):
            raise SettingsError(
                f"venue={settings.venue}: shard {shard} of this log is on {venue} for life; set it back, or begin a "
                "new log"
            )
    for shard in range(shards):
        if _newest_digest(log, shard) != settings.digest():
            log.append([_settings_record(log, settings, shard, ts_event)])
            changed = True
    return changed


def _newest_digest(log: EventLog, shard: int) -> str | None:
    end = log.end_offset(SETTINGS, shard)
    if end == 0:
        return None
    event = decode(log.read(SETTINGS, shard, end - 1, limit=1)[0].value)[1]
    return event.digest if isinstance(event, SettingsChanged) else None


def _settings_record(log: EventLog, settings: TradingSettings, shard: int, ts_event: int | None) -> NewRecord:
    when = Micros(time.time_ns() // 1000 if ts_event is None else ts_event)
    event = SettingsChanged(settings.account_id, settings.to_values(), settings.digest(), "start")
    identity = derive_id(SETTINGS, shard, log.end_offset(SETTINGS, shard), event.digest, when)
    envelope = Envelope(
        identity, identity, "", "bootstrap", NOT_SEQUENCED, 0, NOT_SEQUENCED, when, when, CODE_VERSION, event.digest
    )
    return NewRecord(SETTINGS, shard, settings.account_id.encode(), encode(envelope, event), when)


def build_trader(log: EventLog, shard: int) -> Trader:
    """Return a trader of the shipped stages; call ``start`` on it before anything else."""
    return Trader(log, shard, stages(), worker=f"{socket.gethostname()}-{os.getpid()}", code_version=CODE_VERSION)
