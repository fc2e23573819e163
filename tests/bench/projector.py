"""Rows per second of projector and rebuild beside a plain COPY of the same rows, in the same run.

Of 1-minute bars (26 columns, six of them decimals, three indexes) and of public trades.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median

from projections.connect import connect
from projections.copying import copy_rows
from projections.digest import table_digests
from projections.embedded import EmbeddedPostgres
from projections.migrate import migrate
from projections.projectors import project_all
from projections.rebuild import rebuild
from projections.source import Accepted
from projections.tables import SCHEMA
from projections.writer import BATCH, Projector
from schemas.codec import encode
from schemas.envelope import NOT_SEQUENCED, Envelope, Event
from schemas.events.common import Quality, Side
from schemas.events.data import BarClosed
from schemas.events.market import Trade
from schemas.ids import derive_id
from schemas.values import Micros, Price, Quantity
from services.projection import LogSource
from streams.log import create_log, open_log
from streams.log.base import EventLog, NewRecord
from streams.reader import SeqReader
from tests.bench.options import Options
from tests.bench.report import Report, Table, rate
from tests.builders import MINUTE, T0

INSTRUMENT = "BTC-USDT-SWAP"
ROWS = 100_000
STEPS = ("read and decode", "plain COPY", "projector", "digest", "rebuild")
TABLES = {"bars": "bars", "ticks": "trade_ticks"}
"""Table by topic."""


def _price(number: int) -> Price:
    return Price(Decimal(800_000 + number % 20_000).scaleb(-1))


def _bar(number: int) -> tuple[int, Event]:
    close = Micros(T0 + number * MINUTE)
    prices = _price(number), _price(number + 5), _price(number - 5), _price(number + 1)
    volume = Quantity(Decimal(number % 1000))
    opened = Micros(close - MINUTE)
    return close, BarClosed(INSTRUMENT, "1m", opened, close, *prices, volume, 7, None, Quality.GOOD, True, False)


def _trade(number: int) -> tuple[int, Event]:
    quantity = Quantity(Decimal(number % 100).scaleb(-2))
    return T0 + number * 1000, Trade(INSTRUMENT, str(number), Side.BUY, _price(number), quantity)


def _records(
    topic: str, make: Callable[[int], tuple[int, Event]], count: int, *, sequenced: bool
) -> Iterator[NewRecord]:
    for number in range(count):
        when, event = make(number)
        cause = derive_id("cause", number)
        seq = number if sequenced else NOT_SEQUENCED
        ts = Micros(when)
        head = Envelope(derive_id(topic, number), cause, cause, topic, number, 0, seq, ts, ts, "bench", "settings")
        yield NewRecord(topic, 0, INSTRUMENT.encode(), encode(head, event), when)


def _rate(rows: int, act: Callable[[], object]) -> int:
    start = time.perf_counter()
    act()
    return round(rows / (time.perf_counter() - start))


def _read_all(log: EventLog, topic: str) -> list[Accepted]:
    reader = SeqReader(log, topic, 0)
    accepted: list[Accepted] = []
    while batch := reader.poll(BATCH):
        accepted += batch
    return accepted


def _plain_copy(dsn: str, log: EventLog, topic: str) -> int:
    """Copy rows made beforehand: what PostgreSQL and the COPY encoding cost, without reading and decoding the log."""
    table = TABLES[topic]
    rows = project_all(_read_all(log, topic))[table]

    def copy() -> None:
        for first in range(0, len(rows), BATCH):
            with connection.transaction():
                copy_rows(connection, SCHEMA, table, rows[first : first + BATCH])

    with connect(dsn, SCHEMA, lazy_commit=True) as connection:
        rate = _rate(len(rows), copy)
        connection.execute(f"TRUNCATE {table}".encode())
    return rate


def _projector(dsn: str, log: EventLog) -> Projector:
    with Projector(LogSource(log), dsn) as projector:
        projector.run(until_caught_up=True)
    return projector


def run(options: Options) -> Report:
    """Measure."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-bench-"))  # the server's own user must be able to get in
    try:
        with EmbeddedPostgres(folder / "postgres") as server:
            rows = [
                _row(topic, make, server, options.repetitions) for topic, make in (("bars", _bar), ("ticks", _trade))
            ]
            server_version = _server_version(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    caption = f"Rows per second, {ROWS:,} rows, SQLite log; median (range) of {options.repetitions}."
    note = f"PostgreSQL {server_version} (embedded); rebuild = project into a new schema, digest both, switch."
    return Report(
        "projector", "Projector and rebuild", [Table(caption, ("rows", *STEPS, "projector / COPY"), rows)], [note]
    )


def _row(topic: str, make: Callable[[int], tuple[int, Event]], server: EmbeddedPostgres, repetitions: int) -> list[str]:
    log = open_log(f"sqlite:///{server.directory.parent / topic}.db")
    create_log(log)
    log.append(list(_records(topic, make, ROWS, sequenced=topic == "bars")))
    found = [_measure(topic, log, _new_database(server, f"bench_{topic}_{number}")) for number in range(repetitions)]
    log.close()
    ratio = median(rates["projector"] / rates["plain COPY"] for rates in found)
    return [TABLES[topic], *(rate([rates[step] for rates in found]) for step in STEPS), f"{ratio:.2f}"]


def _measure(topic: str, log: EventLog, dsn: str) -> dict[str, int]:
    return {
        "read and decode": _rate(ROWS, lambda: _read_all(log, topic)),
        "plain COPY": _plain_copy(dsn, log, topic),
        "projector": _rate(ROWS, lambda: _projector(dsn, log)),
        "digest": _rate(ROWS, lambda: table_digests(dsn)),
        "rebuild": _rate(ROWS, lambda: rebuild(LogSource(log), dsn)),
    }


def _new_database(server: EmbeddedPostgres, name: str) -> str:
    with connect(server.dsn, SCHEMA) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    dsn = server.dsn_of(name)
    migrate(dsn)
    return dsn


def _server_version(server: EmbeddedPostgres) -> str:
    with connect(server.dsn, SCHEMA) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "unknown"
