"""Tell the review of each UTC day once it is over. Told twice it is one message: Alertmanager sees to that."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Event as Alarm

import structlog

from services.metrics.catalog import Metrics
from services.query.database import DatabaseUnavailable
from services.review.day import DayReview, headline, text
from services.telling.post import Message, NotTold, post

AFTER_S = 300.0
"""How long after midnight UTC a day is reviewed at the earliest."""
WAIT_S = 3600.0
"""How much longer it waits for tables that do not reach the end of the day: then it tells what there is."""
RETRY_S = 60.0
SHOWN_S = 26 * 3600.0
"""How long Alertmanager shows a review: until the next one."""
_log = structlog.get_logger("tapeline.reviewer")


def message_of(review: DayReview) -> Message:
    """Return a review as a message."""
    labels = {
        "alertname": "DailyReview",
        "severity": "review",
        "account_id": review.account_id,
        "day": str(review.day),
    }
    return Message(labels, f"Daily review {headline(review)}", text(review), SHOWN_S)


class Reviewer:
    """Tells the review of the day before, at the start and after every midnight. ``review_of``: of a day, or None."""

    def __init__(
        self,
        review_of: Callable[[date], DayReview | None],
        url: str,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._review_of = review_of
        self._url = url
        self._metrics = metrics
        self._clock = clock
        self._done: date | None = None

    def once(self) -> None:
        """Tell the newest day that is over, unless that was done; a failure is tried again by the next call."""
        now = datetime.fromtimestamp(self._clock() - AFTER_S, UTC)
        day = (now - timedelta(days=1)).date()
        if day == self._done:
            return
        try:
            review = self._review_of(day)
            complete = review is not None and review.complete
            if not complete and (now - timedelta(seconds=WAIT_S)).date() == day:
                return  # the projector is not there yet
            if review is not None:
                post(self._url, message_of(review))
        except (DatabaseUnavailable, NotTold) as error:
            self._metrics.counter("tapeline_review_failures_total").inc()
            _log.warning("not told", day=str(day), reason=str(error))
            return
        self._done = day
        if review is None:
            _log.info("nothing to tell", day=str(day))
        else:
            self._metrics.gauge("tapeline_review_told_timestamp_seconds").set(self._clock())
            _log.info("told", day=str(day), summary=headline(review))

    def run(self, *, stop: Alarm) -> None:
        """Look once a minute until stopped."""
        while not stop.is_set():
            self.once()
            stop.wait(RETRY_S)
