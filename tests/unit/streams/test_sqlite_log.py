"""What SQLite says of a sick disk, a held lock or a closed file is said in the log's own words."""

from __future__ import annotations

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
