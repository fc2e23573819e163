"""Context on the log: one writer a shard, nothing twice over restarts, nothing beside a recording; on every log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from schemas.envelope import Envelope, Event
from schemas.events.context import NewsItem, OnchainMetric, SourceState, SourceStatus
from schemas.events.market import MarkPrice, VenueBar
from schemas.values import SECOND, Micros, Price, Quantity, Ratio
from services.adapters.errors import Failure, SourceError
from services.adapters.ledger import read_ledger
from services.adapters.writer import Answer, ContextWriter, is_live
from services.sole_writer import AppendInDoubt, Displaced
from streams.log import create_log, open_log
from streams.log.base import EventLog, LogError, NewRecord, StoredRecord
from streams.log.memory import MemoryLog
from tests.builders import MINUTE, T0, message

UP, STALE, DOWN = SourceState.UP, SourceState.STALE, SourceState.DOWN
HOUR = 3_600 * SECOND
PRICE = Price(Decimal(100))


@pytest.fixture(params=("memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/log.db"}
    opened = open_log(urls.get(request.param) or request.getfixturevalue("kafka_url"))
    create_log(opened, shards=2)
    yield opened
    opened.close()


def tick(log: EventLog, event: Event | None = None, *, ts: int = T0, shard: int = 0) -> None:
    event = event or MarkPrice("BTC-USDT-SWAP", PRICE)
    log.append([NewRecord("ticks", shard, b"x", encode(message(event, ts=ts).envelope, event), ts)])


def history(ts_open: int) -> VenueBar:
    return VenueBar("BTC-USDT-SWAP", "1m", Micros(ts_open), *(PRICE,) * 4, Quantity(Decimal(1)), backfill=True)


def headlines(*items: str, source: str = "rss") -> Answer:
    events = tuple(NewsItem(source, item, f"about {item}", "", Micros(T0 - MINUTE), True) for item in items)
    return Answer(source, events, 12 * HOUR)


def fee(value: str) -> Answer:
    return Answer("m", (OnchainMetric("m", "hour_fee", Ratio(Decimal(value)), "sat/vB", None),), None)


def failed(source: str = "rss", *, ts_last_ok: int | None = None) -> Answer:
    last = None if ts_last_ok is None else Micros(ts_last_ok)
    return Answer(source, (), None, SourceError(Failure.TIMEOUT, "timed out after 10 s"), last)


def context(log: EventLog, shard: int = 0) -> list[tuple[Envelope, Event]]:
    return [decode(record.value) for record in log.read("context", shard, 0, limit=10_000)]


def words(log: EventLog) -> list[str]:
    """Return what is on the topic, a word each."""
    return [
        f"{event.source} {event.state}" if isinstance(event, SourceStatus) else f"{getattr(event, 'item_id', '')}"
        for _, event in context(log)
    ]


def told(writer: ContextWriter, *answers: Answer, now: int = T0) -> dict[str, int] | None:
    for answer in answers:
        writer.offer(answer)
    return writer.flush(now)


def test_an_item_is_written_once_with_the_moment_we_had_it_also_after_a_restart(log: EventLog) -> None:
    tick(log)
    writer = ContextWriter(log, 0, session=1)
    assert told(writer, headlines("a", "b")) == {"rss": 3}
    assert told(writer, headlines("a", "b", "c"), now=T0 + MINUTE) == {"rss": 1}
    again = ContextWriter(log, 0, session=2)
    assert told(again, headlines("b", "c", "d"), now=T0 + 2 * MINUTE) == {"rss": 1}
    assert words(log) == ["rss UP", "a", "b", "c", "d"]
    envelopes = [envelope for envelope, _ in context(log)]
    moments = [T0, T0, T0, T0 + MINUTE, T0 + 2 * MINUTE]
    assert [(e.ts_event, e.ts_ingest) for e in envelopes] == [(ts, ts) for ts in moments]
    assert {(e.stage, e.causation_id) for e in envelopes} == {("adapters", "")}
    assert envelopes[-1].producer.endswith(" adapters/2")
    assert len({e.event_id for e in envelopes}) == 5
    assert {record.key for record in log.read("context", 0, 0, limit=9)} == {b"rss"}


def test_a_number_is_written_when_it_changes_and_its_history_outlives_a_restart(log: EventLog) -> None:
    tick(log)
    writer = ContextWriter(log, 0, session=1)
    for number, value in enumerate(("3", "3", "4", "4", "3", "5", "6")):
        told(writer, fee(value), now=T0 + number)
    again = ContextWriter(log, 0, session=2)
    told(again, fee("6"), now=T0 + MINUTE)
    told(again, fee("900"), now=T0 + MINUTE)
    values = [(event.value, event.anomaly) for _, event in context(log) if isinstance(event, OnchainMetric)]
    assert values[:-1] == [(3, ""), (4, ""), (3, ""), (5, ""), (6, "")]
    assert values[-1] == (900, "far outside its history: the median of the last 5 is 4")


def test_a_change_of_state_is_written_once_with_the_time_it_was_well(log: EventLog) -> None:
    tick(log)
    writer = ContextWriter(log, 0, session=1)
    told(writer, failed())
    told(writer, failed(), now=T0 + 1)
    told(writer, headlines("a"), now=T0 + 2)
    told(ContextWriter(log, 0, session=2), failed(ts_last_ok=T0 + 2), now=T0 + 3)
    statuses = [event for _, event in context(log) if isinstance(event, SourceStatus)]
    assert statuses == [
        SourceStatus("rss", DOWN, None, "timed out after 10 s", None),
        SourceStatus("rss", UP, DOWN, "", Micros(T0 + 2)),
        SourceStatus("rss", DOWN, UP, "timed out after 10 s", Micros(T0 + 2)),
    ]


def test_nothing_is_written_without_a_live_market_and_the_newest_answer_waits_for_one(log: EventLog) -> None:
    writer = ContextWriter(log, 0, session=1)
    assert told(writer, headlines("a")) is None, "no tick at all"
    tick(log, ts=T0 - HOUR - 1)
    assert told(writer) is None, "a recording"
    tick(log, history(T0 - 2 * MINUTE), ts=T0 - MINUTE)
    assert told(writer) is None, "its history is still coming in"
    writer.offer(headlines("b"))
    assert context(log) == []
    tick(log, ts=T0 - HOUR)
    assert told(writer) == {"rss": 2}
    assert words(log) == ["rss UP", "b"]
    log.append([NewRecord("ticks", 0, b"x", b"no avro", T0)])
    assert is_live(log, 0, T0), "what cannot be read says nothing about the market"


def test_what_waited_is_judged_by_the_moment_it_is_written(log: EventLog) -> None:
    writer = ContextWriter(log, 0, session=1)
    writer.offer(headlines("a"))
    later = T0 + 26 * HOUR
    tick(log, ts=later)
    told(writer, now=later)
    (_, status), (envelope, item) = context(log)
    assert isinstance(status, SourceStatus)
    assert isinstance(item, NewsItem)
    assert (status.state, item.timely, envelope.ts_event) == (STALE, False, later)


def test_every_shard_has_its_own_copy_and_waits_for_its_own_market(log: EventLog) -> None:
    writers = [ContextWriter(log, shard, session=1) for shard in (0, 1)]
    tick(log, shard=1)
    assert [told(writer, headlines("a")) for writer in writers] == [None, {"rss": 2}]
    tick(log, shard=0)
    assert [told(writer) for writer in writers] == [{"rss": 2}, {}]
    ids = [{envelope.event_id for envelope, _ in context(log, shard)} for shard in (0, 1)]
    assert not ids[0] & ids[1], "an event has one place on the log"


def test_the_adapters_that_came_last_go_on_and_the_others_stop(log: EventLog) -> None:
    tick(log)
    first, second = (ContextWriter(log, 0, session=session) for session in (1, 2))
    told(second, headlines("a"))
    with pytest.raises(Displaced, match="context adapter that started later: this one stops"):
        told(first, headlines("b"))
    told(second, headlines("c"))
    log.append([NewRecord("context", 0, b"x", b"garbage", T0)])
    with pytest.raises(Displaced, match="no context adapter"):
        told(second, headlines("d"))


def test_no_more_of_the_log_is_read_at_a_start_than_there_is_a_use_for(log: EventLog) -> None:
    tick(log)
    told(ContextWriter(log, 0, session=1), headlines("a", "b", "c"))
    known = read_ledger(log, 0, limit=2)
    assert known.unsaid(headlines("a", "b", "c").events) == list(headlines("a").events)
    assert known.state("rss") is None


def test_a_record_nobody_can_read_does_not_keep_the_adapters_from_starting(log: EventLog) -> None:
    tick(log)
    told(ContextWriter(log, 0, session=1), headlines("a"))
    log.append([NewRecord("context", 0, b"x", b"garbage", T0)])
    assert told(ContextWriter(log, 0, session=2), headlines("a", "b")) == {"rss": 1}


class Away(MemoryLog):
    """A log that can be out of reach."""

    away = False

    def read(self, topic: str, partition: int, offset: int, *, limit: int) -> Sequence[StoredRecord]:
        if self.away:
            raise LogError("the broker does not answer")
        return super().read(topic, partition, offset, limit=limit)


def test_a_log_out_of_reach_is_waited_for() -> None:
    log = Away()
    create_log(log)
    tick(log)
    writer = ContextWriter(log, 0, session=1)
    log.away = True
    assert told(writer, headlines("a")) is None
    log.away = False
    assert told(writer) == {"rss": 2}


class Sick(MemoryLog):
    """A log that takes context and does not say so."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        offsets = super().append(records)
        if records[0].topic == "context":
            raise LogError("no acknowledgement")
        return offsets


def test_an_append_in_doubt_ends_the_process_and_the_next_one_knows() -> None:
    sick = Sick()
    create_log(sick)
    tick(sick)
    with pytest.raises(AppendInDoubt, match="2 context are in doubt, start again"):
        told(ContextWriter(sick, 0, session=1), headlines("a"))
    assert ContextWriter(sick, 0, session=2).ledger.unsaid(headlines("a").events) == []
