"""``tapeline``: the command line. Loads only the command group that is asked for; help loads none of them.

Exit codes: 0 done; 1 the answer is no (verification failed, plan denied); 2 wrong use or bad input; 3 a dependency is
missing or unreachable. Errors are one line on stderr; ``--debug`` adds the traceback.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from services.commands.common import BAD_INPUT, MISSING, NO, CliError, Options, safe_text
from services.parent import end_with_parent

RESTART = 75
"""EX_TEMPFAIL: whoever supervises the process starts it again, as it does with a worker."""

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("demo", "demo", "The whole chain on recorded data, then the review of the run."),
    ("run", "run", "All services on one machine: feed, Faust worker, projector, API."),
    ("worker", "worker", "The trader as a Faust worker."),
    ("feed", "feeds", "Recorded data in: candles, marks, funding, trades, raw WebSocket lines."),
    ("gateway", "gateway", "The programs that talk to a venue: OKX's market data in, orders out."),
    ("adapters", "adapters", "News, search trends and on-chain numbers onto the log."),
    ("llm", "llm", "The completion service: asks a language model what the planner wants to know."),
    ("api", "api", "The HTTP API: read side and control side."),
    ("migrate", "migrate", "Create or upgrade the database's tables."),
    ("projector", "projector", "Keep the database up to the log."),
    ("plan", "trading", "Ask for a plan, or send one through risk."),
    ("position", "trading", "Close a position."),
    ("account", "trading", "Pay paper cash in or take it out; on OKX: book cash that differs."),
    ("risk", "trading", "Pause, resume, kill, move a limit, or look at the trading state."),
    ("review", "review", "What a day came to."),
    ("replay", "replay", "Prove a run from its log, or rebuild its tables."),
    ("log", "log", "The log itself: topics, tail, cat; export and import."),
    ("probe", "probe", "Ask a service whether it is well, for health checks."),
    ("doctor", "doctor", "What is installed, reachable and configured."),
)
"""Command, module of ``services.commands`` that registers it, and its line of help."""

ERRORS: dict[str, int] = {
    "schemas.settings:SettingsError": BAD_INPUT,
    "schemas.plan_document:PlanDocumentError": BAD_INPUT,
    "schemas.codec:CodecError": BAD_INPUT,
    "services.feeds.model:FeedError": BAD_INPUT,
    "services.ports:CannotListen": MISSING,
    "services.gateways.okx.market.errors:MarketGatewayError": MISSING,
    "services.sole_writer:WriterStopped": RESTART,
    "services.gateways.okx.start:StartRefused": BAD_INPUT,
    "services.gateways.okx.owner:OtherAccount": BAD_INPUT,
    "services.gateways.okx.owner:GatewayStopped": RESTART,
    "services.gateways.okx.venue:VenueUnavailable": MISSING,
    "streams.log.base:LogError": MISSING,
    "streams.journal:TraderStopped": NO,
    "services.backup:BackupError": BAD_INPUT,
    "services.demo:DemoError": MISSING,
    "services.running:ServiceEnded": MISSING,
    "projections.connect:ProjectionError": MISSING,
    "services.query.database:DatabaseUnavailable": MISSING,
    "services.telling.post:NotTold": MISSING,
    "psycopg:OperationalError": MISSING,
    "builtins:ModuleNotFoundError": MISSING,
    "builtins:FileNotFoundError": BAD_INPUT,
    "builtins:PermissionError": BAD_INPUT,
    "builtins:IsADirectoryError": BAD_INPUT,
}
"""Errors a user can do something about, and their exit code. Anything else is a bug and keeps its traceback."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        code = _build(given)(given, prog_name="tapeline", standalone_mode=False)
    except typer.Abort:
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left, as `| head` does
        raise SystemExit(0) from None
    except _expected_errors() as error:
        raise SystemExit(_report(error, debug)) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _build(given: Sequence[str]) -> typer.Typer:
    """Return the application: the wanted group in full, every other one as its line of help."""
    app = typer.Typer(
        help=(__doc__ or "").splitlines()[0].replace("``", ""), add_completion=False, no_args_is_help=True,
        rich_markup_mode=None, pretty_exceptions_enable=False,
    )  # fmt: skip
    app.callback()(_callback)
    wanted = _command(given)
    for name, module, words in COMMANDS:
        if name == wanted:
            import_module(f"services.commands.{module}").register(app)
        else:
            app.command(name, help=words)(_not_loaded)
    return app


def _command(given: Sequence[str]) -> str | None:
    """Return the first word that is neither an option nor an option's value."""
    words = iter(given)
    for word in words:
        if word == "--env-file":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _callback(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")] = False,
    env_file: Annotated[
        Path | None, typer.Option("--env-file", help="Where settings are read from; default .env, if it is there.")
    ] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="Stop when standard input closes: for supervisors.")
    ] = False,
) -> None:
    if until_stdin_closes:
        end_with_parent()
    context.obj = Options(debug=debug, env_file=env_file or Path(".env"), env_file_given=env_file is not None)


def _not_loaded() -> None:
    """Stand for a group that was not asked for."""


def _expected_errors() -> tuple[type[BaseException], ...]:
    """Return the error classes of the modules that are loaded: what is not loaded cannot have been raised."""
    found: list[type[BaseException]] = [CliError, TyperException]
    for name in ERRORS:
        module, _, attribute = name.partition(":")
        if module in sys.modules:
            found.append(getattr(sys.modules[module], attribute))
    return tuple(found)


def _report(error: BaseException, debug: bool) -> int:
    """Write one line that says what is wrong, under it the table an error may have, and return the exit code."""
    if debug:
        sys.stderr.write(safe_text("".join(traceback.format_exception(error))))
    formatted = getattr(error, "format_message", None)
    message = formatted() if callable(formatted) else str(error)
    table = getattr(error, "table", "")
    sys.stderr.write(f"tapeline: {safe_text(' '.join(message.split()))}\n" + (f"{table}\n" if table else ""))
    return exit_code_of(error)


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error a user can do something about."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    names = [f"{cls.__module__}:{cls.__qualname__}" for cls in type(error).__mro__]
    return next((ERRORS[name] for name in names if name in ERRORS), BAD_INPUT)


if __name__ == "__main__":
    main()
