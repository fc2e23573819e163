"""An event log in one SQLite file: durable, no broker, many readers beside one writer a partition.

The journal row is inserted at its explicit offset inside the transaction that carries the outputs: the primary key is
the fence, and a commit is published or it never happened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from streams.log.base import Append, LogError, NewRecord, NoTopic, StoredRecord

BUSY_TIMEOUT_S = 15
"""How long a writer waits for another process's transaction."""
CACHE_KIB = 8_192
"""Pages a connection keeps in memory. The log is written at its ends and read in order: 64 MiB were no faster."""
CHECKPOINT_PAGES = 4_000
"""Pages of write-ahead log (16 MB) at which a commit moves them into the file itself, and waits twice for the disk."""
CHECKPOINT_TRIES = 3
APPLICATION_ID = 0x7A9E11E
"""Marks the file as a Tapeline log, so that a wrong path is refused rather than written into."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (
  topic INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
  PRIMARY KEY (topic, part, off)) WITHOUT ROWID;
"""


class SqliteLog:
    """The log in ``path``. ``full_sync``: every commit survives power loss (live money), at about 1 ms each.

    One connection, guarded by a lock: an object may be shared between threads, a file between processes.
    Raises LogError when the file is not a Tapeline log or cannot be opened.
    """

    def __init__(self, path: Path, *, full_sync: bool = False, read_only: bool = False) -> None:
        self.path = path
        self._lock = RLock()
        self._topics: dict[str, tuple[int, int]] = {}
        if read_only and not path.exists():
            raise LogError(f"{path}: no such log; `tapeline feed import --log sqlite:///{path}` creates one")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            self._prepare(full_sync)
        except sqlite3.DatabaseError as error:
            raise LogError(f"{path}: cannot be opened as a log: {error}") from error

    def _prepare(self, full_sync: bool) -> None:
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id != APPLICATION_ID and tables:
            raise LogError(f"{self.path}: is another program's SQLite file, not a Tapeline log")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if full_sync else 'NORMAL'}")
        self._db.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        if application_id != APPLICATION_ID:
            self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            self._db.executescript(_SCHEMA)

    def survive_power_loss(self) -> None:
        """Make every later commit of this object wait for the disk, and with it all that others committed before it."""
        with self._lock, self._translated("cannot be made to wait for the disk"):
            self._db.execute("PRAGMA synchronous=FULL")

    def create_topics(self, topics: Mapping[str, int]) -> None:
        with self._translated("topics cannot be created"), self._transaction():
            for name, count in topics.items():
                self._db.execute("INSERT OR IGNORE INTO topics (name, partitions) VALUES (?, ?)", (name, count))
        for name, count in topics.items():
            if self.partitions(name) != count:
                raise LogError(
                    f"topic {name} has {self.partitions(name)} partitions, not {count}: "
                    "partition counts are fixed for ever"
                )

    def partitions(self, topic: str) -> int:
        return self._topic(topic)[1]

    def end_offset(self, topic: str, partition: int) -> int:
        number = self._number(topic, partition)
        with self._lock, self._translated(f"{topic}[{partition}] has no end"):
            return self._end(number, partition)

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        number = self._number(topic, partition)
        with self._lock, self._translated(f"{topic}[{partition}] cannot be read from offset {offset} on"):
            rows = self._db.execute(
                "SELECT off, key, value FROM log WHERE topic = ? AND part = ? AND off >= ? ORDER BY off LIMIT ?",
                (number, partition, offset, limit),
            ).fetchall()
        return [StoredRecord(topic, partition, off, key, value) for off, key, value in rows]

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        with self._translated(f"{len(records)} records were not written"), self._transaction():
            return self._insert(records)

    def append_at(self, record: NewRecord, expected_offset: int) -> Append:
        return self.commit(record, expected_offset, ())

    def publish(self, records: Sequence[NewRecord]) -> None:
        self.append(records)

    def commit(self, journal: NewRecord, expected_offset: int, outputs: Sequence[NewRecord]) -> Append:
        number = self._number(journal.topic, journal.partition)
        try:
            with self._transaction():
                if self._end(number, journal.partition) != expected_offset:
                    return Append.FENCED
                self._insert((journal, *outputs))
        except sqlite3.Error:
            return Append.UNSURE
        return Append.ACCEPTED

    def data_version(self) -> int:
        """Return a number that changes when another connection has committed: a cheap way to wait for news."""
        with self._lock, self._translated("cannot be asked for news"):
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file, so that no commit has to; nobody is kept waiting.

        Tries again for what was written meanwhile: only a write-ahead log that is done with starts from its beginning.
        """
        for _ in range(CHECKPOINT_TRIES):
            with self._lock, self._translated("the write-ahead log cannot be moved into the file"):
                _, written, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if moved == written:
                return

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _translated(self, complaint: str) -> Iterator[None]:
        """Turn SQLite's errors (a sick disk, a lock held too long, a closed file) into the log's own."""
        try:
            yield
        except sqlite3.Error as error:
            raise LogError(f"{self.path}: {complaint}: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _topic(self, topic: str) -> tuple[int, int]:
        known = self._topics.get(topic)
        if known is None:
            with self._lock, self._translated(f"topic {topic} cannot be looked up"):
                known = self._db.execute("SELECT id, partitions FROM topics WHERE name = ?", (topic,)).fetchone()
            if known is None:
                raise NoTopic(
                    f"{self.path}: topic {topic} does not exist; `tapeline feed import` or `run` creates the log"
                )
            self._topics[topic] = known
        return known

    def _number(self, topic: str, partition: int) -> int:
        number, count = self._topic(topic)
        if not 0 <= partition < count:
            raise LogError(f"{self.path}: topic {topic} has {count} partitions, there is no partition {partition}")
        return number

    def _end(self, number: int, partition: int) -> int:
        (last,) = self._db.execute(
            "SELECT max(off) FROM log WHERE topic = ? AND part = ?", (number, partition)
        ).fetchone()
        return 0 if last is None else int(last) + 1

    def _insert(self, records: Sequence[NewRecord]) -> list[int]:
        ends: dict[tuple[int, int], int] = {}
        rows = []
        for record in records:
            number = self._number(record.topic, record.partition)
            place = (number, record.partition)
            offset = ends[place] if place in ends else self._end(number, record.partition)
            ends[place] = offset + 1
            rows.append((number, record.partition, offset, record.key, record.value))
        self._db.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?)", rows)
        return [row[2] for row in rows]
