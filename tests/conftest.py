"""Fixtures every test may ask for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings

from tests.kafka_fixture import kafka_broker, kafka_url
from tests.postgres_fixture import (
    database,
    empty_database,
    home,
    migrated_template,
    module_database,
    postgres,
    shared_data,
)

settings.register_profile(
    "tapeline", deadline=None
)  # on a loaded machine any example may take long; that breaks no rule
settings.load_profile("tapeline")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once why tests were not run, whatever the verbosity and however many processes there were."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} SKIPPED: {reason.removeprefix('Skipped: ')}", yellow=True)


__all__ = [
    "database",
    "empty_database",
    "home",
    "kafka_broker",
    "kafka_url",
    "migrated_template",
    "module_database",
    "postgres",
    "shared_data",
]
