"""What a caller has given up must not reach the broker later."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.kafka.broker import free_port
from streams.log.base import NewRecord
from streams.log.kafka import KafkaLog


def test_an_interrupted_send_leaves_nothing_queued_that_could_go_out_later(monkeypatch: pytest.MonkeyPatch) -> None:
    log = KafkaLog.from_url(f"kafka://127.0.0.1:{free_port()}?timeout=1")
    produce = KafkaLog._produce

    def interrupted(self: KafkaLog, producer: Any, record: NewRecord, *rest: Any) -> None:
        produce(self, producer, record, *rest)
        if record.value == b"last":
            raise KeyboardInterrupt

    monkeypatch.setattr(KafkaLog, "_produce", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.publish([NewRecord("ticks", 0, b"k", value, 1) for value in (b"first", b"last")])

    assert log._producer is None
    log.close()
