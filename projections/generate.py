"""Write or check the generated SQL of the migrations: ``python -m projections.generate --write | --check``."""

from __future__ import annotations

import argparse
import sys

from projections.families import FAMILIES
from projections.migrate import MIGRATIONS
from projections.tables import ENVELOPE, ddl

TABLES_FILE = MIGRATIONS / "versions" / "0001_tables.sql"
EVENTS_FILE = MIGRATIONS / "versions" / "0002_events.sql"

_EVENT_COLUMNS = ", ".join(name for name, _ in ENVELOPE)


def events_view() -> str:
    """Return the view over every event of every table: identity, cause and place, without the payload."""
    branches = [
        f"SELECT {_EVENT_COLUMNS}, '{family.topic}' AS log_topic, log_partition, log_offset FROM {family.table}"
        for family in FAMILIES
    ]
    return "CREATE VIEW events AS\n" + "\nUNION ALL\n".join(branches) + ";\n"


def check() -> list[str]:
    """Return the generated files that differ from what the event classes give now; empty: all well."""
    wanted = {TABLES_FILE: ddl(), EVENTS_FILE: events_view()}
    return [
        f"{path.name}: differs from the event classes; run `python -m projections.generate --write`"
        for path, text in wanted.items()
        if not path.exists() or path.read_text() != text
    ]


def write() -> None:
    """Bring the generated files up to the event classes."""
    TABLES_FILE.write_text(ddl())
    EVENTS_FILE.write_text(events_view())


def main() -> int:
    """Run the command; exit 1 when a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        write()
    problems = check()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
