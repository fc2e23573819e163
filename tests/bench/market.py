"""The market gateway under load: a fake OKX sends frames at a steady rate, then as fast as they are taken.

The gateway is ``tapeline gateway okx-market``, a process of its own, over real WebSockets through ccxt. Measured are
the ticks on the log against the frames sent, processor time, memory on the way, the fullest inbox and the oldest tick
at an append. Frames: trades, best bid and ask, and changes of a 400-level book, in turn.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.log import create_log, open_log
from tests.bench.options import Options
from tests.bench.report import ROOT, Report, Table
from tests.fakes.okx import FakeOkx, serving

BTC = "BTC-USDT-SWAP"
RATE = 2_000
SECONDS, FULL_SECONDS = 30, 300
FLAT_OUT = 100_000
CHANNELS = "trades,quotes,book,bars"
SLICE_S = 0.01
WINDOW = 20_000
"""Frames on the way at most when they come as fast as they are taken: twice the gateway's inbox."""
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class _Result:
    sent: int
    seconds: float
    ticks: int
    processor_s: float
    memory_mb: list[float]
    counts: dict[str, Any]


def run(options: Options) -> Report:
    """Measure."""
    rows = []
    for kind in options.places.kinds():
        steady = _measure(options.places.url(kind), RATE, RATE * (FULL_SECONDS if options.full else SECONDS))
        flat = _measure(options.places.url(kind), 0, FLAT_OUT)
        rows += [_row(f"{kind}, {RATE:,}/s", steady), _row(f"{kind}, as fast as taken", flat)]
    columns = ("log", "frames", "frames/s", "ticks on the log", "processor", "memory MB, start / half / end",
               "inbox, most", "reading stopped", "oldest tick at an append, most")  # fmt: skip
    caption = "One run each. Every frame gives one tick; the rest are statuses, marks and instruments at the start."
    notes = (
        "On SQLite the memory includes the log's page cache, which grows to 8 MiB and no further.",
        f"As fast as taken: {WINDOW:,} frames on the way. A venue that sends more than is taken for long ends the "
        "connection, which is told as LOST.",
    )
    return Report("market", "Market gateway", [Table(caption, columns, rows)], notes, full=options.full)


def _row(name: str, found: _Result) -> list[str]:
    memory, counts = found.memory_mb, found.counts
    return [
        name,
        f"{found.sent:,}",
        f"{found.sent / found.seconds:,.0f}",
        f"{found.ticks:,}",
        f"{found.processor_s / found.seconds:.0%} of a core",
        f"{memory[0]:.0f} / {memory[len(memory) // 2]:.0f} / {memory[-1]:.0f}",
        f"{counts['inbox_max']:,}",
        f"{counts['waits']:,} times, {counts['waited_s']:.1f} s",
        f"{counts['lag_us_max'] / 1000:.0f} ms",
    ]


def _measure(url: str, per_second: int, count: int) -> _Result:
    log = open_log(url)
    create_log(log)
    with serving() as okx, _gateway(okx, url) as gateway:
        _until(lambda: okx.run(lambda: okx.hub.subscribed("books")) > 0)
        before, began = _processor_s(gateway.pid), time.monotonic()
        start = log.end_offset("ticks", 0)
        memory = _send(okx, gateway.pid, per_second, count, lambda: log.end_offset("ticks", 0) - start)
        _until(lambda: log.end_offset("ticks", 0) >= start + count)
        seconds, spent = time.monotonic() - began, _processor_s(gateway.pid) - before
        ticks = log.end_offset("ticks", 0) - start
        gateway.terminate()
        out, _ = gateway.communicate(timeout=PATIENCE_S)
    log.close()
    return _Result(count, seconds, ticks, spent, memory, json.loads(out))


@contextmanager
def _gateway(okx: FakeOkx, url: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OKX_REST_URL": okx.rest_url, "OKX_WS_URL": okx.ws_url,
        "OKX_CHANNELS": CHANNELS, "TAPELINE_INSTRUMENTS_ALLOWED": BTC, "TAPELINE_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    command = [sys.executable, "-m", "services.cli", "gateway", "okx-market", "--log", url, "--json"]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _send(okx: FakeOkx, pid: int, per_second: int, count: int, written: Callable[[], int]) -> list[float]:
    """Send frames, evenly in slices of time, or with WINDOW of them on the way; return memory meanwhile."""
    memory = [_memory_mb(pid)]

    async def send() -> None:
        (connection,) = (each for each in okx.hub.connections if each.url == "public")
        began = time.monotonic()
        for sent, frame in enumerate(_frames(okx.venue.market(BTC).seq, okx.clock.now_ms(), count), 1):
            connection.put(frame)
            while per_second and sent >= (time.monotonic() - began) * per_second:
                await asyncio.sleep(SLICE_S)
            while not per_second and sent % 1_000 == 0 and sent - written() > WINDOW:
                await asyncio.sleep(SLICE_S)
            if sent % (count // 10) == 0:
                memory.append(_memory_mb(pid))

    asyncio.run_coroutine_threadsafe(send(), okx.run(asyncio.get_running_loop)).result()
    return memory


def _frames(seq: int, now_ms: int, count: int) -> Iterator[str]:
    """Yield trades, quotes and book changes that each give one tick."""
    for number in range(count):
        ts, price, size = now_ms + number // 10, f"5000{number % 7}.{number % 10}", f"{number % 90 + 1}"
        if number % 3 == 0:
            row = f'"tradeId":"{number}","px":"{price}","sz":"{size}","side":"buy","ts":"{ts}","count":"1"'
            yield f'{{"arg":{{"channel":"trades","instId":"{BTC}"}},"data":[{{"instId":"{BTC}",{row}}}]}}'
        elif number % 3 == 1:
            row = f'"bids":[["49999.9","{size}","0","1"]],"asks":[["50000.1","{size}","0","1"]],"seqId":{number}'
            yield f'{{"arg":{{"channel":"bbo-tbt","instId":"{BTC}"}},"data":[{{{row},"ts":"{ts}"}}]}}'
        else:
            deep = ",".join(f'["{49_000 - level}.5","{number % 50 + 1}","0","1"]' for level in range(10))
            row = f'"bids":[["49999.9","{number % 997 + 1}","0","1"],{deep}],"asks":[]'
            chain = f'"checksum":0,"prevSeqId":{seq},"seqId":{seq + 1}'
            seq += 1
            arg = f'{{"channel":"books","instId":"{BTC}"}}'
            yield f'{{"arg":{arg},"action":"update","data":[{{{row},{chain},"ts":"{ts}"}}]}}'


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the gateway does not get there")
        time.sleep(0.05)


def _memory_mb(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


def _processor_s(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
