"""``tapeline feed``: recorded data in."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from services.commands.common import (
    CliError,
    JsonOption,
    LogOption,
    ShardsOption,
    emit,
    load,
    note,
    open_log,
    refuse_shard_beyond,
)
from services.moments import parse_moment
from services.program import program


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Recorded data in.", no_args_is_help=True, rich_markup_mode=None)
    group.command("import")(import_files)
    group.callback()(_group)
    app.add_typer(group, name="feed")


def _group() -> None:
    """Recorded data in."""


def import_files(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files: candles, marks, funding, trades, raw WebSocket lines; or synthetic: made up."),
    ],
    log: LogOption = None,
    instruments: Annotated[
        Path | None, typer.Option("--instruments", help="The venue's own instruments reply, over the shipped table.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--instrument", metavar="ID", help="Only this one; may be given again.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="From this moment on, ISO 8601 with its zone.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this moment.")] = None,
    warmup_days: Annotated[
        float | None, typer.Option("--warmup-days", min=0.0, help="Bars loaded as history; default 3 for bar files.")
    ] = None,
    shards: ShardsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put recorded files on the log as ticks, in feed order; an import that was killed is simply run again."""
    settings = load(context, log=log, shards=shards)
    refuse_shard_beyond(settings)
    from services.feeds import names_synthetic, open_feed, synthetic_feed
    from services.importer import import_feed, warned
    from services.progress import progress_bars

    warmup = None if warmup_days is None else timedelta(days=warmup_days)
    if names_synthetic(paths, instruments=instruments, instrument=only, **{"from": start, "to": end}):
        feed = synthetic_feed(warmup=warmup)
    else:
        feed = open_feed(
            paths,
            instruments_file=instruments,
            warmup=warmup,
            instruments=only or None,
            start=_moment("--from", start),
            end=_moment("--to", end),
        )
    with open_log(settings.service.log, read_only=False) as opened, progress_bars() as show:
        appended = import_feed(
            opened,
            warned(feed, settings.trading.instruments_allowed, note),
            settings.trading,
            shard=settings.service.shard,
            shards=settings.service.shards,
            progress=partial(show, "import"),
        )
    summary = asdict(feed.summary()) | {"appended": appended, "log": settings.service.log}
    emit(summary, as_json=as_json, human=lambda: _words(summary))


def _moment(option: str, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_moment(value)
    except ValueError as error:
        raise CliError(f"{option}: {error}") from error


def _words(summary: dict[str, Any]) -> str:
    from schemas.json_form import iso

    counts = ", ".join(f"{count} {kind}" for kind, count in summary["ticks"].items())
    period = " to ".join(str(iso(ts)) for ts in (summary["ts_first"], summary["ts_last"]) if ts is not None)
    lines = [
        f"{summary['appended']} ticks appended to {summary['log']}: {counts}",
        f"{summary['origin']}, {', '.join(summary['instruments'])}, {period}",
    ]
    if summary["quarantined"]:
        lines.append(
            f"{summary['quarantined']} of {summary['lines']} lines could not be read; they are on the log: "
            f"{program()} log cat ticks --type LineQuarantined --log {summary['log']}"
        )
    return "\n".join(lines)
