"""The demo: a recorded market through the whole chain, projected, proven, and summarised.

The trader runs in this process on a SQLite log, or as Faust workers on Kafka; the projector runs beside it in its own
process, as it does in production.
"""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from schemas.codec import CodecError
from schemas.settings import TradingSettings
from schemas.topics import TOPICS
from services.bootstrap import build_trader
from services.commands.common import BAD_INPUT, MISSING, NO
from services.feeds import Feed, FeedError, default_feed, names_synthetic, open_feed, synthetic_feed
from services.feeds.model import Tick
from services.importer import import_feed
from services.last_words import last_words
from services.program import program
from services.progress import Show
from services.review.labels import Language
from services.review.run import fold_run
from services.review.summary import render
from streams.batch import run_batch
from streams.children import end_with_parent
from streams.log import open_log
from streams.log.base import EventLog, LogError, NoTopic
from streams.pipeline import CODE_VERSION, stages
from streams.verify import Report, verify

FOLDER = Path("var/demo")
HISTORY = Path("var/history")
OWN = frozenset({"log.db", "log.db-wal", "log.db-shm", "postgres"})
"""What a demo leaves in its folder, and so all that the next one may remove."""
HANDLES = ".handle_pids.json"
"""Every embedded PostgreSQL has it in its directory; a database of the user's own has not."""
WORKERS = 2
"""Processes that verify, as many as the smallest machine has cores."""
PROJECT_S_MAX = 600.0
WORKER_S_MAX = 1_800.0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The summary as text, whether the run was proven, and seconds by phase."""

    summary: str
    report: Report
    seconds: dict[str, float]


class DemoError(Exception):
    """A part of the demo did not come up or did not finish; says which and where to look."""

    def __init__(self, message: str, *, exit_code: int = MISSING) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class FolderInUse(DemoError):
    """The demo's folder holds something that is not the demo's: nothing there is touched."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=BAD_INPUT)


class LogInUse(DemoError):
    """The log a demo was given has records already: its review would be about a run that never was."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=BAD_INPUT)


def refuse_used_log(url: str, home: Path) -> None:
    """Raise LogInUse for a log with records, which stays as it is; an earlier demo's own in its folder is replaced."""
    file = Path(urlsplit(url).path[1:]) if url.startswith("sqlite:") else None
    if file is not None and (not file.exists() or file.resolve() == (home / "log.db").resolve()):
        return
    log = open_log(url, read_only=True)
    try:
        held = next((topic.name for topic in TOPICS if _holds(log, topic.name)), None)
    finally:
        log.close()
    if held is not None:
        raise LogInUse(f"--log {url}: has records already ({held}); name a new log, or leave --log out")


def _holds(log: EventLog, topic: str) -> bool:
    try:
        return any(log.end_offset(topic, partition) for partition in range(log.partitions(topic)))
    except NoTopic:
        return False


def choose_feed(paths: Sequence[Path], instruments_file: Path | None, note: Callable[[str], None]) -> tuple[Feed, str]:
    """Return the first feed there is, and where it comes from: named files, recordings, OKX's history, synthetic.

    The name ``synthetic`` asks for the made-up one. ``note``: told what is tried. Raises FeedError for named files that
    cannot be read.
    """
    if names_synthetic(paths, instruments=instruments_file):
        return synthetic_feed(), "SYNTHETIC tape shipped with Tapeline, as asked for"
    if paths:
        return open_feed(paths, instruments_file=instruments_file), ", ".join(path.name for path in paths)
    recorded = default_feed()
    if recorded:
        return open_feed(recorded, instruments_file=instruments_file), f"recordings in {recorded[0].parents[2]}"
    fetched = _fetch_history(note)
    if fetched:
        return open_feed(fetched, instruments_file=instruments_file), "OKX's public history"
    return synthetic_feed(), "SYNTHETIC tape shipped with Tapeline: no recording is here and OKX is out of reach"


def _fetch_history(note: Callable[[str], None]) -> list[Path] | None:
    from services.feeds.okx_history import fetch_okx_history  # ccxt takes seconds to import

    note("no recordings here; asking OKX for public history")
    try:
        return fetch_okx_history(HISTORY, progress=note)
    except FeedError as error:
        note(str(error))
        return None


def run_demo(
    feed: Iterable[Tick],
    settings: TradingSettings,
    *,
    dsn: str,
    log_url: str,
    language: Language,
    progress: Show,
    commands: Sequence[str] = (),
) -> DemoResult:
    """Run every phase on an empty log and an empty, migrated database; return the summary. Raises DemoError."""
    seconds: dict[str, float] = {}
    log = open_log(log_url)

    def timed(phase: str, act: Callable[[], object]) -> None:
        began = monotonic()
        act()
        seconds[phase] = monotonic() - began

    timed("import", lambda: import_feed(log, feed, settings, progress=partial(progress, "import")))
    total = log.end_offset("ticks", 0)
    finish, projector = _start_projector(log_url, dsn)
    try:
        timed("trade", lambda: _trade(log, log_url, total, progress))
        finish.set()
        timed("project", lambda: _await_projector(projector, progress))
    finally:
        if projector.is_alive():
            projector.kill()
    reports: list[Report] = []
    timed("prove", lambda: reports.append(_prove(log, log_url, progress)))
    run = fold_run(log)
    log.close()
    look = f"{program()} log cat ticks --type LineQuarantined --log {log_url}"
    summary = render(run, language=language, proof=reports[0], commands=commands, look=look)
    return DemoResult(summary, reports[0], seconds)


# -- trade ----------------------------------------------------------------------------------------------------------


def _trade(log: EventLog, log_url: str, total: int, progress: Show) -> None:
    if log_url.startswith("kafka:"):
        _run_worker(log_url)
        return
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader, progress=lambda done: progress("trade", done, total))


def _run_worker(log_url: str) -> None:
    """Run a Faust worker as its own process until it has taken every input."""
    command = [sys.executable, "-m", "streams.app", "--log", log_url, "--until-idle"]
    done = subprocess.run(command, timeout=WORKER_S_MAX, capture_output=True, check=False)
    if done.returncode != 0:
        code = NO if done.returncode == NO else MISSING
        raise DemoError(
            f"the Faust worker ended with exit code {done.returncode}: {last_words(done.stderr)}", exit_code=code
        )


# -- project --------------------------------------------------------------------------------------------------------


def _start_projector(log_url: str, dsn: str) -> tuple[Flag, multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")
    finish = context.Event()
    process = context.Process(target=_project, args=(log_url, dsn, finish), daemon=True)
    process.start()
    return finish, process


def _project(log_url: str, dsn: str, finish: Flag) -> None:
    """Follow the log; after ``finish`` is set, end once everything is projected."""
    end_with_parent()
    from projections.connect import ProjectionError
    from projections.writer import Projector
    from services.projection import LogSource

    try:
        log = open_log(log_url, read_only=True)
        with Projector(LogSource(log), dsn) as projector:
            projector.run(stop=finish.is_set, poll_interval_s=0.05)
            projector.run(until_caught_up=True)
        log.close()
    except (CodecError, LogError, ProjectionError) as error:
        sys.stderr.write(f"projector: {error}\n")
        raise SystemExit(NO) from error


def _await_projector(projector: multiprocessing.process.BaseProcess, progress: Show) -> None:
    projector.join(PROJECT_S_MAX)
    if projector.exitcode != 0:
        raise DemoError(f"the projector ended with {projector.exitcode}; its error is above")
    progress("project", 1, 1)


# -- prove ----------------------------------------------------------------------------------------------------------


def _prove(log: EventLog, log_url: str, progress: Show) -> Report:
    return verify(
        log,
        0,
        stages(),
        open_again=partial(open_log, log_url, read_only=True),
        stages_again=stages,
        workers=WORKERS,
        progress=partial(progress, "prove"),
        code_version=CODE_VERSION,
    )


def fresh_folder(folder: Path = FOLDER) -> Path:
    """Empty the demo's folder: every demo starts from nothing. Removes what a demo wrote and nothing else.

    Raises FolderInUse for a folder that holds anything no demo put there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name: path for path in folder.iterdir()}
    foreign = sorted(there.keys() - OWN)
    ours = "log.db" in there or (folder / "postgres" / HANDLES).exists()
    if foreign or (there and not ours):
        raise FolderInUse(f"{folder}: holds {(foreign or sorted(there))[0]}; give --folder a new or an empty folder")
    for path in there.values():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder
