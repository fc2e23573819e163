"""Toy stages that go wrong: for tests of what a worker does then."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

from schemas.envelope import Event as Emitted
from schemas.envelope import Message
from schemas.events.market import MarkPrice
from tests.toy import LABEL, SUM, SumState

POISON = 500
"""The mark price at which they go wrong."""


def _raise_decide(state: SumState, incoming: Message) -> Sequence[Emitted]:
    if isinstance(incoming.event, MarkPrice) and incoming.event.mark_price == POISON:
        raise ArithmeticError("poisoned tick")
    return SUM.decide(state, incoming)


def _hang_decide(state: SumState, incoming: Message) -> Sequence[Emitted]:
    if isinstance(incoming.event, MarkPrice) and incoming.event.mark_price == POISON:
        os.kill(os.getpid(), signal.SIGSTOP)
        # The main thread takes the signal; this one must not run on into the commit before the process has stopped.
        Event().wait(1.0)
    return SUM.decide(state, incoming)


RAISING = (replace(SUM, decide=_raise_decide), LABEL)
"""Raises at the poisoned tick."""
STOPPING = (replace(SUM, decide=_hang_decide), LABEL)
"""Stops its own process (SIGSTOP) in the middle of the step of the poisoned tick."""
