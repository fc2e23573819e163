"""A scripted plan of what goes wrong: an endpoint or a channel, how often to let it pass, and the fault.

REST endpoints are named as in the path, ``trade/order`` (POST) or ``GET trade/order``; a WebSocket request
``ws order`` or ``ws login``; frames by channel, ``orders`` or ``books``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.fakes.okx.errors import VenueError


class Fault(Enum):
    """What happens to a request. BEFORE: it is not carried out. AFTER: it is, and the answer is lost.

    HANG never answers, DROP cuts the connection, ANSWER replies an error instead, GARBAGE half a reply; ROW replies the
    error in the row (``sCode``), as the venue does for orders; DELAY answers late.
    """

    HANG_BEFORE = auto()
    HANG_AFTER = auto()
    DROP_BEFORE = auto()
    DROP_AFTER = auto()
    ANSWER_BEFORE = auto()
    ANSWER_AFTER = auto()
    GARBAGE_BEFORE = auto()
    GARBAGE_AFTER = auto()
    ROW_BEFORE = auto()
    ROW_AFTER = auto()
    DELAY = auto()

    @property
    def executes(self) -> bool:
        """Is the request carried out?"""
        return self.name.endswith("AFTER") or self is Fault.DELAY


class Frame(Enum):
    """What happens to a WebSocket frame."""

    LOSE = auto()
    DUPLICATE = auto()
    SWAP = auto()
    DROP_CONNECTION = auto()


@dataclass(slots=True)
class Planned:
    """A fault, how many requests pass before it and how many it hits; ``refusal`` is what ANSWER_* says."""

    fault: Fault | Frame
    skip: int = 0
    times: int = 1
    refusal: VenueError = field(default_factory=lambda: VenueError("50026"))
    delay_s: float = 0.0


class FaultPlan:
    """The faults still to come, by endpoint or channel, in the order they were planned."""

    def __init__(self) -> None:
        """Nothing goes wrong."""
        self._plans: dict[str, deque[Planned]] = {}
        self.struck: list[tuple[str, Fault | Frame]] = []

    def plan(
        self,
        name: str,
        fault: Fault | Frame,
        *,
        skip: int = 0,
        times: int = 1,
        code: str = "50026",
        http: int | None = None,
        delay_s: float = 0.0,
    ) -> None:
        """Let ``skip`` requests pass, then strike ``times``; ``code`` and ``http`` are what ANSWER and ROW reply."""
        planned = Planned(fault, skip, times, VenueError(code, http=http), delay_s)
        self._plans.setdefault(name, deque()).append(planned)

    def clear(self) -> None:
        """Forget what is planned."""
        self._plans.clear()

    def strike(self, name: str) -> Planned | None:
        """Return the fault that hits this request or frame, None if it passes."""
        plans = self._plans.get(name)
        if not plans:
            return None
        first = plans[0]
        if first.skip > 0:
            first.skip -= 1
            return None
        first.times -= 1
        if first.times <= 0:
            plans.popleft()
        self.struck.append((name, first.fault))
        return first
