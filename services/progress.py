"""Progress bars on stderr for long work; plain silence where nobody is watching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Show(Protocol):
    """Shows how far a phase is; ``total`` None where it is not known."""

    def __call__(self, phase: str, done: int, total: int | None = None, /) -> None:
        """Show ``done`` of ``total`` for a phase."""


@contextmanager
def progress_bars() -> Iterator[Show]:
    """Yield ``show(phase, done, total)``: one bar a phase, drawn on a terminal only."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def show(phase: str, done: int, total: int | None = None, /) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield show
