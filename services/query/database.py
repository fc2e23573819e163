"""Read the projections: pages of rows from their tables, through the read-only role and bounded in time."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    Row,
    Select,
    Table,
    and_,
    create_engine,
    literal,
    select,
    tuple_,
)
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from projections.access import read_dsn
from projections.connect import connect
from projections.positions import Reached
from projections.tables import POSITIONS, SCHEMA
from schemas.json_form import iso
from schemas.values import Micros, plain

STATEMENT_TIMEOUT_S = 5
POOL = 5
PLACE = ("log_partition", "log_offset")
"""After the time column these make a key that every table and view is paged by: unique, and newest means largest."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class DatabaseUnavailable(Exception):
    """The database did not answer in time, or not at all; says what to check."""


class CursorError(ValueError):
    """A cursor that this API did not give out."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows: equality filters by column, a time range (inclusive, exclusive), how many, from which cursor on.

    ``time``: the column that orders them.
    """

    time: str
    filters: Mapping[str, str]
    ts_from: Micros | None
    ts_to: Micros | None
    limit: int
    cursor: str | None
    newest_first: bool


class ReadDatabase:
    """The projections as the read role sees them. Connects on first use; may be shared between threads."""

    def __init__(self, dsn: str, *, schema: str = SCHEMA, password: str | None = None) -> None:
        self._dsn = read_dsn(dsn, password=password)
        self._schema = schema
        self._tables: dict[str, Table] = {}
        self._engine: Engine = create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_size=POOL, max_overflow=0, pool_pre_ping=True,
            pool_timeout=STATEMENT_TIMEOUT_S,
        )  # fmt: skip

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def page(self, tables: Sequence[str], page: Page) -> tuple[list[dict[str, Any]], str | None]:
        """Return the rows of one page over tables or views of one topic, merged by time, and the next page's cursor.

        Raises CursorError, DatabaseUnavailable.
        """
        after = None if page.cursor is None else decode_cursor(page.cursor)
        rows: list[Row[Any]] = []
        with self._reading() as connection:
            for name in tables:
                rows += connection.execute(_statement(self._table(connection, name), page, after)).fetchall()
        rows.sort(key=lambda row: _key(row, page.time), reverse=page.newest_first)
        more = len(rows) > page.limit
        rows = rows[: page.limit]
        following = encode_cursor(_key(rows[-1], page.time)) if more else None
        return [to_plain(row._mapping) for row in rows], following

    def _table(self, connection: Connection, name: str) -> Table:
        """Return a table or view as the database has it; views are not in our metadata."""
        known = self._tables.get(name)
        if known is None:
            try:
                known = Table(name, MetaData(), autoload_with=connection)
            except NoSuchTableError as error:
                raise DatabaseUnavailable(f"no table {name}: run `tapeline projector` once to create it") from error
            self._tables[name] = known
        return known

    def positions(self) -> dict[tuple[str, int], Reached]:
        """Return how far every topic partition was projected. Raises DatabaseUnavailable."""
        columns = (POSITIONS.c.topic, POSITIONS.c.partition, POSITIONS.c.next_offset, POSITIONS.c.next_seq)
        with self._reading() as connection:
            rows = connection.execute(select(*columns))
            return {(topic, partition): Reached(offset, seq) for topic, partition, offset, seq in rows}

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a plain psycopg connection of the read role. Raises DatabaseUnavailable."""
        with self._reading() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, psycopg.Connection)
            yield raw
            raw.rollback()

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, psycopg.Error) as error:
            reason = str(getattr(error, "orig", error)).strip().split("\n")[0]
            raise DatabaseUnavailable(f"the projections' database does not answer: {reason}") from error

    def _connect(self) -> psycopg.Connection[Any]:
        connection = connect(self._dsn, self._schema)
        connection.execute(f"SET statement_timeout TO '{STATEMENT_TIMEOUT_S}s'")
        connection.execute("SET default_transaction_read_only TO on")
        connection.autocommit = False
        return connection


def _statement(table: Table, page: Page, after: tuple[datetime, int, int] | None) -> Select[Any]:
    time = table.c[page.time]
    columns = (time, *(table.c[name] for name in PLACE))
    conditions = [table.c[name] == value for name, value in page.filters.items() if name in table.c]
    conditions += [literal(False) for name in page.filters if name not in table.c]
    if page.ts_from is not None:
        conditions.append(time >= moment(page.ts_from))
    if page.ts_to is not None:
        conditions.append(time < moment(page.ts_to))
    if after is not None:
        key, last = tuple_(*columns), tuple_(*(literal(value) for value in after))
        conditions.append(key < last if page.newest_first else key > last)
    order = [column.desc() if page.newest_first else column.asc() for column in columns]
    return select(table).where(and_(literal(True), *conditions)).order_by(*order).limit(page.limit + 1)


def _key(row: Row[Any], time: str) -> tuple[datetime, int, int]:
    values = row._mapping
    return values[time], values["log_partition"], values["log_offset"]


def moment(micros: int) -> datetime:
    """Return microseconds since 1970 as a UTC datetime."""
    return _EPOCH + timedelta(microseconds=micros)


def encode_cursor(key: tuple[datetime, int, int]) -> str:
    """Return the opaque place after a row with this key."""
    ts, partition, offset = key
    return base64.urlsafe_b64encode(f"{(ts - _EPOCH) // _MICROSECOND}.{partition}.{offset}".encode()).decode()


def decode_cursor(cursor: str) -> tuple[datetime, int, int]:
    """Return the key a cursor stands for. Raises CursorError."""
    try:
        ts, partition, offset = map(int, base64.urlsafe_b64decode(cursor.encode()).decode().split("."))
        return moment(ts), partition, offset
    except (binascii.Error, ValueError, OverflowError) as error:
        raise CursorError(f"{cursor[:80]!r} is not a cursor of this API") from error


def to_plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as JSON takes it: decimals as plain strings, moments as microseconds with ``_iso`` beside them."""
    result: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            micros = (value - _EPOCH) // _MICROSECOND
            result[str(name)] = micros
            result[f"{name}_iso"] = iso(micros)
        elif isinstance(value, Decimal):
            result[str(name)] = plain(value)
        elif isinstance(value, float) and not math.isfinite(value):
            result[str(name)] = str(value)
        else:
            result[str(name)] = value
    return result
