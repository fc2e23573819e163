"""``tapeline llm``: the completion service."""

from __future__ import annotations

from dataclasses import asdict

import typer

from services.commands.common import JsonOption, LogOption, MetricsOption, emit, load, open_log


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("llm")(llm)


def llm(
    context: typer.Context, log: LogOption = None, metrics_port: MetricsOption = None, as_json: JsonOption = False
) -> None:
    """Answer what the planner asks a language model (TAPELINE_LLM_MODEL), until stopped. Without a model, say so.

    Exit code 75: a write is in doubt; start it again. 1: another completion service has taken over.
    """
    settings = load(context, log=log, metrics_port=metrics_port, service=True)
    from services.llm.start import run_blocking
    from services.signals import stop_alarm

    stopped = stop_alarm()
    with open_log(settings.service.log, read_only=False) as opened:
        counts = run_blocking(opened, settings, stopped=stopped.is_set)
    words = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.answers.items()))
    emit(asdict(counts), as_json=as_json, human=lambda: f"answered: {words or 'nothing'}")
