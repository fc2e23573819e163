"""A digest per table over its rows in primary-key order: two databases filled from one log have equal digests."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from psycopg import Connection, sql

from projections.connect import connect
from projections.tables import METADATA, SCHEMA

_CANONICAL = (
    "SET TIME ZONE 'UTC'",
    "SET datestyle TO 'ISO, YMD'",
    "SET extra_float_digits TO 1",
    "SET bytea_output TO 'hex'",
)
"""What a row looks like as text must not depend on the server's configuration."""


class TableDigest(NamedTuple):
    """Row count and SHA-256 of a table's rows."""

    rows: int
    digest: str


def table_digests(dsn: str, schema: str = SCHEMA) -> dict[str, TableDigest]:
    """Return the digest of every table of ``schema``, positions included, as of one moment."""
    with connect(dsn, schema) as connection:
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return digests_in(connection, schema)


def digests_in(connection: Connection, schema: str) -> dict[str, TableDigest]:
    """Return the digest of every table as the caller's transaction sees it."""
    for statement in _CANONICAL:
        connection.execute(statement)
    return {name: _digest(connection, schema, name) for name in sorted(METADATA.tables)}


def _digest(connection: Connection, schema: str, name: str) -> TableDigest:
    table = METADATA.tables[name]
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)
    order = sql.SQL(", ").join(sql.Identifier(column.name) for column in table.primary_key.columns)
    statement = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(
        columns, sql.Identifier(schema, name), order
    )
    digest, rows = sha256(), 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            digest.update(block)
            rows += bytes(block).count(b"\n")  # COPY's text form escapes the newlines inside values
    return TableDigest(rows, digest.hexdigest())


def differences(one: dict[str, TableDigest], other: dict[str, TableDigest]) -> list[str]:
    """Return one line per table that differs; empty: equal."""
    return [
        f"{name}: {one[name].rows} rows {one[name].digest[:12]}, {other[name].rows} rows {other[name].digest[:12]}"
        for name in sorted(one)
        if one[name] != other[name]
    ]
