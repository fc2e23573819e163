"""Prove the run again and again, by schedule: each time what was decided since the last proof.

It only looks. A difference stays on its metric until a person has dealt with it and started it anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event as Alarm
from typing import Any

import structlog

from services.metrics.catalog import Metrics
from streams.core.stage import Stage
from streams.log.base import EventLog, LogError
from streams.stored import Difference
from streams.verify import Report, verify

HOUR_S = 3_600.0
AGAIN_S = 60.0
"""When a proof is tried again that found the log out of reach."""
_log = structlog.get_logger("tapeline.verifier")


class Verifier:
    """Verifies one shard. ``open_log``: a log of its own each time, so that a broker that was away does not matter."""

    def __init__(
        self,
        open_log: Callable[[], EventLog],
        shard: int,
        stages: Callable[[], Sequence[Stage[Any]]],
        metrics: Metrics,
        *,
        code_version: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open_log = open_log
        self._shard = shard
        self._stages = stages
        self._metrics = metrics
        self._code_version = code_version
        self._clock = clock
        self.next_step = 0
        metrics.gauge("tapeline_verify_different").set(0)

    def once(self) -> Report | None:
        """Prove what is new and return the report; None when the log could not be read, which is tried again."""
        began = self._clock()
        try:
            log = self._open_log()
            try:
                report = verify(
                    log, self._shard, self._stages(), code_version=self._code_version, since_step=self.next_step
                )
            finally:
                log.close()
        except LogError as error:
            _log.warning("log out of reach", reason=str(error))
            return None
        if report.difference is None and _end(report) < self.next_step:
            lost = (
                f"ends at step {_end(report) - 1}, but the steps to {self.next_step - 1} were proven: records are lost"
            )
            report.difference = Difference(_end(report), "journal", lost)
        self._tell(report, began)
        return report

    def run(self, *, every_s: float, stop: Alarm) -> bool:
        """Prove at once and then by schedule until stopped; return whether everything looked at was proven.

        The schedule is that of the clock: every 24 hours is at midnight UTC, whenever the process was started.
        """
        proven = True
        while not stop.is_set():
            report = self.once()
            proven = proven and (report is None or report.proven)
            until_next = every_s - self._clock() % every_s
            stop.wait(until_next if report is not None else min(AGAIN_S, until_next))
        return proven

    def _tell(self, report: Report, began: float) -> None:
        metrics = self._metrics
        metrics.counter("tapeline_verify_steps_total").inc(report.steps)
        metrics.gauge("tapeline_verify_seconds").set(self._clock() - began)
        if report.difference is not None:
            metrics.gauge("tapeline_verify_different").set(1)
            difference = report.difference
            _log.error("different", step=difference.step, what=difference.what, detail=difference.detail)
            return
        self.next_step = _end(report)
        metrics.gauge("tapeline_verify_last_proof_timestamp_seconds").set(self._clock())
        _log.info("proven", steps=report.steps, to_step=self.next_step - 1)


def _end(report: Report) -> int:
    """Return the step after the last one the journal has."""
    return 1 + max((part.last_step for part in report.recorded), default=-1)
