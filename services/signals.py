"""Stop cleanly on SIGINT and SIGTERM."""

from __future__ import annotations

import signal
from threading import Event


def stop_alarm() -> Event:
    """Return an event that is set when the process is asked to stop; a second signal ends it at once."""
    asked = Event()

    def ask(number: int, _frame: object) -> None:
        asked.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return asked
