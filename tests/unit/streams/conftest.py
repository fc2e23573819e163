"""What tests of shards start from."""

from __future__ import annotations

import pytest

from streams.log.memory import MemoryLog
from tests.in_hand import Failures, six_ticks


@pytest.fixture
def log() -> MemoryLog:
    return six_ticks()


@pytest.fixture
def failures() -> Failures:
    return Failures()
