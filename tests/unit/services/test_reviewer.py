"""A day is reviewed once the tables have all of it; if they never do, after an hour, and the message says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from services.metrics.catalog import Metrics, Service
from services.review.day import DayReview, text
from services.telling.reviewer import AFTER_S, WAIT_S, Reviewer

DAY = date(2025, 1, 9)
MIDNIGHT = datetime(2025, 1, 10, tzinfo=UTC).timestamp()
ZERO = Decimal(0)
REVIEW = DayReview(
    account_id="paper",
    day=DAY,
    equity_start=Decimal(10_000),
    equity_end=Decimal(10_100),
    flows=ZERO,
    charges=ZERO,
    complete=True,
    drawdown_pct=ZERO,
    closed=1,
    won=1,
    net_pnl=Decimal(100),
    fees=ZERO,
    funding=ZERO,
    r_sum=Decimal(1),
    proposed=1,
    approved=1,
    denied={},
    halts=0,
    state="ACTIVE",
)


NOBODY = "http://127.0.0.1:9"
"""Every message tried here counts as a failure."""


def tries(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("tapeline_review_failures_total") or 0


def test_it_waits_for_tables_that_lag_and_tells_what_there_is_after_an_hour() -> None:
    now, metrics = [MIDNIGHT + AFTER_S], Metrics(Service.REVIEWER)
    known: list[DayReview | None] = [None]
    reviewer = Reviewer(lambda day: known[0], NOBODY, metrics, clock=lambda: now[0])
    reviewer.once()
    known[0] = replace(REVIEW, complete=False)
    now[0] += WAIT_S - 1
    reviewer.once()
    assert tries(metrics) == 0, "the projector is not there yet"
    now[0] += 1
    reviewer.once()
    assert tries(metrics) == 1


def test_a_whole_day_is_told_at_once_and_half_a_one_says_so() -> None:
    metrics = Metrics(Service.REVIEWER)
    Reviewer(lambda day: REVIEW, NOBODY, metrics, clock=lambda: MIDNIGHT + AFTER_S).once()
    assert tries(metrics) == 1
    assert "do not reach" not in text(REVIEW)
    assert "The tables do not reach the end of the day" in text(replace(REVIEW, complete=False))
