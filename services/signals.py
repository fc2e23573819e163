"""Stop cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import Event


def stop_requested() -> Callable[[], bool]:
    """Return a function that tells whether the process was asked to stop; a second signal ends it at once."""
    asked = Event()

    def ask(number: int, _frame: object) -> None:
        asked.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return asked.is_set
