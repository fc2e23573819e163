"""The batch runner in ticks per second, writing and verifying, on recorded bars and on a raw recording."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from services.bootstrap import build_trader
from streams.batch import run_batch
from streams.log import open_log
from streams.pipeline import stages
from streams.verify import verify
from tests.bench.options import Options
from tests.bench.places import SQLITE
from tests.bench.report import Report, Table, rate
from tests.bench.tapes import Tick, put, raw_ticks, raw_trades, recorded_bars, repeated

DAYS = 10


@dataclass(slots=True)
class _Rates:
    write: list[float] = field(default_factory=list)
    verify_1: list[float] = field(default_factory=list)
    verify_2: list[float] = field(default_factory=list)


def run(options: Options) -> Report:
    """Measure."""
    trades = raw_trades()
    tapes: dict[str, Sequence[Tick]] = {
        f"bars: {DAYS} days of 1m bars, marks, funding, two instruments": recorded_bars(DAYS),
        "raw: trades, quotes and book of one perpetual": raw_ticks(),
        "trades: the trades of it, repeated to 100,000": list(repeated(trades, 100_000)),
    }
    rows = [_row(name, ticks, options) for name, ticks in tapes.items()]
    columns = ("tape", "ticks", "outputs", "write", "verify, 1 process", "verify, 2 processes")
    caption = f"Ticks per second, SQLite log, all ten stages; median (range) of {options.repetitions}."
    return Report("batch", "Batch runner", [Table(caption, columns, rows)])


def _row(name: str, ticks: Sequence[Tick], options: Options) -> list[str]:
    rates, outputs = _Rates(), 0
    for _ in range(options.repetitions):
        outputs = _once(ticks, options.places.url(SQLITE), rates)
    counts = [f"{len(ticks):,}", f"{outputs:,}"]
    return [name, *counts, rate(rates.write), rate(rates.verify_1), rate(rates.verify_2)]


def _once(ticks: Sequence[Tick], url: str, rates: _Rates) -> int:
    log = open_log(url)
    put(log, ticks)
    trader = build_trader(log, 0)
    trader.start()
    rates.write.append(len(ticks) / timed(lambda: run_batch(log, trader)))
    rates.verify_1.append(len(ticks) / timed(lambda: _prove(url, 1)))
    rates.verify_2.append(len(ticks) / timed(lambda: _prove(url, 2)))
    log.close()
    return trader.outputs_total


def _prove(url: str, workers: int) -> None:
    log = open_log(url, read_only=True)
    report = verify(
        log, 0, stages(), open_again=partial(open_log, url, read_only=True), stages_again=stages, workers=workers
    )
    log.close()
    if report.difference is not None:
        raise RuntimeError(f"the benchmark's own run does not verify: {report.difference}")


def timed(act: Callable[[], object]) -> float:
    """Return the seconds something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
