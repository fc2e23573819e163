"""The demo starts from nothing, and never at the expense of anything it did not write itself."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from projections.embedded import EmbeddedPostgresError
from services import cli
from services.demo import FolderInUse, fresh_folder, refuse_used_log
from services.stores import open_database
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.sqlite import SqliteLog


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_and_an_empty_folder_are_taken(tmp_path: Path) -> None:
    assert fresh_folder(tmp_path / "a" / "b").is_dir()
    assert fresh_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_what_the_last_demo_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("log")
    (tmp_path / "log.db-wal").write_text("wal")
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    fresh_folder(tmp_path)
    assert _tree(tmp_path) == []


def test_a_demo_on_kafka_leaves_no_log_and_is_still_known(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / ".handle_pids.json").write_text("[]")
    fresh_folder(tmp_path)
    assert _tree(tmp_path) == []


@pytest.mark.parametrize(
    "names", [["passwd"], ["log.db", "notes.txt"], ["postgres/PG_VERSION"], ["log.db", "ssl/certs/ca.crt"]]
)
def test_a_folder_with_anything_else_in_it_is_refused_untouched(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("precious")
    before = _tree(tmp_path)
    with pytest.raises(FolderInUse, match="give --folder a new or an empty folder"):
        fresh_folder(tmp_path)
    assert _tree(tmp_path) == before


def test_links_are_removed_and_what_they_point_at_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "precious").mkdir(parents=True)
    home = tmp_path / "home"
    home.mkdir()
    (home / "log.db").write_text("log")
    (home / "postgres").symlink_to(elsewhere)
    fresh_folder(home)
    assert (elsewhere / "precious").is_dir()


def test_the_command_says_so_in_one_line_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "passwd").write_text("precious")
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--folder", "mine"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "tapeline: mine: holds passwd; give --folder a new or an empty folder"
    )
    assert (tmp_path / "mine" / "passwd").read_text() == "precious"


def test_a_database_is_not_started_in_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("precious")
    with (
        pytest.raises(EmbeddedPostgresError, match="holds something else than a database"),
        open_database(f"embedded:{tmp_path}"),
    ):
        pass
    assert _tree(tmp_path) == ["passwd"]


def _log(path: Path, *topics: str) -> None:
    log = SqliteLog(path)
    create_log(log)
    log.append([NewRecord(topic, 0, b"key", b"value", 0) for topic in topics])
    log.close()


@pytest.mark.parametrize("topic", ["ticks", "settings"])
def test_a_log_with_records_is_refused_untouched_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    _log(tmp_path / "mine.db", topic)
    before = (tmp_path / "mine.db").read_bytes()
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", "--log", "sqlite:///mine.db"])
    assert (ended.value.code, capsys.readouterr().err) == (
        2,
        f"tapeline: --log sqlite:///mine.db: has records already ({topic}); name a new log, or leave --log out\n",
    )
    assert _tree(tmp_path) == ["mine.db"]
    assert (tmp_path / "mine.db").read_bytes() == before


def test_a_new_an_empty_and_the_last_demos_own_log_are_taken(tmp_path: Path) -> None:
    _log(tmp_path / "empty.db")
    _log(tmp_path / "log.db", "ticks")
    for name in ("new.db", "empty.db", "log.db"):
        refuse_used_log(f"sqlite:///{tmp_path}/{name}", tmp_path)
    assert _tree(tmp_path) == ["empty.db", "log.db"]
