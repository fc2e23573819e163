"""A worker on a log without settings: it says what it waits for, or that it will not wait."""

from __future__ import annotations

import logging

import pytest

from streams.app import look_for_settings
from streams.log import create_log
from streams.log.base import LogError, NewRecord
from streams.log.memory import MemoryLog


def _log(*shards_with_settings: int) -> MemoryLog:
    log = MemoryLog()
    create_log(log, shards=2)
    log.append([NewRecord("settings", shard, b"key", b"value", 0) for shard in shards_with_settings])
    return log


@pytest.mark.parametrize(
    ("begun", "says"),
    [((), "new, empty log: waiting for a feed ("), ((0,), "shard 1 is new and empty: waiting"), ((0, 1), "")],
)
def test_a_shard_nobody_has_begun_is_said_once(
    caplog: pytest.LogCaptureFixture, begun: tuple[int, ...], says: str
) -> None:
    with caplog.at_level(logging.INFO, "tapeline.worker"):
        look_for_settings(_log(*begun), 2, needed=False)
    assert [message.startswith(says) for message in caplog.messages] == ([True] if says else [])


def test_who_is_to_stop_when_idle_does_not_wait_for_it() -> None:
    with pytest.raises(LogError, match="shard 1 has no settings yet"):
        look_for_settings(_log(0), 2, needed=True)
