"""``tapeline run``: all services on one machine."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.common import (
    API_PORT_BY,
    NO,
    CliError,
    DbOption,
    JsonOption,
    LogOption,
    ShardsOption,
    emit,
    load,
    note,
    open_log,
    refuse_recording_elsewhere,
)
from services.ports import Address, refuse_taken
from services.program import program

if TYPE_CHECKING:
    from services.settings import Settings
    from streams.log.base import EventLog

FOLDER = Path("var/run")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    context: typer.Context,
    feed: Annotated[
        list[Path] | None,
        typer.Option(
            "--feed", metavar="FILE", help="okx: live; synthetic: made up; or a recorded file, again for more."
        ),
    ] = None,
    instruments: Annotated[
        Path | None, typer.Option("--instruments", help="The venue's own instruments reply, over the shipped table.")
    ] = None,
    log: LogOption = None,
    db: DbOption = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.0, help="1: as it happened, 60: a minute a second, 0: as fast as it goes.")
    ] = 0.0,
    api: Annotated[bool, typer.Option("--api", help="Serve the HTTP API too, and go on after the feed's end.")] = False,
    port: Annotated[int | None, typer.Option("--port", help="Port of the API; default TAPELINE_API_PORT.")] = None,
    prove: Annotated[bool, typer.Option("--prove/--no-prove", help="Verify the run before the review.")] = True,
    shards: ShardsOption = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of the summary: en or zh.")] = "en",
    folder: Annotated[Path, typer.Option("--folder", help="Where the services' own logs go.")] = FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Run feed, Faust worker, projector and API together, then show the review. With TAPELINE_LLM_MODEL: llm too."""
    live = _is_live(feed or [], instruments, speed)
    _refuse_unknown_language(lang)
    more = {"TAPELINE_API_PORT": None if port is None else str(port)}
    settings = load(context, log=log, db=db, shards=shards, more=more)
    _refuse_to_start(settings, live=live, api=api)
    from services.demo import choose_feed
    from services.importer import warned
    from services.query.database import ReadDatabase
    from services.running import all_services, await_caught_up, drive, follow_okx
    from services.signals import stop_alarm
    from services.stores import open_database
    from streams.log import create_log

    service, shards = settings.service, settings.service.shards
    database = service.db.get_secret_value()
    tape, source = (None, "OKX, live") if live else choose_feed(feed or [], instruments, note)
    note(f"feed: {source}; log: {service.log}; the services log to {folder}")
    stopped = stop_alarm()
    with open_log(service.log, read_only=False) as opened, open_database(database) as dsn:
        create_log(opened, shards=shards)
        options = ["--port", str(service.api_port)] if api else None
        start = partial(all_services, folder, env_file=context.obj.env_file, log=service.log, db=database, api=options)
        with start(shards=shards, model=bool(service.llm_model)) as services, closing(ReadDatabase(dsn)) as reader:
            if api:
                note(f"API: http://{service.api_host}:{service.api_port}/docs")
            if tape is None:
                done = follow_okx(
                    opened, reader, services, log_url=service.log, shard=service.shard, shards=shards, stopped=stopped,
                    context=bool(service.context_sources),
                )  # fmt: skip
            else:
                ticks = warned(tape, settings.trading.instruments_allowed, note)
                drive(opened, ticks, settings, services, speed=speed, shards=shards, stopped=stopped)
                done = await_caught_up(opened, reader, services, shard=service.shard, stopped=stopped)
            while done and api and not stopped.wait(1.0):
                services.check()
        summary, proven = _review(opened, service.shard, service.log, lang=lang, prove=prove)
    emit({"summary": summary, "complete": done, "proven": proven}, as_json=as_json, human=lambda: summary)
    if proven is False:
        raise typer.Exit(NO)


def _review(opened: EventLog, shard: int, url: str, *, lang: str, prove: bool) -> tuple[str, bool | None]:
    """Return the summary of the run and whether it is proven; None: nobody asked."""
    from services.review.run import fold_run
    from services.review.summary import render
    from streams.pipeline import CODE_VERSION, stages
    from streams.verify import verify

    proof = verify(opened, shard, stages(), code_version=CODE_VERSION) if prove else None
    look = f"{program()} log cat ticks --type LineQuarantined --log {url}"
    summary = render(fold_run(opened, shard), language="zh" if lang == "zh" else "en", proof=proof, look=look)
    return summary, None if proof is None else proof.proven


def _is_live(feed: list[Path], instruments: Path | None, speed: float) -> bool:
    """Say whether the feed is OKX's live one. Raises CliError where options do not go with it."""
    if not any(str(path) == "okx" for path in feed):
        return False
    if len(feed) > 1 or instruments is not None or speed:
        raise CliError("--feed okx: the market is live; it goes without other feeds, --instruments and --speed")
    return True


def _refuse_to_start(settings: Settings, *, live: bool, api: bool) -> None:
    """Raise CliError or CannotListen before anything is started that could not go on."""
    if not live:
        refuse_recording_elsewhere(settings)
    service = settings.service
    if service.metrics_port:
        raise CliError(
            f"TAPELINE_METRICS_PORT={service.metrics_port}: the services of `run` cannot share a port; "
            "0 gives each a free one, empty none"
        )
    if api:
        refuse_taken(Address(service.api_host, service.api_port, "TAPELINE_API_HOST", API_PORT_BY))


def _refuse_unknown_language(lang: str) -> None:
    if lang not in ("en", "zh"):
        raise CliError(f"--lang {lang}: must be en or zh")
