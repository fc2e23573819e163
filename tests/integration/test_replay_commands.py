"""``tapeline replay``: the proof with its exit codes, and the rebuild that equals what it replaces."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from schemas.settings import TradingSettings
from services import cli
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.batch import run_batch
from streams.log.sqlite import SqliteLog
from streams.pipeline import CODE_VERSION, stages
from streams.trader import Trader

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TICKS = 9_200
CHANGED = "CAST(substr(value, 1, length(value) - 1) || x'00' AS BLOB)"
"""A record of the history whose last field says that it is none."""
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of the made-up tape: three days of history and a few hours of trading."""
    path = tmp_path_factory.mktemp("replay") / "log.db"
    log = SqliteLog(path)
    import_feed(log, islice(synthetic_feed(), TICKS), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    log.close()
    return path


@pytest.fixture
def tampered(traded: Path, tmp_path: Path) -> Callable[[str, str], str]:
    """Return a function that copies the log, runs a statement on it, and returns the copy's URL."""

    def tamper(topic: str, statement: str) -> str:
        path = tmp_path / "tampered.db"
        with sqlite3.connect(traded) as original, sqlite3.connect(path) as copy:
            original.backup(copy)
            number = copy.execute("SELECT id FROM topics WHERE name = ?", (topic,)).fetchone()[0]
            assert copy.execute(statement, {"topic": number}).rowcount == 1
        return f"sqlite:///{path}"

    return tamper


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # every command points the logs at its own stderr

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        code = ended.value.code
        return (code if isinstance(code, int) else -1), capsys.readouterr().out

    return call


def test_verify_proves_an_untouched_log(run: Run, traded: Path) -> None:
    code, out = run("replay", "verify", "--log", f"sqlite:///{traded}", "--json")
    report = json.loads(out)
    assert (code, report["proven"], report["difference"]) == (0, True, None)
    assert report["inputs"] == {"settings": 1, "ticks": TICKS}
    assert report["outputs"].keys() == report["digests"].keys()
    code, out = run("replay", "verify", "--log", f"sqlite:///{traded}", "--workers", "1")
    assert (code, out.strip().splitlines()[-1]) == (0, "PROVEN: every output is what the inputs give")


def test_verify_says_who_recorded_what_and_compares_all_the_same(run: Run, tmp_path: Path) -> None:
    """Another version recorded the first ticks, and this one, with equal decisions, the rest."""
    log = SqliteLog(tmp_path / "log.db")
    tape = list(islice(synthetic_feed(), 400))
    for ticks, version in ((tape[:300], "0.0.9+cafe"), (tape, CODE_VERSION)):
        import_feed(log, ticks, TradingSettings())
        trader = Trader(log, 0, stages(), worker="w", code_version=version)
        trader.start()
        run_batch(log, trader)
    log.close()
    code, out = run("replay", "verify", "--log", f"sqlite:///{tmp_path}/log.db")
    assert code == 0
    assert f"steps 0..300 were recorded by 0.0.9+cafe, this is {CODE_VERSION}: the same decisions\n" in out
    assert out.count("recorded by") == 1
    assert out.strip().endswith("PROVEN: every output is what the inputs give")


@pytest.mark.parametrize(
    ("topic", "statement", "names"),
    [
        (
            "signals",
            f"UPDATE log SET value = {CHANGED} WHERE topic = :topic AND off = 9",
            ("signals seq 9 (offset 9), field backfill:", "on the log: False", "re-run:     True"),
        ),
        (
            "regimes",
            "DELETE FROM log WHERE topic = :topic AND off = 5",
            ("regimes seq 5: RegimeClassified", "is missing from the log"),
        ),
        (
            "ticks",
            f"UPDATE log SET value = {CHANGED} WHERE topic = :topic AND off = 4000",
            (
                "field backfill:",
                "on the log: True",
                "re-run:     False",
                "of steps 4001..6000 are not those that were committed",
            ),
        ),
    ],
)
def test_verify_names_the_first_difference_and_exits_1(
    run: Run, tampered: Callable[[str, str], str], topic: str, statement: str, names: tuple[str, ...]
) -> None:
    code, out = run("replay", "verify", "--log", tampered(topic, statement), "--json")
    difference = json.loads(out)["difference"]
    assert code == 1
    assert [words for words in names if words not in difference["detail"]] == []


@pytest.mark.postgres
def test_the_projector_command_catches_up_and_ends(traded: Path, empty_database: str) -> None:
    command = [sys.executable, "-m", "services.cli", "projector", "--once", "--json"]
    places = ["--log", f"sqlite:///{traded}", "--db", empty_database]
    for expected in (True, False):
        done = subprocess.run([*command, *places], capture_output=True, text=True, check=True, cwd=ROOT)
        assert (json.loads(done.stdout)["records"].get("ticks") == TICKS) is expected
        assert json.loads(done.stdout)["unreadable"] == 0


@pytest.mark.postgres
def test_rebuild_equals_what_is_in_service_and_a_touched_table_does_not(
    run: Run, traded: Path, empty_database: str
) -> None:
    at = ["--log", f"sqlite:///{traded}", "--db", empty_database]
    code, out = run("replay", "rebuild", *at, "--json")
    assert (code, json.loads(out)["compared"]) == (0, False)
    code, out = run("replay", "rebuild", *at)
    assert (code, out.strip().splitlines()[-1]) == (0, "EQUAL to the tables that were in service")
    with psycopg.connect(empty_database) as connection:
        connection.execute("UPDATE tapeline.bars SET tick_count = tick_count + 1 WHERE log_offset = 3")
    code, out = run("replay", "rebuild", "--check", *at, "--json")
    assert code == 1
    assert [line.split(":")[0] for line in json.loads(out)["differences"]] == ["bars"]
    assert run("replay", "rebuild", *at)[0] == 1
    assert run("replay", "rebuild", *at)[0] == 0
