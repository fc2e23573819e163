"""End with the process that started this one, however that one ended: a killed supervisor leaves nobody behind.

The supervisor holds the other end of our standard input and writes nothing. When it is gone, by SIGKILL or a crash, the
system closes its end; that works wherever there are pipes, and needs nothing of the supervisor at its end.
"""

from __future__ import annotations

import os
import signal
from threading import Event, Thread

GRACE_S = 25.0
"""How long a clean stop may take before the process ends at once."""
DYING_S = 1.0
DYING_LOOKS = 100
"""How long, in how many looks, the supervisor's death is waited for once its end of the pipe is closed."""
ABANDONED = 1
"""Exit code of a process that did not stop cleanly."""
_STDIN = 0


def end_with_parent(*, grace_s: float = GRACE_S) -> None:
    """Begin to watch standard input; when it closes, ask this process to stop, and end it when it does not.

    Until the command has its own way to stop, being asked unwinds what is open: a database started is stopped again.
    Call it in the main thread.
    """
    signal.signal(signal.SIGTERM, _leave)
    Thread(target=_watch, args=(grace_s, os.getppid()), name="parent-watch", daemon=True).start()


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _watch(grace_s: float, parent: int) -> None:
    while os.read(_STDIN, 1024):
        pass
    # A process that dies closes its files a moment before it counts as dead, and who still lives holds the database.
    for _ in range(DYING_LOOKS):
        if os.getppid() != parent:
            break
        Event().wait(DYING_S / DYING_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
    Event().wait(grace_s)  # the process ends meanwhile, and this thread with it
    os._exit(ABANDONED)
