"""``tapeline plan``, ``position`` and ``risk``: the control commands, appended to the log as the API does it."""

from __future__ import annotations

import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from schemas.envelope import Event
from schemas.events import control
from schemas.events.common import TradingState
from schemas.plan_document import PlanDocumentError, parse_plan_document
from schemas.settings import INSTRUMENT_ID
from schemas.values import Money
from services.commands.common import DONE, MISSING, NO, CliError, JsonOption, LogOption, emit, load, open_log
from services.control.answers import describe, in_words
from services.control.commands import MODEL_WAIT_S, CommandDesk
from services.control.symbols import AMOUNT

WaitOption = Annotated[float, typer.Option("--wait", min=0.0, max=600.0, help="Seconds to wait for the outcome.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the record.")]
Instrument = Annotated[str, typer.Argument(help="Such as BTC-USDT-SWAP, or BTC-USDT for spot.")]
WAIT_S = 5.0


PlannerOption = Annotated[control.Planner, typer.Option("--planner", help="Who is asked.", case_sensitive=False)]


def register(app: typer.Typer) -> None:
    """Add the three groups."""
    plan = _group("Ask for a plan, or send one through risk.")
    plan.command("generate")(generate)
    plan.command("execute")(execute)
    app.add_typer(plan, name="plan")
    position = _group("Close a position.")
    position.command("close")(close)
    position.callback()(_several)
    app.add_typer(position, name="position")
    account = _group("Pay paper cash in or take it out; on OKX: book cash that differs.")
    account.command("transfer", context_settings={"ignore_unknown_options": True})(transfer)
    account.callback()(_several)
    app.add_typer(account, name="account")
    risk = _group("Pause, resume, kill, move a limit, or look at the trading state.")
    for function in (pause, resume, kill, override, status):
        risk.command(function.__name__)(function)
    app.add_typer(risk, name="risk")


def _group(words: str) -> typer.Typer:
    return typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None)


def _several() -> None:
    """Keep a group with one command a group."""


def generate(
    context: typer.Context, instrument: Instrument,
    planner: PlannerOption = control.Planner.RULES,
    log: LogOption = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", min=0.0, max=600.0, help="Seconds to wait for the outcome; default 5, for llm 30."),
    ] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Ask a planner for a plan; nothing is executed. Exit 1: it declined."""
    usual = MODEL_WAIT_S if planner is control.Planner.LLM else WAIT_S
    _ask(
        context,
        log,
        lambda desk: control.GeneratePlan(desk.account_id, _known(desk, instrument), planner),
        usual if wait is None else wait,
        as_json,
    )


def execute(
    context: typer.Context,
    document: Annotated[Path, typer.Argument(help="A plan document; examples/plan_trend.json is one. - reads stdin.")],
    log: LogOption = None, wait: WaitOption = WAIT_S, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Send a plan document through risk and show the verdict. Exit 1: denied."""
    text = sys.stdin.read() if str(document) == "-" else _read_document(document)
    try:
        plan = parse_plan_document(text)
    except PlanDocumentError as error:
        raise CliError(f"{document}: {error}") from error

    def command(desk: CommandDesk) -> Event:
        _known(desk, plan.instrument_id)
        return control.ExecutePlan(desk.account_id, text)

    _ask(context, log, command, wait, as_json)


def _read_document(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "not text in UTF-8"
        raise CliError(
            f"{path}: cannot be read: {reason}. Give a plan document, JSON such as examples/plan_trend.json, "
            "or - for standard input"
        ) from error


def close(
    context: typer.Context, instrument: Instrument, log: LogOption = None, wait: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Close an instrument's position at market and cancel its working entries.

    On OKX also what no plan opened there: a position that somebody opened by hand.
    """
    _ask(context, log, lambda desk: control.ClosePosition(desk.account_id, _known(desk, instrument)), wait, as_json)


def transfer(
    context: typer.Context,
    amount: Annotated[str, typer.Argument(help="USDT; negative to take out.")],
    log: LogOption = None, wait: WaitOption = WAIT_S, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Pay paper cash in, or take it out with a negative amount; it counts as a flow, not as a profit.

    On OKX it books cash that differs from the log (reconciliation: cash), once you know why; it moves no money.
    """
    if not AMOUNT.fullmatch(amount):
        raise CliError(f"{amount}: must be an amount such as 3000 or -500.50")
    _ask(context, log, lambda desk: control.TransferCash(desk.account_id, Money(Decimal(amount))), wait, as_json)


def pause(
    context: typer.Context,
    halt: Annotated[bool, typer.Option("--halt", help="HALTED: stop everything but protection.")] = False,
    reason: ReasonOption = None, log: LogOption = None, wait: WaitOption = WAIT_S, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Stop opening positions until resumed."""
    state = TradingState.HALTED if halt else TradingState.REDUCING
    _ask(context, log, lambda desk: control.PauseTrading(desk.account_id, state, reason or ""), wait, as_json)


def resume(
    context: typer.Context, reason: ReasonOption = None, log: LogOption = None, wait: WaitOption = WAIT_S,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Release the operator's pause; with --reason latched causes too. Exit 1: causes remain."""
    _ask(context, log, lambda desk: control.ResumeTrading(desk.account_id, reason), wait, as_json)


def kill(
    context: typer.Context,
    flatten: Annotated[bool, typer.Option("--flatten", help="Also close every position at market.")] = False,
    reason: ReasonOption = None, log: LogOption = None, wait: WaitOption = WAIT_S, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Halt and cancel every entry."""
    _ask(context, log, lambda desk: control.KillSwitch(desk.account_id, flatten, reason or ""), wait, as_json)


def override(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A limit, such as heat_pct_max.")],
    value: Annotated[str, typer.Argument(help="Its new value, inside its hard bound.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    log: LogOption = None, wait: WaitOption = WAIT_S, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Move one limit from now on."""
    _ask(context, log, lambda desk: control.OverrideLimit(desk.account_id, name, value, reason), wait, as_json)


def status(context: typer.Context, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Show the trading state with its causes, equity and drawdown, as the log has them."""
    from services.control.status import in_words as status_in_words
    from services.control.status import trading_status

    service = load(context, log=log).service
    with open_log(service.log) as opened:
        content = trading_status(opened, service.shard)
    emit(content, as_json=as_json, human=lambda: status_in_words(content))


def _known(desk: CommandDesk, instrument_id: str) -> str:
    if not INSTRUMENT_ID.fullmatch(instrument_id):
        raise CliError(f"{instrument_id}: must look like BTC-USDT-SWAP or BTC-USDT")
    if not desk.knows(instrument_id):
        raise CliError(f"{instrument_id}: unknown instrument, neither in TAPELINE_INSTRUMENTS_ALLOWED nor on the log")
    return instrument_id


def _ask(context: typer.Context, log: str | None, command: Any, wait: float, as_json: bool) -> None:
    settings = load(context, log=log)
    service, trading = settings.service, settings.trading
    from services.stores import open_existing_log

    with closing(open_existing_log(service.log)) as opened:
        desk = CommandDesk(
            opened, shard=service.shard, account_id=trading.account_id, instruments=trading.instruments_allowed
        )
        answer = desk.ask(command(desk), wait_s=wait)
    body = describe(answer)
    emit(body, as_json=as_json, human=lambda: in_words(answer))
    raise typer.Exit({"pending": MISSING, "denied": NO, "declined": NO, "refused": NO}.get(body["status"], DONE))
