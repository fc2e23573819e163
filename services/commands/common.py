"""What every command shares: options, output, exit codes. Imports nothing heavy: it is loaded for ``--help`` too."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from services.settings import Settings
    from streams.log.base import EventLog

DONE, NO, BAD_INPUT, MISSING = 0, 1, 2, 3
"""Exit codes: done; the answer is no; wrong use or bad input; a dependency is missing."""

LogOption = Annotated[
    str | None, typer.Option("--log", metavar="URL", help="sqlite:///PATH or kafka://HOST:PORT; default TAPELINE_LOG.")
]
DbOption = Annotated[
    str | None, typer.Option("--db", metavar="URL", help="embedded:FOLDER or postgresql://...; default TAPELINE_DB.")
]
MetricsOption = Annotated[
    int | None, typer.Option("--metrics-port", metavar="PORT", help="Serve /metrics; 0: a free port; default none.")
]
API_PORT_BY = "--port or TAPELINE_API_PORT"
ShardsOption = Annotated[
    int | None,
    typer.Option("--shards", min=1, help="Partitions of a new log, fixed for ever; default TAPELINE_SHARDS."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON for machines.")]


OPTION_OF = {
    "TAPELINE_LOG": "--log",
    "TAPELINE_DB": "--db",
    "TAPELINE_METRICS_PORT": "--metrics-port",
    "TAPELINE_SHARDS": "--shards",
    "TAPELINE_API_HOST": "--host",
    "TAPELINE_API_PORT": "--port",
}
"""The option that goes before a variable."""


class CliError(Exception):
    """An error of ours with its exit code; the message is one line that says what to do."""

    def __init__(self, message: str, *, exit_code: int = BAD_INPUT) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Options:
    """What was given before the command."""

    debug: bool
    env_file: Path
    env_file_given: bool = False


def load(
    context: typer.Context,
    *,
    log: str | None = None,
    db: str | None = None,
    metrics_port: int | None = None,
    shards: int | None = None,
    more: Mapping[str, str | None] | None = None,
    service: bool = False,
) -> Settings:
    """Return the settings in force, given options over the environment, and start the redacted logs.

    ``more``: further options by variable name; None: not given. ``service``: a process that runs on logs at the level
    set; a command that answers and ends logs warnings only, unless ``--debug``. Raises SettingsError.
    """
    from schemas.settings import SettingsError
    from services.settings import load_settings

    options: Options = context.obj
    given = {
        "TAPELINE_LOG": log,
        "TAPELINE_DB": db,
        "TAPELINE_METRICS_PORT": None if metrics_port is None else str(metrics_port),
        "TAPELINE_SHARDS": None if shards is None else str(shards),
        "TAPELINE_LOG_LEVEL": "DEBUG" if options.debug else None,
    }
    overrides = {name: value for name, value in {**given, **(more or {})}.items() if value is not None}
    try:
        settings = load_settings(env_file=options.env_file, env_file_given=options.env_file_given, overrides=overrides)
    except SettingsError as error:
        raise CliError(_by_option(str(error), overrides)) from error
    from services.logs import configure_logs, secrets_in

    quiet = not service and not options.debug and settings.service.log_level in ("DEBUG", "INFO")
    secrets = [*settings.secrets(), *secrets_in(os.environ)]
    configure_logs(level="WARNING" if quiet else settings.service.log_level, secrets=secrets)
    return settings


def _by_option(problems: str, overrides: Mapping[str, str]) -> str:
    """Return the problems with the option in place of its variable where the value came from the command line."""
    for variable, option in OPTION_OF.items():
        if variable in overrides:
            problems = re.sub(rf"(?:^|(?<=; )){variable}(?=[ :=])", option, problems)
    return problems


def refuse_shard_beyond(settings: Settings) -> None:
    """Raise CliError where the shard is not one of the log's."""
    service = settings.service
    if service.shard >= service.shards:
        raise CliError(f"TAPELINE_SHARD={service.shard}: shards count from 0 and --shards is {service.shards}")


def refuse_recording_elsewhere(settings: Settings) -> None:
    """Raise CliError where recorded data would be traded on a real venue: nobody would fill its orders."""
    if settings.trading.venue != "PAPER":
        raise CliError(f"TAPELINE_VENUE={settings.trading.venue}: recorded data is traded on PAPER only")


@contextmanager
def open_log(url: str, *, read_only: bool = True) -> Iterator[EventLog]:
    """Open the log for as long as the block lasts. Raises LogError."""
    from streams.log import open_log as open_by_url

    log = open_by_url(url, read_only=read_only)
    try:
        yield log
    finally:
        log.close()


def emit(content: Any, *, as_json: bool, human: Callable[[], str]) -> None:
    """Write a result: JSON for machines, else the text ``human`` returns."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, default=str) if as_json else human()
    sys.stdout.write(text.rstrip("\n") + "\n")


def line(content: Any) -> None:
    """Write one JSON line."""
    sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")


def note(text: str) -> None:
    """Write a line beside the result: to stderr, where no reader of our output trips over it."""
    sys.stderr.write(text + "\n")


def table(rows: list[list[str]]) -> str:
    """Return rows as aligned columns; the first row is the heading."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(row).rstrip() for row in padded)


def safe_text(text: str) -> str:
    """Return a text without secrets: error messages quote what they were given."""
    from services.logs import redact_text

    return redact_text(text)


def refuse_unknown_language(lang: str) -> None:
    """Raise CliError for a language no summary is written in."""
    if lang not in ("en", "zh"):
        raise CliError(f"--lang {lang}: must be en or zh")
