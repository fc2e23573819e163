"""``tapeline run``: all services on one machine."""

from __future__ import annotations

import sys
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
    refuse_unknown_language,
)
from services.ports import Address, refuse_taken
from services.program import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from services.feeds import Feed
    from services.query.database import ReadDatabase
    from services.running import Services
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
    refuse_unknown_language(lang)
    more = {"TAPELINE_API_PORT": None if port is None else str(port)}
    settings = load(context, log=log, db=db, shards=shards, more=more)
    _refuse_to_start(settings, live=live, api=api)
    from services.demo import choose_feed
    from services.query.database import ReadDatabase
    from services.review.whole import review_log
    from services.running import all_services
    from services.signals import stop_alarm
    from services.stores import open_database
    from streams.log import create_log

    service, shards = settings.service, settings.service.shards
    database = service.db.get_secret_value()
    tape, source = (None, "OKX, live") if live else choose_feed(feed or [], instruments, note)
    orders = "our own simulator" if settings.trading.venue == "PAPER" else f"OKX ({service.mode}), by gateway okx"
    note(f"feed: {source}; orders: {orders}; log: {service.log}; the services log to {folder}")
    stopped = stop_alarm()
    with open_log(service.log, read_only=False) as opened, open_database(database) as dsn:
        create_log(opened, shards=shards)
        make = partial(review_log, opened, service.shard, service.log, lang=lang, prove=prove)
        review = _Review(opened, service.shard, make)
        options = ["--port", str(service.api_port)] if api else None
        start = partial(all_services, folder, env_file=context.obj.env_file, log=service.log, db=database, api=options)
        with start(shards=shards, model=bool(service.llm_model)) as services, closing(ReadDatabase(dsn)) as reader:
            if api:
                note(f"API: http://{service.api_host}:{service.api_port}/docs")
            if live or api or speed:
                note(f"review so far: {program()} review run --log {service.log}; Ctrl-C ends the run and shows it")
            take = _follow if tape is None else partial(_drive, tape, speed=speed)
            done = take(opened, reader, services, settings, shards=shards, stopped=stopped)
            if done and api and not live and not as_json:
                review.show(complete=done, as_json=False)
                note("the feed is over, this was its review; the API goes on until Ctrl-C")
            while done and api and not stopped.wait(1.0):
                services.check()
        proven = review.show(complete=done, as_json=as_json)
    if proven is False:
        raise typer.Exit(NO)


def _follow(
    opened: EventLog, reader: ReadDatabase, services: Services, settings: Settings, *, shards: int, stopped: Event
) -> bool:
    """Take OKX's live market until told to stop; return whether everything was taken."""
    from services.running import follow_okx

    service = settings.service
    return follow_okx(
        opened, reader, services, log_url=service.log, shard=service.shard, shards=shards, stopped=stopped,
        context=bool(service.context_sources),
    )  # fmt: skip


def _drive(
    tape: Feed, opened: EventLog, reader: ReadDatabase, services: Services, settings: Settings, *, speed: float,
    shards: int, stopped: Event,
) -> bool:  # fmt: skip
    """Put a recording on the log, at its speed; return whether everything was taken."""
    from services.importer import warned
    from services.running import await_caught_up, drive

    ticks = warned(tape, settings.trading.instruments_allowed, note)
    drive(opened, ticks, settings, services, speed=speed, shards=shards, stopped=stopped)
    return await_caught_up(opened, reader, services, shard=settings.service.shard, stopped=stopped)


class _Review:
    """The review of the run, shown when a recording is over and once more at the end if something has come since."""

    def __init__(self, opened: EventLog, shard: int, make: Callable[[], tuple[str, bool | None]]) -> None:
        self._opened, self._shard, self._make = opened, shard, make
        self._seen: tuple[int, bool | None] | None = None

    def show(self, *, complete: bool, as_json: bool) -> bool | None:
        """Write the review, unless it was written and nothing has come since; return whether it is proven."""
        from services.review.run import TOPICS_READ

        end = sum(self._opened.end_offset(topic, self._shard) for topic in TOPICS_READ)
        if self._seen is None or self._seen[0] != end:
            summary, proven = self._make()
            self._seen = (end, proven)
            emit({"summary": summary, "complete": complete, "proven": proven}, as_json=as_json, human=lambda: summary)
            sys.stdout.flush()
        return self._seen[1]


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
    if service.mode != "paper" and settings.trading.venue == "PAPER":
        raise CliError(
            f"TAPELINE_MODE={service.mode} with TAPELINE_VENUE=PAPER: this would trade on paper; set TAPELINE_VENUE=OKX"
            " (on a log of its own, with `tapeline gateway okx` beside it), or TAPELINE_MODE=paper"
        )
    if service.metrics_port:
        raise CliError(
            f"TAPELINE_METRICS_PORT={service.metrics_port}: the services of `run` cannot share a port; "
            "0 gives each a free one, empty none"
        )
    if api:
        refuse_taken(Address(service.api_host, service.api_port, "TAPELINE_API_HOST", API_PORT_BY))
