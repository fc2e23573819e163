"""Stretches of the recorded market, for tests that need the real thing."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from schemas.envelope import Envelope, Event
from schemas.values import SECOND
from services.feeds import default_feed, open_feed

FIRST_BAR = 1_742_316_660_000_000
"""Open of the first recorded BTC-USDT-SWAP minute: 2025-03-18 16:51 UTC."""
DAY = 86_400 * SECOND


def recorded_ticks(*, days: float, warmup_days: float = 0, skip_days: float = 0) -> list[tuple[Envelope, Event]]:
    """Return ``days`` of BTC and ETH swap bars, marks and fundings, the first ``warmup_days`` of them as history.

    Skips the test, loudly, where the recordings are not on the machine; under CI that is a failure.
    """
    paths = default_feed()
    if paths is None:
        message = "RECORDED DATA IS MISSING: set TAPELINE_SHARED_DATA to the folder of recordings"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    start = FIRST_BAR + int(skip_days * DAY)
    feed = open_feed(paths, warmup=timedelta(days=warmup_days), start=start, end=start + int(days * DAY))
    return list(feed)
