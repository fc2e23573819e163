"""What SQLite says of a sick disk, a held lock or a closed file is said in the log's own words."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.log.base import Append, LogError, NewRecord
from streams.log.sqlite import SqliteLog

RECORD = NewRecord("ticks", 0, b"k", b"v", 1)


@pytest.fixture
def log(tmp_path: Path) -> SqliteLog:
    opened = SqliteLog(tmp_path / "log.db")
    opened.create_topics({"ticks": 1, "journal": 1})
    opened.append([RECORD])
    return opened


@pytest.mark.parametrize(
    "ask",
    [
        lambda log: log.end_offset("ticks", 0),
        lambda log: log.read("ticks", 0, 0, limit=1),
        lambda log: log.partitions("bars"),
        lambda log: log.create_topics({"bars": 1}),
        lambda log: log.append([RECORD]),
        lambda log: log.publish([RECORD]),
        lambda log: log.data_version(),
        lambda log: log.checkpoint(),
    ],
)
def test_every_call_on_a_file_that_does_not_answer_is_a_log_error(
    log: SqliteLog, ask: Callable[[SqliteLog], object]
) -> None:
    log.close()

    with pytest.raises(LogError, match=r"log\.db"):
        ask(log)


def test_a_lock_held_by_another_leaves_commits_in_doubt_and_the_rest_refused(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.log.sqlite.BUSY_TIMEOUT_S", 0.01)
    late = SqliteLog(log.path)
    holder = sqlite3.connect(log.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(LogError, match="locked"):
        late.create_topics({"bars": 1})
    with pytest.raises(LogError, match="locked"):
        late.append([RECORD])
    assert late.commit(NewRecord("journal", 0, b"", b"", 1), 0, [RECORD]) is Append.UNSURE

    holder.execute("ROLLBACK")
    assert late.commit(NewRecord("journal", 0, b"", b"", 1), 0, [RECORD]) is Append.ACCEPTED
    assert late.end_offset("ticks", 0) == 2
    holder.close()


def records_in_file(log: SqliteLog, folder: Path) -> int:
    """Count the records the log's file holds by itself, without its write-ahead log; -1 where not even topics are."""
    copy = folder / "copy.db"
    shutil.copy(log.path, copy)
    alone = SqliteLog(copy)
    try:
        return alone.end_offset("ticks", 0)
    except LogError:
        return -1
    finally:
        alone.close()
        copy.unlink()


def test_a_checkpoint_moves_the_write_ahead_log_into_the_file_and_waits_for_no_writer(
    log: SqliteLog, tmp_path: Path
) -> None:
    assert records_in_file(log, tmp_path) == -1
    writer = sqlite3.connect(log.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    log.checkpoint()

    assert records_in_file(log, tmp_path) == 1
    writer.execute("ROLLBACK")
    writer.close()
    log.close()


def test_commits_leave_the_disk_alone_until_the_write_ahead_log_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.log.sqlite.CHECKPOINT_PAGES", 20)
    log = SqliteLog(tmp_path / "log.db")
    log.create_topics({"ticks": 1})
    found = []
    for _ in range(30):
        log.append([RECORD])
        found.append(records_in_file(log, tmp_path))
    log.close()

    assert found[0] == -1, "a commit that finds a short one moves nothing"
    assert found[-1] > 0, "one that finds a long one does"
