"""What a benchmark hands back, and how it gets into ``docs/benchmarks.md``: one marked section a benchmark."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from deploy.kafka.broker import kafka_version

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
_LIBRARIES = ("faust-streaming", "mode-streaming", "aiokafka", "confluent-kafka", "fastavro", "psycopg", "pydantic")


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, column names and rows of text."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Report:
    """The tables of one benchmark. ``name``: its section. ``full``: whether ``--full`` made it.

    ``others``: share of the machine's processor time that went to processes that are not the benchmark's.
    """

    name: str
    title: str
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    full: bool = False
    others: float | None = None


def rate(values: Sequence[float]) -> str:
    """Write rates as median and range: ``25,310 (24,800 - 26,100)``."""
    if len(values) == 1:
        return f"{values[0]:,.0f}"
    return f"{median(values):,.0f} ({min(values):,.0f} - {max(values):,.0f})"


def seconds(values: Sequence[float]) -> str:
    """Write durations in seconds as median and range."""
    return f"{median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def millis(values: Sequence[float]) -> str:
    """Write milliseconds as median and range."""
    return f"{median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def render(report: Report) -> str:
    """Return a report as Markdown."""
    command = f"python -m tests.bench {report.name}{' --full' if report.full else ''}"
    meanwhile = "" if report.others is None else f"; other processes took {report.others:.0%} of the machine meanwhile"
    lines = [f"## {report.title}", "", f"`{command}` at {_commit()}{meanwhile}"]
    for table in report.tables:
        lines += ["", table.caption, "", _row(table.columns), _row(["---"] * len(table.columns))]
        lines += [_row(row) for row in table.rows]
    if report.notes:
        lines += [""] + [f"- {note}" for note in report.notes]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return f"commit {done.stdout.strip()}" if done.returncode == 0 else "an unknown commit"


class Processors:
    """Tells what share of all processors' time went to others since it was made.

    Own: this process and those of its children that have ended. A server that left its parent counts as another.
    """

    def __init__(self) -> None:
        self._all, self._own = _busy_and_total(), _own_seconds()

    def others(self) -> float:
        """Return the share, 0 to 1."""
        busy, total = (now - then for now, then in zip(_busy_and_total(), self._all, strict=True))
        return max(0.0, busy - (_own_seconds() - self._own)) / max(total, 1e-9)


def _busy_and_total() -> tuple[float, float]:
    ticks = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - ticks[3] - ticks[4]) / second, sum(ticks) / second


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def machine() -> str:
    """Return the section on machine and versions; it names no host and no path."""
    lines = [
        "## Machine and versions",
        "",
        f"- {os.cpu_count()} cores, {_field('/proc/cpuinfo', 'model name')}; {_memory_gb():.0f} GB of memory; "
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"- {platform.python_implementation()} {platform.python_version()}; Kafka {kafka_version()} (one broker on "
        "loopback, KRaft, 512 MB heap, no fsync per message); "
        f"SQLite {sqlite3.sqlite_version} (WAL, synchronous=NORMAL)",
        "- " + ", ".join(f"{name} {version(name)}" for name in _LIBRARIES),
        "- The broker, the load generator, the reader and the worker share these cores.",
    ]
    return "\n".join(lines)


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def _memory_gb() -> float:
    return int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20


def write_section(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Put a section between its two markers in the document; what stands outside of them stays."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    old = document.read_text()
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{document.name} has no markers {begin} ... {end}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")
