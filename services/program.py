"""How this program was started, for the commands it tells its user to type."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

NAME = "tapeline"


def program() -> str:
    """Return what to type before a command: ``tapeline`` where the shell finds this one, else how it was started."""
    started = Path(sys.argv[0])
    if started.name == "cli.py":
        return f"{_short(Path(sys.executable))} -m services.cli"
    found = shutil.which(NAME)
    if started.name != NAME or (found and started.exists() and Path(found).samefile(started)):
        return NAME
    return _short(started)


def _short(path: Path) -> str:
    """Return a path as seen from the folder we are in. Links are not followed: an environment's Python is one."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)
