"""Count what the completion service writes: everything its metrics show is on the events, but the budget's rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.llm.asker import Completion
from services.llm.budget import Budget, spent_by
from services.llm.service import outcome_of
from services.metrics.catalog import Metrics, Service

NO_MODEL = "none"
UNREPAIRED = 2
"""Messages of a conversation without a repair round."""


class LlmMeter:
    """The metrics of the completion service. ``wall``: microseconds since 1970, for what is left of the day."""

    def __init__(self, budget: Budget, *, wall: Callable[[], int], configured: bool) -> None:
        self.metrics = Metrics(Service.LLM)
        for name in budget.left(wall()):
            gauge = self.metrics.gauge("tapeline_llm_budget_left_ratio").labels(name)
            gauge.set_function(partial(_left, budget, wall, name))
        self.metrics.gauge("tapeline_llm_configured").set(int(configured))

    def take(self, event: Completion) -> None:
        """Count one answer."""
        counter = self.metrics.counter
        counter("tapeline_llm_requests_total").labels(event.model or NO_MODEL, outcome_of(event)).inc()
        counter("tapeline_llm_attempts_total").inc(event.attempts)
        for kind in ("prompt", "completion", "unreported"):
            counter("tapeline_llm_tokens_total").labels(kind).inc(getattr(event, f"{kind}_tokens"))
        counter("tapeline_llm_cost_usd_total").inc(float(spent_by(event).cost))
        if len(event.messages) > UNREPAIRED:
            counter("tapeline_llm_repairs_total").inc()
        if not event.cost_known:
            counter("tapeline_llm_cost_unknown_total").inc()
        if event.attempts:
            self.metrics.histogram("tapeline_llm_latency_seconds").observe(event.latency_ms / 1000)


def _left(budget: Budget, wall: Callable[[], int], name: str) -> float:
    return budget.left(wall())[name]
