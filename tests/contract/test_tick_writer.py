"""One writer of ``ticks`` at a time, on every log: the gateway that started last; and where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from schemas.events.common import Side
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, FundingSettled, Trade, VenueBar
from schemas.values import Micros, Price, Quantity, Rate
from services.feeds.model import RANK_BAR, RANK_SETTLED, RANK_TICK, Parsed
from services.gateways.okx.market.tail import read_tail
from services.gateways.okx.market.writer import CHUNK, STAGE, TickWriter
from services.running import RESTART
from services.sole_writer import AppendInDoubt, Displaced, session_of
from streams.log import create_log, open_log
from streams.log.base import EventLog, LogError, NewRecord
from streams.log.memory import MemoryLog
from tests.builders import message
from tests.okx_market import BTC, MINUTE, NOW

ETH = "ETH-USDT-SWAP"


@pytest.fixture(params=("memory", "sqlite", pytest.param("kafka", marks=pytest.mark.kafka)))
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/log.db"}
    url = urls.get(request.param) or request.getfixturevalue("kafka_url")
    opened = open_log(url)
    create_log(opened)
    yield opened
    opened.close()


def trade(number: int, *, instrument_id: str = BTC) -> Parsed:
    event = Trade(instrument_id, str(number), Side.BUY, Price(Decimal(100)), Quantity(Decimal(1)))
    return Parsed(NOW + number, NOW + number + 4, RANK_TICK, instrument_id, str(number), event)


def bar(minute: int, *, instrument_id: str = BTC) -> Parsed:
    prices = (Price(Decimal(100)),) * 4
    event = VenueBar(instrument_id, "1m", Micros(NOW + minute * MINUTE), *prices, Quantity(Decimal(1)))
    return Parsed(NOW + (minute + 1) * MINUTE, NOW, RANK_BAR, instrument_id, str(minute), event)


def test_ticks_are_appended_in_order_with_stage_session_and_both_times(log: EventLog) -> None:
    writer = TickWriter(log, 0, "tapeline/test", session=7)
    writer.write([trade(number) for number in range(CHUNK + 3)])
    writer.write([trade(CHUNK + 3)])
    stored = log.read("ticks", 0, 0, limit=2 * CHUNK)
    assert [record.offset for record in stored] == list(range(CHUNK + 4))
    envelope, event = decode(stored[-1].value)
    assert (envelope.stage, envelope.producer) == ("okx-market", "tapeline/test okx-market/7")
    assert (envelope.ts_event, envelope.ts_ingest) == (NOW + CHUNK + 3, NOW + CHUNK + 7)
    assert isinstance(event, Trade)
    assert stored[-1].key == BTC.encode()


def test_the_later_session_goes_on_and_the_earlier_one_stops_at_its_next_append(log: EventLog) -> None:
    first, second = (TickWriter(log, 0, "test", session=session) for session in (100, 200))
    second.write([trade(1)])
    with pytest.raises(Displaced, match="'test okx-market/200', a market gateway that started later: this one stops"):
        first.write([trade(2)])  # lands once more: it could not know
    second.write([trade(3)])
    second.write([trade(4)])
    assert log.end_offset("ticks", 0) == 4


def test_an_import_stops_even_the_latest_session(log: EventLog) -> None:
    writer = TickWriter(log, 0, "test", session=100)
    writer.write([trade(1)])
    foreign = trade(2).event
    log.append([NewRecord("ticks", 0, b"x", encode(message(foreign).envelope, foreign), NOW)])
    with pytest.raises(Displaced, match="no market gateway"):
        writer.write([trade(3)])


class Sick(MemoryLog):
    """A log that takes the records and does not say so."""

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        super().append(records)
        raise LogError("no acknowledgement")


def test_an_append_in_doubt_ends_the_process_and_asks_for_another() -> None:
    sick = Sick()
    create_log(sick)
    with pytest.raises(AppendInDoubt, match="1 ticks are in doubt, start again: no acknowledgement") as raised:
        TickWriter(sick, 0, "test", session=1).write([trade(1)])
    assert raised.value.exit_code == RESTART
    assert read_tail(sick, 0, [BTC]).trade_ids == {BTC: ["1"]}  # the next start sees that it did arrive


def test_a_writer_takes_up_where_the_log_ends(log: EventLog) -> None:
    TickWriter(log, 0, "test", session=100).write([trade(1)])
    TickWriter(log, 0, "test", session=200).write([trade(2)])
    assert log.end_offset("ticks", 0) == 2


@pytest.mark.parametrize(
    ("producer", "session"),
    [("tapeline/0.1.0 okx-market/17", 17), ("tapeline/0.1.0", None), ("", None)],
)
def test_a_session_is_read_from_the_producer(producer: str, session: int | None) -> None:
    assert session_of(producer, STAGE) == session


def test_the_tail_of_an_empty_log_is_empty(log: EventLog) -> None:
    tail = read_tail(log, 0, [BTC])
    assert tail.empty
    assert (tail.bars, tail.last, tail.trade_ids) == ({}, {}, {})


def test_the_tail_says_the_newest_of_everything(log: EventLog) -> None:
    lost = FeedStatus(BTC, Channel.TRADES, FeedState.LOST, FeedOrigin.LIVE, "okx", None, "cut")
    settled = FundingSettled(BTC, Rate(Decimal(1)), Micros(NOW))
    TickWriter(log, 0, "test", session=1).write(
        [
            bar(0), bar(1), trade(1), bar(0, instrument_id=ETH), trade(2),
            Parsed(NOW, NOW, RANK_SETTLED, BTC, "settled", settled),
            Parsed(NOW + 9, NOW, RANK_TICK, BTC, "lost", lost),
        ]
    )  # fmt: skip
    tail = read_tail(log, 0, [BTC, ETH])
    assert not tail.empty
    assert tail.bars == {BTC: NOW + MINUTE, ETH: NOW}
    assert tail.trade_ids == {BTC: ["2", "1"]}
    assert tail.settled == {BTC: NOW}
    assert tail.states == {(BTC, Channel.TRADES): FeedState.LOST}
    assert tail.last[BTC, Channel.TRADES] == NOW + 9
    assert tail.last[ETH, Channel.BARS] == NOW + MINUTE


def test_the_tail_is_read_no_further_than_its_limit(log: EventLog) -> None:
    TickWriter(log, 0, "test", session=1).write([bar(0), *(trade(number) for number in range(10_000))])
    assert read_tail(log, 0, [BTC], limit=5_000).bars == {}
    assert read_tail(log, 0, [BTC], limit=20_000).bars == {BTC: NOW}
