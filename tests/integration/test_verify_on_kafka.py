"""``tapeline replay verify`` on a real broker: proves an untouched log and names what was changed, dropped or forged.

Kafka does not change a record, so a touched log is written anew: every topic copied, one record different or missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from schemas.envelope import Event
from schemas.events.intelligence import SignalScored
from schemas.events.market import VenueBar
from schemas.settings import TradingSettings
from schemas.topics import TOPICS
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from streams.batch import run_batch
from streams.log import create_log, open_log
from streams.log.base import NewRecord, StoredRecord
from streams.log.memory import MemoryLog

pytestmark = [pytest.mark.slow, pytest.mark.kafka]
ROOT = Path(__file__).parents[2]
TICKS = 9_200
Touch = Callable[[StoredRecord], bytes | None]
"""What to write in place of a record; None: nothing."""


@pytest.fixture(scope="module")
def traded() -> MemoryLog:
    """A run over the made-up tape: three days of history and a few hours of trading."""
    log = MemoryLog()
    import_feed(log, islice(synthetic_feed(), TICKS), TradingSettings())
    trader = build_trader(log, 0)
    trader.start()
    run_batch(log, trader)
    return log


def copied(original: MemoryLog, url: str, touch: Touch) -> None:
    """Write every record of a log to Kafka, touched."""
    log = open_log(url)
    create_log(log)
    for topic in TOPICS:
        records = original.read(topic.name, 0, 0, limit=1_000_000)
        touched = [(record, touch(record)) for record in records]
        log.append([NewRecord(topic.name, 0, r.key, value, 1) for r, value in touched if value is not None])
    log.close()


def verified(url: str) -> tuple[int, dict[str, object]]:
    """Run the command and return its exit code and report."""
    command = [sys.executable, "-m", "services.cli", "replay", "verify", "--log", url, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    loaded: dict[str, object] = json.loads(done.stdout)
    return done.returncode, loaded


def changed(value: bytes, change: Callable[[Event], Event]) -> bytes:
    envelope, event = decode(value)
    return encode(envelope, change(event))


def other_horizon(event: Event) -> Event:
    assert isinstance(event, SignalScored)
    return replace(event, horizon_s=event.horizon_s + 1)


def other_close(event: Event) -> Event:
    assert isinstance(event, VenueBar)
    return replace(event, close_price=event.open_price, backfill=event.backfill)


def is_at(record: StoredRecord, topic: str, offset: int) -> bool:
    return (record.topic, record.offset) == (topic, offset)


def test_an_untouched_log_is_proven(traded: MemoryLog, kafka_url: str) -> None:
    copied(traded, kafka_url, lambda record: record.value)
    code, report = verified(kafka_url)
    assert (code, report["proven"], report["difference"]) == (0, True, None)
    assert report["inputs"] == {"settings": 1, "ticks": TICKS}


def test_a_changed_output_is_named_with_both_versions_and_its_field(traded: MemoryLog, kafka_url: str) -> None:
    copied(
        traded,
        kafka_url,
        lambda record: changed(record.value, other_horizon) if is_at(record, "signals", 9) else record.value,
    )
    code, report = verified(kafka_url)
    assert code == 1
    assert "signals seq 9 (offset 9), field horizon_s" in str(report["difference"])
    assert "on the log:" in str(report["difference"])


def test_a_dropped_output_is_named(traded: MemoryLog, kafka_url: str) -> None:
    copied(traded, kafka_url, lambda record: None if is_at(record, "regimes", 5) else record.value)
    code, report = verified(kafka_url)
    assert code == 1
    assert "regimes seq 5: RegimeClassified" in str(report["difference"])
    assert "is missing from the log" in str(report["difference"])


def test_a_changed_input_is_named_by_the_first_output_that_differs(traded: MemoryLog, kafka_url: str) -> None:
    bar = next(
        record.offset
        for record in traded.read("ticks", 0, 4_000, limit=100)
        if isinstance(event := decode(record.value)[1], VenueBar) and event.open_price != event.close_price
    )
    copied(
        traded,
        kafka_url,
        lambda record: changed(record.value, other_close) if is_at(record, "ticks", bar) else record.value,
    )
    code, report = verified(kafka_url)
    assert code == 1
    assert "are not those that were committed" in str(report["difference"])
    assert "re-run:" in str(report["difference"])
