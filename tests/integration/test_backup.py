"""A log copied into files and back is the same log: it verifies, goes on, and a damaged copy is refused by name."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from schemas.settings import TradingSettings
from schemas.topics import TOPICS
from services import cli
from services.backup import MANIFEST, BackupError, export_log, import_log
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.batch import run_batch
from streams.log import open_log
from streams.log.base import EventLog, NoTopic
from streams.log.memory import MemoryLog
from streams.log.sqlite import SqliteLog
from streams.pipeline import stages
from streams.verify import verify

pytestmark = pytest.mark.slow

TICKS = 9_200


def _trade(log: EventLog, until: int = TICKS) -> None:
    import_feed(log, islice(synthetic_feed(), until), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)


def _content(log: EventLog) -> dict[str, list[tuple[int, bytes, bytes]]]:
    return {
        topic.name: [(r.offset, r.key, r.value) for r in log.read(topic.name, 0, 0, limit=10**6)] for topic in TOPICS
    }


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path_factory.mktemp("backup") / "log.db")
    _trade(log)
    yield log
    log.close()


@pytest.fixture(scope="module")
def copied(traded: SqliteLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies") / "copy"
    totals = export_log(traded, folder)
    assert totals["ticks"] == TICKS
    return folder


@pytest.fixture
def damaged(copied: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(copied, tmp_path / "damaged"))


def test_a_copy_put_back_is_the_same_log_and_proves_the_same_run(
    traded: SqliteLog, copied: Path, tmp_path: Path
) -> None:
    restored = SqliteLog(tmp_path / "restored.db")
    import_log(restored, copied)
    assert _content(restored) == _content(traded)
    assert verify(restored, 0, stages()).proven
    restored.close()


@pytest.mark.kafka
def test_a_copy_of_a_sqlite_log_goes_on_on_kafka(traded: SqliteLog, copied: Path, kafka_url: str) -> None:
    restored = open_log(kafka_url)
    import_log(restored, copied)
    assert _content(restored) == _content(traded)
    _trade(restored, TICKS + 500)
    report = verify(restored, 0, stages())
    assert report.proven
    restored.close()


class BusyLog(MemoryLog):
    """A log whose trader takes another stretch of the tape whenever somebody asks where a topic ends."""

    busy = False

    def end_offset(self, topic: str, partition: int) -> int:
        if self.busy:
            self.busy = False
            _trade(self, super().end_offset("ticks", 0) + 60)
            self.busy = True
        return super().end_offset(topic, partition)


def test_a_copy_taken_while_the_trader_runs_can_be_recovered_from(tmp_path: Path) -> None:
    log = BusyLog()
    _trade(log)
    log.busy = True
    export_log(log, tmp_path / "copy")
    log.busy = False
    restored = SqliteLog(tmp_path / "restored.db")
    totals = import_log(restored, tmp_path / "copy")
    assert TICKS < totals["ticks"] <= log.end_offset("ticks", 0)
    assert totals["bars"] < log.end_offset("bars", 0), "the outputs were cut off before the trader went on"
    trader = build_trader(restored, 0)
    trader.start()
    run_batch(restored, trader)
    assert verify(restored, 0, stages()).proven
    restored.close()


def test_a_copy_goes_into_a_new_folder_and_an_empty_log_only(traded: SqliteLog, copied: Path) -> None:
    with pytest.raises(BackupError, match="is not an empty folder"):
        export_log(traded, copied)
    before = traded.end_offset("ticks", 0)
    with pytest.raises(BackupError, match="a copy goes into an empty log only"):
        import_log(traded, copied)
    assert traded.end_offset("ticks", 0) == before


def test_a_copy_broken_off_is_refused(damaged: Path) -> None:
    (damaged / MANIFEST).unlink()
    with pytest.raises(BackupError, match="was broken off"):
        import_log(MemoryLog(), damaged)


@pytest.mark.parametrize("how", ["cut", "flipped", "replaced", "shortened"])
def test_a_damaged_file_is_named_before_anything_is_written(damaged: Path, how: str) -> None:
    path = damaged / "verdicts-0.gz"
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        path.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    elif how == "replaced":
        path.write_bytes((damaged / "orders-0.gz").read_bytes())
    else:
        path.write_bytes(gzip.compress(gzip.decompress(data)[:-7]))
    log = MemoryLog()
    with pytest.raises(BackupError, match=r"verdicts-0\.gz"):
        import_log(log, damaged)
    with pytest.raises(NoTopic):
        log.end_offset("settings", 0)


def test_another_format_is_refused(damaged: Path) -> None:
    manifest = json.loads((damaged / MANIFEST).read_text())
    (damaged / MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(BackupError, match="format 2, this version reads 1"):
        import_log(MemoryLog(), damaged)


def test_the_commands_say_what_they_did_and_what_is_wrong(
    traded: SqliteLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = f"sqlite:///{traded.path}", f"sqlite:///{tmp_path / 'new.db'}"
    folder = str(tmp_path / "copy")
    with pytest.raises(SystemExit) as ended:
        cli.main(["log", "export", folder, "--log", source, "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["ticks"] == TICKS
    with pytest.raises(SystemExit) as ended:
        cli.main(["log", "import", folder, "--log", target])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        cli.main(["log", "import", folder, "--log", target])
    assert ended.value.code == 2
    assert "a copy goes into an empty log only" in capsys.readouterr().err
