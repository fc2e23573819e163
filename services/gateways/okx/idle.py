"""The trading gateway on paper: a healthy process that sends nothing and says so, so that one stack fits every mode."""

from __future__ import annotations

from threading import Event as Alarm

import structlog

from services.gateways.okx.start import StartRefused, shut_gates
from services.settings import Settings

_log = structlog.get_logger("tapeline.gateway.okx.trading")


def idle_on_paper(settings: Settings, stopped: Alarm) -> None:
    """Say that nothing is sent, and wait to be stopped. Raises StartRefused where the settings disagree."""
    reasons = shut_gates(settings)
    if reasons:
        raise StartRefused(reasons)
    _log.info("paper: orders go to our own simulator, nothing is sent; TAPELINE_MODE=demo or live trades on OKX")
    stopped.wait()
