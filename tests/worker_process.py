"""The Faust worker as a process of its own, watched through its log lines and the event log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread

from tests import waiting

ROOT = Path(__file__).parent.parent
PATIENCE_S = waiting.PATIENCE_S


class WorkerProcess:
    """One worker. Its standard error is read as it comes, and is part of every failure message."""

    def __init__(
        self, log_url: str, *, worker_id: str = "worker-0", stages: str = "tests.toy:STAGES", **options: object
    ):
        arguments = ["--log", log_url, "--worker-id", worker_id, "--stages", stages]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams.app", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._news = Condition()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def seconds_to(self, pattern: str) -> float:
        """Wait for a line that matches and return the seconds since the start."""
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while not any(re.search(pattern, line) for line in self.lines):
                if not self._reader.is_alive() or not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no line {pattern!r} from the worker:\n{self.said()}")
        return time.monotonic() - self.started

    def said(self) -> str:
        """Return everything the worker has written."""
        return "".join(self.lines)

    def exit_code(self) -> int:
        """Wait for the end of the process and return its code."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            state = Path(f"/proc/{self.process.pid}/status").read_text()[:200]
            raise AssertionError(f"the worker does not end: {state}\n{self.said()}") from error
        self._reader.join(5)
        return code

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it where it stands, if it still runs, and wait for its end."""
        if self.process.poll() is None:
            self.send(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


def eventually(condition: Callable[[], bool], what: str, worker: WorkerProcess | None = None) -> None:
    """Look until a condition holds; fail with what the worker said when it does not come true, or the worker ends."""
    if worker is None:
        waiting.eventually(condition, what)
    else:
        waiting.eventually(condition, what, alive=lambda: worker.process.poll() is None, said=worker.said)
