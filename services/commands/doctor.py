"""``tapeline doctor``: what is installed, reachable and configured. Looks only; a database is not started for it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from services.commands.common import MISSING, JsonOption, emit, table
from services.program import program

if TYPE_CHECKING:
    from services.settings import Settings

PYTHON = (3, 11)
REQUIRED = (
    "fastavro",
    "pydantic",
    "numpy",
    "sqlalchemy",
    "psycopg",
    "alembic",
    "fastapi",
    "uvicorn",
    "structlog",
    "litellm",
)
STREAMS = ("faust-streaming", "aiokafka", "confluent-kafka")
CONFIGURED = ("orders", "language model", "context", "alerts", "control token", "log", "database")
"""What the settings decide, and so nothing can be said about without them."""
Finding = tuple[str, str, str]
"""What was looked at, ``ok``, ``missing``, ``invalid`` or ``note``, and words."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Say what is installed, reachable and configured. Exit 3: something needed is missing or invalid."""
    findings = [_python(), *map(_package, REQUIRED + STREAMS), *_tools(), _data(), *_configured(context)]
    rows = [dict(zip(("what", "state", "detail"), finding, strict=True)) for finding in findings]
    emit(rows, as_json=as_json, human=lambda: table([["what", "state", "detail"], *map(list, findings)]))
    if any(state in ("missing", "invalid") for _, state, _ in findings):
        raise typer.Exit(MISSING)


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return "python", "ok" if sys.version_info >= PYTHON else "missing", f"{found}; 3.11 or newer is needed"


def _package(name: str) -> Finding:
    try:
        return name, "ok", metadata.version(name)
    except metadata.PackageNotFoundError:
        return name, "missing", "not installed: run `make setup`"


def _tools() -> list[Finding]:
    """Java and Maven start the local Kafka; without them everything runs on SQLite."""
    found = [(name, shutil.which(name)) for name in ("java", "mvn")]
    without = "not found: no local Kafka broker on this machine; the SQLite log needs none"
    return [(name, "ok" if path else "note", path or without) for name, path in found]


def _data() -> Finding:
    path = Path(os.environ.get("TAPELINE_SHARED_DATA", "../shared/data"))
    if path.is_dir():
        return "recorded data", "ok", str(path.resolve())
    return "recorded data", "note", f"none at {path}: the demo takes OKX's public history, or a synthetic tape"


def _configured(context: typer.Context) -> list[Finding]:
    from schemas.settings import SettingsError
    from services.logs import redact_text
    from services.settings import load_settings

    try:
        settings = load_settings(env_file=context.obj.env_file, env_file_given=context.obj.env_file_given)
    except SettingsError as error:
        unknown = [(what, "note", "not checked: settings are invalid") for what in CONFIGURED]
        return [("settings", "invalid", redact_text(str(error))), *unknown]
    service = settings.service
    return [
        ("settings", "ok", f"account {settings.trading.account_id}, digest {settings.trading.digest()}"),
        _orders(settings),
        _model(settings),
        _context(settings),
        _told(settings),
        (
            "control token",
            *(("ok", "set") if service.api_token else ("note", "TAPELINE_API_TOKEN is not set: control is off")),
        ),
        ("log", *_tried(lambda: _log(service.log))),
        ("database", *_tried(lambda: _database(service.db.get_secret_value()))),
    ]


def _orders(settings: Settings) -> Finding:
    """Say where orders go, and what the OKX gateway would refuse to start for; the venue itself is not asked."""
    from services.gateways.okx.start import shut_gates

    reasons = "; ".join(shut_gates(settings))
    if reasons:
        return "orders", "invalid", reasons
    if settings.service.mode == "paper":
        return "orders", "ok", "paper: our own simulator; nothing leaves this machine"
    whose = "real money" if settings.service.mode == "live" else "OKX's demo trading"
    return (
        "orders",
        "note",
        f"{settings.service.mode}: {whose}, sent by `{program()} gateway okx`, which checks the account",
    )


def _model(settings: Settings) -> Finding:
    """Say which language model `tapeline llm` would ask; it is not asked, and litellm takes seconds to load."""
    from services.llm.options import models_of

    try:
        models = models_of(settings.service)
    except ValueError as error:
        return "language model", "invalid", str(error)
    if not models:
        asked = settings.trading.decision_planner == "MODEL"
        without = "every question is answered by the rules" if asked else "the rules decide"
        return "language model", "note", f"TAPELINE_LLM_MODEL is not set: {without}"
    keys = [f"{access.model} ({'key set' if access.api_key else 'no key'})" for access in models]
    who = f"asked by `{program()} llm`, which says at its start whether it can; not checked here"
    return "language model", "note", f"{', then '.join(keys)}, {who}"


def _context(settings: Settings) -> Finding:
    """Say which context sources `tapeline adapters` would ask; `tapeline adapters check` asks them."""
    from schemas.settings import SettingsError
    from services.adapters.catalogue import build_sources

    try:
        names = [source.name for source in build_sources(settings.service)]
    except SettingsError as error:
        return "context", "invalid", str(error)
    if not names:
        return "context", "note", "TAPELINE_CONTEXT_SOURCES is empty: no news, trends or on-chain numbers"
    return "context", "ok", f"{', '.join(names)}; `{program()} adapters check` asks them"


def _told(settings: Settings) -> Finding:
    """Say by which ways Alertmanager tells somebody."""
    from schemas.settings import SettingsError
    from services.telling.ways import ways

    try:
        found = ways(settings.service)
    except SettingsError as error:
        return "alerts", "invalid", str(error)
    if not found:
        return "alerts", "note", "nobody is told of a halt: TAPELINE_ALERT_* name a webhook, e-mail or Telegram"
    return "alerts", "ok", f"told by {', '.join(found)}, where Prometheus and Alertmanager run"


def _tried(look: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    import psycopg

    from services.logs import redact_text
    from streams.log.base import LogError

    try:
        return look()
    except (LogError, psycopg.Error) as error:
        return "missing", redact_text(" ".join(str(error).split()))


def _log(url: str) -> tuple[str, str]:
    from streams.log import open_log

    if url.startswith("sqlite:") and not Path(url.split("///", 1)[-1].split("?")[0]).exists():
        return "note", f"{url}: not there yet; `{program()} feed import FILE` or `run` creates it; a demo has its own"
    log = open_log(url, read_only=True)
    try:
        return "ok", f"{url}: {log.end_offset('ticks', 0)} ticks"
    finally:
        log.close()


def _database(url: str) -> tuple[str, str]:
    import psycopg

    if url.startswith("embedded:"):
        folder = Path(url.removeprefix("embedded:"))
        return "ok" if folder.is_dir() else "note", f"{url}: {'there' if folder.is_dir() else 'created when needed'}"
    with psycopg.connect(url.replace("+psycopg", "", 1), connect_timeout=5) as connection:
        row: Any = connection.execute("SELECT version()").fetchone()
    return "ok", str(row[0])[:60]
