"""``python -m tests.bench NAME|all [--write] [--full]``: run benchmarks and print, or write, their tables."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from tests.bench.options import Options
from tests.bench.places import places
from tests.bench.report import DOCUMENT, Processors, machine, render, write_section

NAMES = ("batch", "worker", "latency", "million", "projector", "recovery", "market", "hotspots")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure; nothing is asserted.")
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{DOCUMENT.name}")
    parser.add_argument("--full", action="store_true", help="as large as the goals say (a million ticks)")
    parser.add_argument("--repetitions", type=int, default=3)
    chosen = parser.parse_args(arguments)
    if chosen.write:
        write_section("machine", machine())
    for name in NAMES if chosen.name == "all" else (chosen.name,):
        _run(name, full=chosen.full, repetitions=chosen.repetitions, write=chosen.write)
    return 0


def _run(name: str, *, full: bool, repetitions: int, write: bool) -> None:
    print(f"-- {name} (load average {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
    processors = Processors()
    with places() as found:
        report = import_module(f"tests.bench.{name}").run(Options(found, full=full, repetitions=repetitions))
    text = render(replace(report, others=processors.others()))
    print(text, flush=True)
    if write:
        write_section(name, text)


if __name__ == "__main__":
    raise SystemExit(main())
