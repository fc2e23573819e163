"""What a process that ended said last: the reason, for whoever watched it, without its traceback."""

from __future__ import annotations

import json
from pathlib import Path

TAIL_BYTES = 16_384
LENGTH_MAX = 600
_LEVELS = ("critical", "error")


def last_words(output: bytes) -> str:
    """Return the last error in a process's output, else its last line; at most LENGTH_MAX characters.

    Lines are our JSON logs, the plain ones of ``python -m streams.app`` or anything else.
    """
    lines = [line.strip() for line in output[-TAIL_BYTES:].decode("utf-8", "replace").splitlines() if line.strip()]
    said = next((words for line in reversed(lines) if (words := _error_in(line))), lines[-1] if lines else "no word")
    return said[:LENGTH_MAX]


def last_words_in(path: Path) -> str:
    """Return the last words in a log file; it may not be there."""
    if not path.is_file():
        return "no word"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return last_words(file.read(TAIL_BYTES))


def _error_in(line: str) -> str | None:
    if line.startswith("tapeline: "):
        return line.removeprefix("tapeline: ")
    if " CRITICAL " in line:
        return line.partition(" CRITICAL ")[2]
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    is_error = isinstance(entry, dict) and entry.get("level") in _LEVELS
    return str(entry.get("event")) if is_error else None
