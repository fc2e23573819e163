"""``tapeline feed import``: files in, ticks on the log; what is wrong with a file is said with its name and line."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from services import cli
from streams.log.sqlite import SqliteLog

FIRST = 1_742_316_660_000
HEADER = "ts_ms,open,high,low,close,volume_base\n"
NAME = "BTC-USDT-SWAP_1m_20250318-20250319.csv.gz"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``tapeline feed import`` with a log in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["feed", "import", *arguments, "--log", "sqlite:///log.db"])
        output = capsys.readouterr()
        return ended.value.code if isinstance(ended.value.code, int) else -1, output.out, output.err

    return call


def rows(count: int, *, bad: int | None = None) -> str:
    lines = [f"{FIRST + n * 60_000},80000.1,80001.0,79999.9,80000.{n % 10},1.5\n" for n in range(count)]
    if bad is not None:
        lines[bad] = f"{FIRST + bad * 60_000},80000.1,eighty,79999.9,80000.0,1.5\n"
    return HEADER + "".join(lines)


def compressed(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def ticks(tmp_path: Path) -> int:
    log = SqliteLog(tmp_path / "log.db", read_only=True)
    count = log.end_offset("ticks", 0)
    log.close()
    return count


def test_the_made_up_tape_is_imported_by_name(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("synthetic", "--json")
    summary = json.loads(out)
    assert (code, summary["origin"], summary["appended"]) == (0, "SYNTHETIC", ticks(tmp_path))
    code, _, err = run("synthetic", "--from", "2025-01-07T00:00:00Z")
    assert (code, "the made-up tape goes alone, without --from" in err) == (2, True)


def test_an_import_says_what_it_brought_and_running_it_again_brings_nothing(run: Run, tmp_path: Path) -> None:
    file = compressed(tmp_path / NAME, rows(50))
    code, out, _ = run(str(file), "--json")
    summary = json.loads(out)
    assert (code, summary["ticks"]["VenueBar"], summary["instruments"]) == (0, 50, ["BTC-USDT-SWAP"])
    assert summary["appended"] == ticks(tmp_path)
    code, out, _ = run(str(file))
    assert (code, out.splitlines()[0].split()[:3]) == (0, ["0", "ticks", "appended"])


def test_a_bad_line_is_counted_and_kept(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(str(compressed(tmp_path / NAME, rows(500, bad=3))))
    assert code == 0
    assert "1 of 500 lines could not be read" in out or "1 of 501 lines could not be read" in out


def test_an_instrument_nothing_will_trade_is_named_once(run: Run, tmp_path: Path) -> None:
    allowed = "BTC-USDT-SWAP"
    code, _, err = run(str(compressed(tmp_path / NAME, rows(5))))
    assert (code, err) == (0, "")
    other = compressed(tmp_path / "SOL-USDT-SWAP_1m_20250318-20250319.csv.gz", rows(5))
    code, _, err = run(str(other))
    assert code == 0
    assert len(err.splitlines()) == 1
    assert err.startswith("warning: SOL-USDT-SWAP is not in TAPELINE_INSTRUMENTS_ALLOWED")
    assert allowed in err


def test_a_truncated_file_ends_the_import_and_what_came_before_stays(run: Run, tmp_path: Path) -> None:
    whole = compressed(tmp_path / NAME, rows(5_000)).read_bytes()
    (tmp_path / NAME).write_bytes(whole[: len(whole) // 2])
    code, _, err = run(str(tmp_path / NAME))
    assert code == 2
    assert NAME in err
    assert len(err.splitlines()) == 1
    assert ticks(tmp_path) > 100


def test_an_unknown_instrument_is_named_and_nothing_is_imported(run: Run, tmp_path: Path) -> None:
    code, _, err = run(str(compressed(tmp_path / "NOPE-USDT-SWAP_1m_20250318-20250319.csv.gz", rows(5))))
    assert code == 2
    assert "NOPE-USDT-SWAP" in err
    assert "--instruments" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--from", "yesterday"], "--from: 'yesterday' must be"),
        (["--to", "2025-03-19T00:00:00"], "--to: "),
        (["--warmup-days", "-1"], "--warmup-days"),
        (["--shards", "0"], "--shards"),
    ],
)
def test_wrong_options_are_refused(run: Run, tmp_path: Path, options: list[str], says: str) -> None:
    code, _, err = run(str(compressed(tmp_path / NAME, rows(5))), *options)
    assert code == 2
    assert says in err


def test_a_period_and_a_warm_up_can_be_chosen(run: Run, tmp_path: Path) -> None:
    file = compressed(tmp_path / NAME, rows(120))
    code, out, _ = run(
        str(file), "--from", "2025-03-18T17:00:00Z", "--to", "2025-03-18T18:00:00Z", "--warmup-days", "0", "--json"
    )
    summary = json.loads(out)
    assert code == 0
    assert summary["ticks"]["VenueBar"] == 60
    assert summary["backfill_bars"] == 1  # the bar that closes at --from opened before it


def test_an_unknown_file_is_told_the_known_formats_a_line_each(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    code, _, err = run("notes.txt")
    first, *table = err.splitlines()
    assert (code, first) == (
        2, "tapeline: notes.txt: not a file of market data that Tapeline knows. Known formats:"
    )  # fmt: skip
    assert len(table) == 8
    assert "  raw OKX WebSocket lines[.gz] " in "\n".join(table)
    assert max(map(len, table)) < 120


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("notes.txt", "notes.txt: is empty"),
        ("BTC-USDT-SWAP_1m_x.csv", f"BTC-USDT-SWAP_1m_x.csv: is empty; it should begin with {HEADER.strip()}"),
    ],
)
def test_an_empty_file_is_called_empty(run: Run, tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / name).touch()
    code, _, err = run(name)
    assert (code, err) == (2, f"tapeline: {says}\n")


def test_a_new_log_has_as_many_shards_as_the_variable_says_and_the_option_goes_before_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPELINE_SHARDS", "2")
    monkeypatch.setenv("TAPELINE_SHARD", "2")
    file = str(compressed(tmp_path / NAME, rows(5)))
    code, _, err = run(file)
    assert (code, "shards count from 0 and --shards is 2" in err) == (2, True)
    assert run(file, "--shards", "3")[0] == 0
    log = SqliteLog(tmp_path / "log.db", read_only=True)
    assert log.partitions("ticks") == 3
    log.close()
