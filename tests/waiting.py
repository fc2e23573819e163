"""Wait for what another process or thread brings about: look until it holds, and never longer than the patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

PATIENCE_S = 60.0
"""How long anything may take before a test fails."""
SCENARIO_S = 120.0
"""How long a whole scenario may take: far more than it does alone, for on a loaded machine everything takes longer."""
LOOK_S = 0.005
"""Between two looks."""


def eventually(
    condition: Callable[[], object],
    what: str,
    *,
    alive: Callable[[], bool] = lambda: True,
    said: Callable[[], str] = lambda: "",
    patience_s: float = PATIENCE_S,
) -> None:
    """Look until a condition holds; fail, with what was ``said``, after the patience or when nobody is ``alive``."""
    deadline, pause = time.monotonic() + patience_s, Event()
    while not condition():
        if time.monotonic() > deadline or not alive():
            raise AssertionError(f"{what} did not happen\n{said()}")
        pause.wait(LOOK_S)
