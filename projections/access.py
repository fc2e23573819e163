"""The read-only role: what the query API and Grafana connect as. It can select and nothing else."""

from __future__ import annotations

from psycopg import Connection, conninfo, errors, sql

READ_ROLE = "tapeline_read"
"""Role of every reader. It may log in; on a server that asks for passwords the operator sets one with ALTER ROLE."""


def grant_read(connection: Connection, schema: str) -> None:
    """Create the read role if needed and let it select from ``schema``, tables to come included. Repeatable."""
    role, name = sql.Identifier(READ_ROLE), sql.Identifier(schema)
    _create_role(connection)
    for statement in (
        "GRANT USAGE ON SCHEMA {name} TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT SELECT ON TABLES TO {role}",
    ):
        connection.execute(sql.SQL(statement).format(name=name, role=role))


def set_read_password(connection: Connection, password: str) -> None:
    """Set the read role's password, for servers that ask for one. The statement carries it: it is not logged by us."""
    role = sql.Identifier(READ_ROLE)
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(password)))


def _create_role(connection: Connection) -> None:
    if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READ_ROLE,)).fetchone():
        return
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN NOINHERIT").format(sql.Identifier(READ_ROLE)))
            connection.execute(
                sql.SQL("ALTER ROLE {} SET default_transaction_read_only TO on").format(sql.Identifier(READ_ROLE))
            )
    except (errors.DuplicateObject, errors.UniqueViolation):
        # Roles belong to the whole server: another database's migration created it between our look and our try.
        return


def read_dsn(dsn: str, *, password: str | None = None) -> str:
    """Return ``dsn`` with the read role in place of its user."""
    parts = {"user": READ_ROLE} | ({"password": password} if password else {})
    return conninfo.make_conninfo(dsn, **parts)
