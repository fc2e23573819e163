"""The Faust worker in ticks per second on a log that is already full: bars and trades, SQLite and Kafka."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from streams.log import open_log
from tests.bench.history import ticks_per_second
from tests.bench.options import Options
from tests.bench.report import ROOT, Report, Table, rate
from tests.bench.tapes import Tick, put, raw_trades, recorded_bars, repeated

DAYS = 5
WORKER_S_MAX = 900.0


def run(options: Options) -> Report:
    """Measure."""
    tapes: dict[str, Sequence[Tick]] = {
        f"bars: {DAYS} days, two instruments": recorded_bars(DAYS),
        "trades, repeated to 100,000": list(repeated(raw_trades(), 100_000)),
    }
    kinds = options.places.kinds()
    rows = []
    for name, ticks in tapes.items():
        rates = {kind: [_once(ticks, options.places.url(kind)) for _ in range(options.repetitions)] for kind in kinds}
        rows.append([name, f"{len(ticks):,}", *(rate(values) for values in rates.values())])
    caption = (
        "Ticks per second of `python -m streams.app`, all ten stages, from its claim to its last commit with outputs; "
        f"median (range) of {options.repetitions}."
    )
    return Report("worker", "Faust worker, throughput", [Table(caption, ("tape", "ticks", *kinds), rows)])


def _once(ticks: Sequence[Tick], url: str) -> float:
    log = open_log(url)
    put(log, ticks)
    run_to_the_end(url)
    found = ticks_per_second(log)
    log.close()
    return found


def run_to_the_end(url: str) -> None:
    """Run a worker as a process of its own until it has taken every input."""
    command = [sys.executable, "-m", "streams.app", "--log", url, "--until-idle"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WORKER_S_MAX, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the worker ended with {done.returncode}:\n{done.stderr[-2000:]}")
