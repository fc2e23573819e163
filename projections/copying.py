"""Copy rows in COPY form into their tables, binary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection, sql

from projections.tables import LAYOUTS


def copy_rows(connection: Connection, schema: str, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copy ``rows`` (columns in the order of the table's layout) inside the caller's transaction."""
    layout = LAYOUTS[table]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, layout.columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(layout.wire)
        write = copy.write_row
        for row in rows:
            write(row)
