"""Which worker owns which shard of a SQLite log: a small table beside the log, in place of Kafka's consumer group.

A worker shows up every second; one that has not for ``EXPIRES_S`` has lost its shards. Shards go in turn to the workers
present, in the order of their names. A shard is taken only when it is free, so a change of owner is announced first;
should two workers ever believe they own one shard, the journal decides (kernel, section 1).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BEAT_S = 1.0
"""How often a worker shows up."""
EXPIRES_S = 5.0
"""Seconds of silence after which a worker counts as gone."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS member (worker TEXT PRIMARY KEY, seen REAL NOT NULL);
CREATE TABLE IF NOT EXISTS lease (shard INTEGER PRIMARY KEY, worker TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker owns now, and which of it others wait for."""

    shards: frozenset[int]
    to_release: frozenset[int]


class Leases:
    """One worker's view of the table. Times are of the machine's monotonic clock, which all its processes share."""

    def __init__(self, log_path: Path, worker: str, shards: int) -> None:
        self.worker = worker
        self.shards = shards
        path = log_path.with_name(log_path.name + ".workers")
        self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")  # losing it costs one beat
        self._db.executescript(_SCHEMA)

    def beat(self, now: float | None = None) -> Held:
        """Show up, take what is free and ours, and return what we hold."""
        moment = time.monotonic() if now is None else now
        self._db.execute("BEGIN IMMEDIATE")
        try:
            held = self._beat(moment)
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        return held

    def _beat(self, now: float) -> Held:
        db = self._db
        # A time in the future is from before a reboot: that worker is gone, too.
        db.execute("DELETE FROM member WHERE seen < ? OR seen > ?", (now - EXPIRES_S, now + EXPIRES_S))
        db.execute("INSERT OR REPLACE INTO member VALUES (?, ?)", (self.worker, now))
        db.execute("DELETE FROM lease WHERE worker NOT IN (SELECT worker FROM member)")
        present = [name for (name,) in db.execute("SELECT worker FROM member ORDER BY worker")]
        ours = {shard for shard in range(self.shards) if present[shard % len(present)] == self.worker}
        db.executemany("INSERT OR IGNORE INTO lease VALUES (?, ?)", [(shard, self.worker) for shard in ours])
        found = db.execute("SELECT shard FROM lease WHERE worker = ?", (self.worker,))
        shards = frozenset(shard for (shard,) in found)
        return Held(shards, shards - ours)

    def release(self, shards: Iterable[int]) -> None:
        """Give shards up, so that the worker they are meant for can take them."""
        self._db.executemany("DELETE FROM lease WHERE shard = ? AND worker = ?", [(s, self.worker) for s in shards])

    def leave(self) -> None:
        """Give everything up at once: a clean stop."""
        self._db.execute("DELETE FROM lease WHERE worker = ?", (self.worker,))
        self._db.execute("DELETE FROM member WHERE worker = ?", (self.worker,))
        self._db.close()
