"""How much room is left on the disk that holds the log: without any, nothing is committed and nothing is decided."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from services.settings import ServiceSettings

SQLITE = "sqlite"


def log_folder(service: ServiceSettings) -> Path | None:
    """Return a folder on the log's disk: the one set, else SQLite's own; None: the log is on another machine's."""
    if service.log_disk:
        return Path(service.log_disk)
    parts = urlsplit(service.log)
    return Path(parts.path[1:]).absolute().parent if parts.scheme == SQLITE else None


def free_ratio(folder: Path) -> float:
    """Return the share of the disk that programs may still fill, 0 to 1; not a number where it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return float("nan")
    usable = disk.f_blocks - disk.f_bfree + disk.f_bavail
    return disk.f_bavail / usable if usable else 0.0
