"""From a tick (or command) to the order it causes, at 100 ticks a second: SQLite and Kafka, worker in its own process.

The clock starts before the input is encoded and appended, and stops when a consumer outside the worker has the
``OrderIntended`` in hand. Every output carries its input's ``ts_ingest``, here the wall time of the input's making:
that is how an order finds its input. On Kafka every append, commit and output is acknowledged by the broker.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import chain

from schemas.codec import decode
from schemas.events.orders import OrderIntended
from services.bootstrap import prepare_log
from streams.log import open_log
from streams.log.sqlite import SqliteLog
from tests.bench.options import Options
from tests.bench.places import KAFKA, SQLITE
from tests.bench.report import Report, Table, millis, quantile
from tests.bench.scenario import CYCLE, SETTINGS, Scenario
from tests.builders import T0
from tests.worker_process import WorkerProcess, eventually

RATE_HZ = 100
SECONDS = 15
WARM_UP_S = 3
SQLITE_LOOK_S = 0.0002
REAL, ALONE = "streams.pipeline:STAGES", "tests.bench.stages:ORDER_PER_TRADE"
GOALS = {SQLITE: "2 / 8", KAFKA: "6 / 25"}
KINDS = {
    "ENTRY": "command -> plan -> verdict -> entry order",
    "STOP": "tick -> fill -> protective stop order",
    "EXIT": "command -> reduction -> exit order",
}
Samples = dict[str, list[float]]
"""Milliseconds by purpose of the order."""


def run(options: Options) -> Report:
    """Measure."""
    rows = []
    for kind in options.places.kinds():
        repeated = [_once(options.places.url(kind), REAL) for _ in range(options.repetitions)]
        for purpose, words in KINDS.items():
            rows.append(_row(kind, f"ten real stages: {words}", [samples[purpose] for samples in repeated]))
        rows.append(_row(kind, "ten real stages: all three", [list(chain(*samples.values())) for samples in repeated]))
        alone = [_once(options.places.url(kind), ALONE) for _ in range(options.repetitions)]
        rows.append(_row(kind, "write path alone: every tick -> order, one stage", [s["ENTRY"] for s in alone]))
    columns = ("log", "measured", "samples", "p50 ms", "p99 ms", "goal p50 / p99 ms")
    caption = (
        f"{RATE_HZ} ticks/s, and with the real stages {2 * RATE_HZ // CYCLE} commands/s, for {SECONDS} s; "
        f"milliseconds, median (range) of {options.repetitions} runs."
    )
    return Report("latency", "Tick to order", [Table(caption, columns, rows)])


def _row(kind: str, what: str, runs: list[list[float]]) -> list[str]:
    p50, p99 = ([quantile(values, share) for values in runs] for share in (0.50, 0.99))
    return [kind, what, f"{sum(map(len, runs)):,}", millis(p50), millis(p99), GOALS[kind]]


def _once(url: str, stages: str) -> Samples:
    log, scenario = open_log(url), Scenario(rate_hz=RATE_HZ)
    prepare_log(log, SETTINGS, ts_event=T0)
    log.append([scenario.instrument()])
    worker = WorkerProcess(url, stages=stages)
    try:
        worker.seconds_to(r"shard 0 live")
        eventually(lambda: log.end_offset("journal", 0) >= 2, "the first commit", worker)
        with _Reader(url) as reader:
            _play(scenario, log.append, commands=stages == REAL)
            eventually(lambda: reader.offset == log.end_offset("orders", 0), "the last order", worker)
    finally:
        worker.kill()
        log.close()
    return reader.samples


def _play(scenario: Scenario, append: Callable[..., object], *, commands: bool) -> None:
    """Append a tick every 10 ms, and a command half way between two ticks where there is one."""
    began = time.perf_counter()
    for number in range(RATE_HZ * (WARM_UP_S + SECONDS)):
        _sleep_until(began + (number - 0.5) / RATE_HZ)
        command = scenario.command(number) if commands else None
        if command is not None:
            append([command])
        _sleep_until(began + number / RATE_HZ)
        append([scenario.tick(number)])


def _sleep_until(moment: float) -> None:
    left = moment - time.perf_counter()
    if left > 0:
        time.sleep(left)


class _Reader:
    """A consumer of the orders with a connection of its own; the first seconds are warm-up and not counted."""

    def __init__(self, url: str) -> None:
        self._log = open_log(url)
        self.offset = self._log.end_offset("orders", 0)
        self.samples: Samples = defaultdict(list)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow_kafka if url.startswith("kafka") else self._follow_sqlite)
        self._url = url

    def __enter__(self) -> _Reader:
        self._from = time.time() + WARM_UP_S
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._log.close()

    def _take(self, value: bytes, now: float) -> None:
        envelope, event = decode(value)
        if isinstance(event, OrderIntended) and now >= self._from and event.purpose.value in KINDS:
            self.samples[event.purpose.value].append((now - envelope.ts_ingest / 1e6) * 1e3)

    def _follow_sqlite(self) -> None:
        assert isinstance(self._log, SqliteLog)
        seen = -1
        while not self._stopped.is_set():
            version = self._log.data_version()
            if version == seen:
                time.sleep(SQLITE_LOOK_S)
                continue
            seen = version
            records = self._log.read("orders", 0, self.offset, limit=1_000)
            now = time.time()
            for record in records:
                self._take(record.value, now)
            self.offset += len(records)

    def _follow_kafka(self) -> None:
        from confluent_kafka import Consumer, TopicPartition

        from streams.log.kafka import KafkaAddress

        address = KafkaAddress.parse(self._url)
        consumer = Consumer({"bootstrap.servers": address.servers, "group.id": "bench", "enable.auto.commit": False})
        consumer.assign([TopicPartition(f"{address.prefix}orders", 0, self.offset)])
        while not self._stopped.is_set():
            message = consumer.poll(0.2)
            now = time.time()
            if message is not None and message.error() is None:
                self._take(message.value() or b"", now)
                self.offset = (message.offset() or 0) + 1
        consumer.close()
