"""``tapeline probe``: ask a service whether it is well, for the health checks of containers."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Annotated

import typer

from services.commands.common import NO, note

TIMEOUT_S = 2.5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("probe")(probe)


def probe(url: Annotated[str, typer.Argument(help="http://HOST:PORT/PATH of /health, /ready or /metrics.")]) -> None:
    """Exit 0 if the URL answers 200 within 2.5 s, else 1 with the reason."""
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{url}: must start with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            if answer.status == 200:
                return
            reason = f"status {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        reason = str(getattr(error, "reason", error))
    note(f"{url}: {reason}")
    raise typer.Exit(NO)
