"""``tapeline review``: what a day or a whole run came to, and telling it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.commands.common import (
    NO,
    CliError,
    DbOption,
    JsonOption,
    LogOption,
    MetricsOption,
    emit,
    load,
    note,
    open_log,
    refuse_unknown_language,
)

if TYPE_CHECKING:
    from datetime import date

    from services.query.database import ReadDatabase
    from services.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="What a day, or a whole run, came to.", no_args_is_help=True, rich_markup_mode=None)
    group.command("day")(day)
    group.command("run")(run)
    group.callback()(_group)
    app.add_typer(group, name="review")


def _group() -> None:
    """What a day, or a whole run, came to."""


def run(
    context: typer.Context,
    log: LogOption = None,
    prove: Annotated[
        bool, typer.Option("--prove/--no-prove", help="Verify the run before; it takes its time.")
    ] = False,
    lang: Annotated[str, typer.Option("--lang", help="Language of the summary: en or zh.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Show what a log came to so far, also while it is traded on: plans, trades, money, limits. Reads only the log."""
    refuse_unknown_language(lang)
    settings = load(context, log=log)
    from services.review.whole import review_log

    service = settings.service
    with open_log(service.log) as opened:
        summary, proven = review_log(opened, service.shard, service.log, lang=lang, prove=prove)
    emit({"summary": summary, "proven": proven}, as_json=as_json, human=lambda: summary)
    if proven is False:
        raise typer.Exit(NO)


def day(
    context: typer.Context,
    when: Annotated[str | None, typer.Argument(metavar="DAY", help="UTC day, YYYY-MM-DD; default yesterday.")] = None,
    db: DbOption = None,
    tell: Annotated[bool, typer.Option("--tell", help="Hand it to Alertmanager, which tells who is to know.")] = False,
    daily: Annotated[bool, typer.Option("--daily", help="Go on: tell each day five minutes after it is over.")] = False,
    metrics_port: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what one UTC day came to: equity, trades, plans, halts. Exit 1: the account had no equity on it."""
    if daily and (when or tell or as_json):
        raise CliError("--daily tells every day by itself: leave out DAY, --tell and --json")
    settings = load(context, db=db, metrics_port=metrics_port, service=daily)
    from services.query.database import ReadDatabase
    from services.stores import open_database

    service = settings.service
    password = service.db_read_password
    with open_database(service.db.get_secret_value()) as dsn:
        database = ReadDatabase(dsn, password=None if password is None else password.get_secret_value())
        try:
            if daily:
                _tell_daily(settings, database)
            else:
                _show(settings, database, _day(when), tell=tell, as_json=as_json)
        finally:
            database.close()


def _day(when: str | None) -> date:
    from datetime import UTC, date, datetime, timedelta

    if when is None:
        return datetime.now(UTC).date() - timedelta(days=1)
    try:
        return date.fromisoformat(when)
    except ValueError as error:
        raise CliError(f"{when}: a day is written YYYY-MM-DD") from error


def _show(settings: Settings, database: ReadDatabase, wanted: date, *, tell: bool, as_json: bool) -> None:
    from services.review.day import content, headline, review_day, text
    from services.telling.post import post
    from services.telling.reviewer import message_of

    account = settings.trading.account_id
    review = review_day(database, account, wanted)
    if review is None:
        note(f"{wanted}: account {account} had no equity on that day")
        raise typer.Exit(NO)
    if tell:
        post(settings.service.alertmanager_url, message_of(review))
    emit(content(review), as_json=as_json, human=lambda: f"{headline(review)}\n{text(review)}")


def _tell_daily(settings: Settings, database: ReadDatabase) -> None:
    from functools import partial

    from services.metrics.catalog import Metrics, Service
    from services.metrics.serve import serve_metrics
    from services.review.day import review_day
    from services.signals import stop_alarm
    from services.telling.reviewer import Reviewer

    service, metrics, stop = settings.service, Metrics(Service.REVIEWER), stop_alarm()
    reviewer = Reviewer(partial(review_day, database, settings.trading.account_id), service.alertmanager_url, metrics)
    with serve_metrics(metrics.registry, host=service.metrics_host, port=service.metrics_port):
        reviewer.run(stop=stop)
