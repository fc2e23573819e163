"""``tapeline log export`` and ``tapeline log import``: a whole log as files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.commands.common import JsonOption, LogOption, emit, load, open_log, table

Folder = Annotated[Path, typer.Argument(help="The folder of the copy.")]


def export(context: typer.Context, folder: Folder, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Copy every topic into a new folder; the trader may go on meanwhile."""
    from services.backup import export_log
    from services.progress import progress_bars

    with open_log(load(context, log=log).service.log) as opened, progress_bars() as progress:
        totals = export_log(opened, folder, progress=progress)
    _show(totals, as_json=as_json)


def import_copy(context: typer.Context, folder: Folder, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Write a copy into an empty log, every record at its old offset, after checking all of it."""
    from services.backup import import_log
    from services.progress import progress_bars

    with open_log(load(context, log=log).service.log, read_only=False) as opened, progress_bars() as progress:
        totals = import_log(opened, folder, progress=progress)
    _show(totals, as_json=as_json)


def _show(totals: dict[str, int], *, as_json: bool) -> None:
    rows = [["topic", "records"], *([name, str(count)] for name, count in totals.items())]
    emit(totals, as_json=as_json, human=lambda: table(rows))
