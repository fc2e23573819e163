"""``tapeline demo``: recorded data through the whole chain on this machine, then the review of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.commands.common import NO, JsonOption, emit, load, note, refuse_recording_elsewhere
from services.program import program

FeedOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--feed",
        metavar="FILE",
        help="A recorded file, again for more; or synthetic: the made-up tape. Default: the recordings, if any.",
    ),
]
DemoLogOption = Annotated[
    str | None,
    typer.Option("--log", metavar="URL", help="A new log: sqlite:///PATH or kafka://HOST:PORT; default FOLDER/log.db."),
]
InstrumentsOption = Annotated[
    Path | None, typer.Option("--instruments", help="The venue's own instruments reply, over the shipped table.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    feed: FeedOption = None,
    instruments: InstrumentsOption = None,
    log: DemoLogOption = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of the summary: en or zh.")] = "en",
    folder: Annotated[
        Path,
        typer.Option(
            "--folder", help="Where the run is kept; an earlier demo in it is replaced, anything else refused."
        ),
    ] = Path("var/demo"),
    as_json: JsonOption = False,
) -> None:
    """Take recorded OKX data through the chain, trade it on paper, prove the run and show its review."""
    if lang not in ("en", "zh"):
        raise typer.BadParameter(f"{lang}: must be en or zh", param_hint="--lang")
    settings = load(context)
    refuse_recording_elsewhere(settings)
    from projections.embedded import EmbeddedPostgres
    from projections.migrate import migrate
    from services.demo import choose_feed, fresh_folder, refuse_used_log, run_demo
    from services.importer import warned
    from services.progress import progress_bars

    if log is not None:
        refuse_used_log(log, folder)
    tape, source = choose_feed(feed or [], instruments, note)
    note(f"feed: {source}")
    home = fresh_folder(folder)
    log_url = log or f"sqlite:///{home}/log.db"
    with EmbeddedPostgres(home / "postgres") as server, progress_bars() as progress:
        migrate(server.dsn)
        result = run_demo(
            warned(tape, settings.trading.instruments_allowed, note),
            settings.trading,
            dsn=server.dsn,
            log_url=log_url,
            language="zh" if lang == "zh" else "en",
            progress=progress,
            commands=further(log_url, home),
        )
    seconds = {phase: round(value, 1) for phase, value in result.seconds.items()}
    note("seconds: " + ", ".join(f"{phase} {value}" for phase, value in seconds.items()))
    content: dict[str, Any] = {"summary": result.summary, "proven": result.report.proven, "seconds": seconds}
    emit(content, as_json=as_json, human=lambda: result.summary)
    if not result.report.proven:
        raise typer.Exit(NO)


def further(log_url: str, home: Path) -> list[str]:
    """Return the commands that look further into a run."""
    tapeline = program()
    return [
        f"{tapeline} log topics --log {log_url}",
        f"{tapeline} log cat accounts --type TradeClosed --limit 3 --log {log_url}",
        f"{tapeline} log cat verdicts --type PlanDenied --limit 1 --log {log_url}",
        f"{tapeline} replay verify --log {log_url}",
        f"{tapeline} api --log {log_url} --db embedded:{home}/postgres   then http://127.0.0.1:8000/docs",
    ]
