"""Helper processes of ``multiprocessing`` end with the process that started them, also when that one is killed.

Python ends them in its own exit handlers only: after a SIGKILL of the parent they would wait for work for ever. They
hold nothing a crash could harm.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import wait
from threading import Thread

ORPHANED = 1
"""Exit code of a helper whose parent is gone."""


def end_with_parent() -> None:
    """Begin to watch the parent; end this process at once when it is gone. For the first line of a helper."""
    Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(ORPHANED)
