"""Recorded trades repeated to a million through the Faust worker on Kafka; beside it Quix Streams only decoding them.

Quix Streams wants an older confluent-kafka than the project pins, so it gets an environment of its own under
``var/bench-venv``, made at the first run; the topic it reads is the very one the worker read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from schemas.codec import decode, schema_ids, schema_text
from streams.log import open_log
from streams.log.base import EventLog
from streams.log.kafka import KafkaAddress
from tests.bench.history import ticks_per_second
from tests.bench.options import Options
from tests.bench.places import KAFKA
from tests.bench.report import ROOT, Report, Table
from tests.bench.tapes import put, raw_trades, repeated
from tests.bench.worker import run_to_the_end

TOTAL, TOTAL_FULL = 200_000, 1_000_000
ENVIRONMENT = ROOT / "var" / "bench-venv"
QUIX_S_MAX = 600
SCRIPT = Path(__file__).with_name("quix_decode.py")
GOAL = 30_000


def run(options: Options) -> Report:
    """Measure."""
    if KAFKA not in options.places.kinds():
        raise SystemExit("the benchmark `million` needs Java and Maven: `make kafka` says what is missing")
    total = TOTAL_FULL if options.full else TOTAL
    url = options.places.url(KAFKA)
    log = open_log(url)
    put(log, repeated(raw_trades(), total))
    run_to_the_end(url)
    worker = ticks_per_second(log)
    decoding = _decode_in_this_process(log, total)
    log.close()
    quix, quix_version = _quix(url, options.places.folder, total)
    rows = [
        ["Faust worker: all ten stages, journal, outputs acknowledged", f"{worker:,.0f}", f"{GOAL:,}"],
        [f"Quix Streams {quix_version}: fastavro decode, nothing else", quix, "-"],
        ["confluent-kafka and our codec in one loop: decode, nothing else", f"{decoding:,.0f}", "-"],
    ]
    caption = f"{total:,} recorded trades on one Kafka topic, one partition; ticks per second, one after the other."
    return Report("million", "A million trades", [Table(caption, ("what", "ticks/s", "goal"), rows)], full=options.full)


def _decode_in_this_process(log: EventLog, total: int) -> float:
    began, offset = time.perf_counter(), 0
    while offset < total:
        records = log.read("ticks", 0, offset, limit=2_000)
        for record in records:
            decode(record.value)
        offset += len(records)
    return offset / (time.perf_counter() - began)


# -- Quix Streams ---------------------------------------------------------------------------------------------------


def _quix(url: str, folder: Path, total: int) -> tuple[str, str]:
    """Return messages per second, or why there are none, and the version."""
    address = KafkaAddress.parse(url)
    try:
        python, found = _environment()
        schemas = folder / "schemas.json"
        schemas.write_text(json.dumps(_writer_schemas()))
        arguments = [address.servers, f"{address.prefix}ticks", str(schemas), str(total)]
        answer = _tell([str(python), "-P", str(SCRIPT), *arguments])
    except (subprocess.SubprocessError, OSError) as error:
        print(f"Quix Streams did not run: {error}", file=sys.stderr)
        return "not measured: it could not be installed or run here", ""
    measured = json.loads(answer.splitlines()[-1])
    return f"{measured['messages'] / measured['seconds']:,.0f}", found


def _environment() -> tuple[Path, str]:
    """Return the Python with Quix Streams in it, and its version; make the environment where there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True, timeout=QUIX_S_MAX)
        wanted = ["quixstreams>=3.0", f"fastavro=={version('fastavro')}"]
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *wanted], check=True, timeout=QUIX_S_MAX)
    return python, _tell([str(python), "-c", "import importlib.metadata as m; print(m.version('quixstreams'))"]).strip()


def _tell(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=QUIX_S_MAX, check=False)
    if done.returncode != 0:
        raise subprocess.SubprocessError(done.stderr[-1500:])
    return done.stdout


def _writer_schemas() -> dict[int, object]:
    ids = [number for versions in schema_ids().values() for number in versions.values()]
    return {number: json.loads(schema_text(number)) for number in ids}
