"""What the trading gateway counts about itself: plain numbers and the moments of what must not stop, for metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.values import SECOND
from services.gateways.okx.tracked import Orders, Phase, Tracked
from services.gateways.okx.venue import SEND_DEADLINE_US, InDoubt, LeverageSet, Outcome, Refused


@dataclass(slots=True)
class GatewayCounters:
    """Totals since the process started. Everything stays at its beginning where nothing is traded (paper).

    reports: written by us, by event type. answers: of the venue to what was sent, by (request, answer).
    reconciliations: snapshots told. unanswered: questions without an answer. links_lost: times the private updates
    ended. link_up: whether they arrive now. began, reconciled_at, switched_at: seconds of ``clock``; when trading
    began, a snapshot was last told, and the venue last confirmed its switch. orders, venue_clock: of the desk at work.
    """

    clock: Callable[[], float] = time.monotonic
    reports: dict[str, int] = field(default_factory=dict)
    answers: dict[tuple[str, str], int] = field(default_factory=dict)
    reconciliations: int = 0
    unanswered: int = 0
    links_lost: int = 0
    link_up: bool = False
    began: float | None = None
    reconciled_at: float | None = None
    switched_at: float | None = None
    orders: Orders | None = None
    venue_clock: Callable[[], int] = lambda: 0

    def watch(self, orders: Orders, reports: dict[str, int], venue_clock: Callable[[], int]) -> None:
        """Show these orders and reports from now on. venue_clock: microseconds, the clock of the orders' deadlines."""
        self.began, self.orders, self.reports, self.venue_clock = self.clock(), orders, reports, venue_clock

    def answered(self, request: str, answer: Outcome | LeverageSet) -> None:
        """Count the venue's answer to a request."""
        key = request, _word(answer)
        self.answers[key] = self.answers.get(key, 0) + 1

    def reconciled(self) -> None:
        """Note that a snapshot was told."""
        self.reconciliations += 1
        self.reconciled_at = self.clock()

    def switched(self) -> None:
        """Note that the venue confirmed the switch that cancels entries when we are silent."""
        self.switched_at = self.clock()

    def linked(self, *, up: bool) -> None:
        """Note that private updates arrive, or no longer do."""
        self.links_lost += self.link_up and not up
        self.link_up = up

    def since(self, moment: float | None) -> float:
        """Return the seconds since a moment, before its first time since trading began; 0: nothing is traded."""
        if self.began is None:
            return 0.0
        return max(0.0, self.clock() - (self.began if moment is None else moment))

    def live(self) -> list[Tracked]:
        """Return the orders of which more than a late fill may come. May be called from another thread."""
        orders = [] if self.orders is None else list(self.orders.orders.values())
        return [order for order in orders if order.phase is not Phase.OVER]

    def in_doubt(self) -> list[float]:
        """Return for how many seconds each order has been in doubt: perhaps sent, and nobody is sending it now."""
        doubtful = [order for order in self.live() if order.phase is Phase.ATTEMPTED and not order.pace.busy]
        now = self.venue_clock()
        return [max(0.0, (now - (order.deadline or now) + SEND_DEADLINE_US) / SECOND) for order in doubtful]


def _word(answer: Outcome | LeverageSet) -> str:
    if isinstance(answer, InDoubt):
        return "in_doubt"
    if isinstance(answer, Refused):
        return "busy" if answer.retryable else "refused"
    return "accepted"
