"""Where benchmark logs live: a throw-away folder, and one throw-away broker for the whole run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from deploy.kafka.broker import LocalBroker, missing_tools

SQLITE, KAFKA = "SQLite", "Kafka"


class Places:
    """Fresh log URLs by kind, and scratch paths. The broker starts with the first Kafka log that is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)
        self._broker: LocalBroker | None = None

    def kinds(self) -> list[str]:
        """Return the kinds of log this machine can run."""
        return [SQLITE] if missing_tools() else [SQLITE, KAFKA]

    def url(self, kind: str) -> str:
        """Return the URL of a new, empty log."""
        number = next(self._numbers)
        if kind == SQLITE:
            return f"sqlite:///{self.folder}/log{number}.db"
        return f"kafka://{self.broker_address()}/bench{number}"

    def broker_address(self) -> str:
        """Return host and port of the broker, started if need be."""
        if self._broker is None:
            self._broker = LocalBroker(self.folder / "kafka")
        return self._broker.start().address

    def close(self) -> None:
        """Stop the broker."""
        if self._broker is not None:
            self._broker.kill()


@contextmanager
def places() -> Iterator[Places]:
    """Give places that are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tapeline-bench-"))
    found = Places(folder)
    try:
        yield found
    finally:
        found.close()
        shutil.rmtree(folder, ignore_errors=True)
