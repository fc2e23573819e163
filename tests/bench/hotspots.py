"""Where the batch runner's time goes, on bars and on trades: by part of the step, and by function.

Shares come from clocks around the parts of a run without a profiler (a clock costs about 0.1 us a call, so parts with
many short calls look a little larger than they are). The functions come from a second run under cProfile, which
charges every call: read that table as an order, not as shares.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams import trader as trader_module
from streams.batch import run_batch
from streams.core import kernel as kernel_module
from streams.core.stage import Stage
from streams.log import open_log
from streams.log.base import EventLog
from streams.pipeline import CODE_VERSION, stages
from streams.trader import Trader
from tests.bench.batch import timed
from tests.bench.options import Options
from tests.bench.places import SQLITE
from tests.bench.report import ROOT, Report, Table
from tests.bench.tapes import Tick, put, raw_trades, recorded_bars, repeated

TOP = 10
Seconds = dict[str, float]


def run(options: Options) -> Report:
    """Measure."""
    tapes: dict[str, Sequence[Tick]] = {
        "bars (5 days, two instruments)": recorded_bars(5),
        "trades (repeated to 100,000)": list(repeated(raw_trades(), 100_000)),
    }
    tables = []
    for name, ticks in tapes.items():
        tables += [_parts(name, ticks, options), _functions(name, ticks, options)]
    return Report("hotspots", "Where the batch runner's time goes", tables)


# -- by part --------------------------------------------------------------------------------------------------------


def _parts(name: str, ticks: Sequence[Tick], options: Options) -> Table:
    spent: Seconds = defaultdict(float)
    plain = _run(ticks, options, stages(), defaultdict(float), clocked=False)
    whole = _run(ticks, options, _clocked_stages(spent), spent, clocked=True)
    spent["the rest: kernel loop, stamping ids, batching"] = whole - sum(spent.values())
    rows = [
        [part, f"{took / whole:.1%}", f"{took / len(ticks) * 1e6:.1f}"]
        for part, took in sorted(spent.items(), key=lambda item: -item[1])
    ]
    caption = (
        f"{name}: {plain / len(ticks) * 1e6:.1f} us per tick; {whole / len(ticks) * 1e6:.1f} us with the clocks in, "
        "which the shares refer to."
    )
    return Table(caption, ("part", "share", "us per tick"), rows)


def _run(
    ticks: Sequence[Tick], options: Options, used: Sequence[Stage[Any]], spent: Seconds, *, clocked: bool
) -> float:
    log = open_log(options.places.url(SQLITE))
    put(log, ticks)
    trader = Trader(log, 0, used, worker="bench", code_version=CODE_VERSION)
    trader.start()
    if not clocked:
        return timed(lambda: run_batch(log, trader))
    spent.clear()
    with _clocks(log, trader, spent):
        return timed(lambda: run_batch(log, trader))


def _clocked_stages(spent: Seconds) -> list[Stage[Any]]:
    return [
        replace(
            stage,
            decide=_clocked(stage.decide, f"stage {stage.name}", spent),
            evolve=_clocked(stage.evolve, f"stage {stage.name}", spent),
        )
        for stage in stages()
    ]


def _clocked(function: Callable[..., Any], part: str, spent: Seconds) -> Callable[..., Any]:
    clock = time.perf_counter

    def wrapped(*arguments: Any, **named: Any) -> Any:
        began = clock()
        try:
            return function(*arguments, **named)
        finally:
            spent[part] += clock() - began

    return wrapped


@contextmanager
def _clocks(log: EventLog, trader: Trader, spent: Seconds) -> Iterator[None]:
    """Put clocks around what the kernel and the trader call; take them away again."""
    places: list[tuple[Any, str, str]] = [
        (kernel_module, "decode", "decode inputs"),
        (kernel_module, "encode", "encode outputs"),
        (trader_module, "digest_outputs", "digest of outputs"),
        (trader.kernel, "state_json", "checkpoints: state to JSON"),
        (trader_module, "compress", "checkpoints: compress"),
        (trader_module, "commit_of", "journal record"),
        (log, "commit", "log: write commits"),
        (log, "read", "log: read inputs"),
    ]
    before = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, _clocked(getattr(owner, name), part, spent))
    try:
        yield
    finally:
        for owner, name, old in before:
            delattr(owner, name) if old is None else setattr(owner, name, old)


# -- by function ----------------------------------------------------------------------------------------------------


def _functions(name: str, ticks: Sequence[Tick], options: Options) -> Table:
    log = open_log(options.places.url(SQLITE))
    put(log, ticks)
    trader = Trader(log, 0, stages(), worker="bench", code_version=CODE_VERSION)
    trader.start()
    profiler = cProfile.Profile()
    profiler.runcall(run_batch, log, trader)
    stats: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in stats.values())
    top = sorted(stats.items(), key=lambda item: -item[1][2])[:TOP]
    rows = [[_name(place), f"{calls:,}", f"{own / whole:.1%}"] for place, (_, calls, own, _, _) in top]
    return Table(f"{name}, top {TOP} functions by own time under cProfile.", ("function", "calls", "own time"), rows)


def _name(place: tuple[str, int, str]) -> str:
    file, _, function = place
    if file == "~":
        return f"`{function}`"
    path = Path(file)
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) and ".venv" not in path.parts else Path(path.name)
    return f"`{where}` {function}"
