"""``tapeline replay``: prove a run from its log, or rebuild its tables."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.commands.common import NO, DbOption, JsonOption, LogOption, MetricsOption, emit, load, open_log, table

if TYPE_CHECKING:
    from services.settings import ServiceSettings
    from streams.verify import Report


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="Prove a run from its log, or rebuild its tables.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("verify")(verify_run)
    group.command("rebuild")(rebuild_tables)
    app.add_typer(group, name="replay")


def verify_run(
    context: typer.Context,
    log: LogOption = None,
    shard: Annotated[int | None, typer.Option("--shard", min=0, help="Shard; default TAPELINE_SHARD.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = min(4, os.cpu_count() or 1),
    every: Annotated[
        float | None, typer.Option("--every", min=0.001, help="Go on: each so many hours prove what is new.")
    ] = None,
    metrics_port: MetricsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the recorded inputs again in the recorded order and compare every output. Exit 1: something differs."""
    service = load(context, log=log, metrics_port=metrics_port, service=every is not None).service
    if every is not None:
        _verify_for_ever(service, service.shard if shard is None else shard, every)
        return
    from services.progress import progress_bars
    from streams.log import open_log as open_by_url
    from streams.pipeline import CODE_VERSION, stages
    from streams.verify import verify

    number = service.shard if shard is None else shard
    with open_log(service.log) as opened, progress_bars() as show:
        report = verify(
            opened,
            number,
            stages(),
            open_again=partial(open_by_url, service.log, read_only=True),
            stages_again=stages,
            workers=workers,
            progress=partial(show, "verify"),
            code_version=CODE_VERSION,
        )
    emit(_content(report), as_json=as_json, human=lambda: _words(report))
    if not report.proven:
        raise typer.Exit(NO)


def _verify_for_ever(service: ServiceSettings, shard: int, every: float) -> None:
    from services.metrics.catalog import Metrics, Service
    from services.metrics.serve import serve_metrics
    from services.signals import stop_alarm
    from services.verifier import HOUR_S, Verifier
    from streams.log import open_log as open_by_url
    from streams.pipeline import CODE_VERSION, stages

    metrics, stop = Metrics(Service.VERIFIER), stop_alarm()
    open_again = partial(open_by_url, service.log, read_only=True)
    verifier = Verifier(open_again, shard, stages, metrics, code_version=CODE_VERSION)
    with serve_metrics(metrics.registry, host=service.metrics_host, port=service.metrics_port):
        if not verifier.run(every_s=every * HOUR_S, stop=stop):
            raise typer.Exit(NO)


def _content(report: Report) -> dict[str, Any]:
    return {"proven": report.proven, **asdict(report)}


def _words(report: Report) -> str:
    rows = [["topic", "records", "digest"]]
    rows += [[topic, str(count), "input"] for topic, count in report.inputs.items()]
    rows += [[topic, str(count), report.digests.get(topic, "-")] for topic, count in report.outputs.items()]
    counted = "\n".join(
        [f"{report.steps} steps in {report.commits} commits run again", table(rows), *_versions(report)]
    )
    if report.difference is None:
        return f"{counted}\nPROVEN: every output is what the inputs give"
    difference = report.difference
    return f"{counted}\nDIFFERENT at step {difference.step}, {difference.what}:\n{difference.detail}"


def _versions(report: Report) -> list[str]:
    """Return a line for each stretch of the run that another version of the code recorded."""
    return [
        f"steps {part.first_step}..{part.last_step} were recorded by {part.code_version}, this is "
        f"{report.code_version}: {'the same decisions' if part.proven else 'NOT the same decisions'}"
        for part in report.recorded
        if part.code_version != report.code_version
    ]


def rebuild_tables(
    context: typer.Context,
    log: LogOption = None,
    db: DbOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare only; leave the tables in service as they are.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill new tables from the log, compare them with those in service, and switch. Exit 1: they differed."""
    settings = load(context, log=log, db=db)
    from projections.rebuild import rebuild
    from services.progress import progress_bars
    from services.projection import LogSource
    from services.stores import open_database

    database = settings.service.db.get_secret_value()
    with open_log(settings.service.log) as opened, open_database(database) as dsn, progress_bars() as show:
        done = rebuild(
            LogSource(opened),
            dsn,
            switch=not check,
            on_progress=lambda at: show(f"{at.topic}/{at.partition}", at.offset, at.end_offset),
        )
    digests = {name: {"rows": digest.rows, "digest": digest.digest} for name, digest in done.digests.items()}
    content = {
        "compared": done.compared, "differences": list(done.differences), "switched": done.switched, "tables": digests,
    }  # fmt: skip
    rows = [["table", "rows", "digest"], *([name, str(d.rows), d.digest[:16]] for name, d in done.digests.items())]
    verdict = _verdict(done.compared, done.differences)
    emit(content, as_json=as_json, human=lambda: f"{table(rows)}\n{verdict}")
    if done.differences:
        raise typer.Exit(NO)


def _verdict(compared: bool, differences: tuple[str, ...]) -> str:
    if differences:
        return "DIFFERENT from the tables that were in service:\n" + "\n".join(differences)
    return "EQUAL to the tables that were in service" if compared else "there were no tables in service to compare with"
