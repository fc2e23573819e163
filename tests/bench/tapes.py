"""What the benchmarks feed the trader: recorded bars, recorded trades, and those trades repeated without duplicates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

from schemas.codec import encode
from schemas.envelope import Envelope, Event
from schemas.events.market import Channel, FeedStatus, InstrumentDefined, Trade
from schemas.ids import derive_id
from schemas.settings import TradingSettings
from schemas.values import SECOND, Micros
from services.bootstrap import prepare_log
from services.feeds import open_feed, shared_data_dir
from streams.log.base import EventLog, NewRecord
from tests.tapes import recorded_ticks

Tick = tuple[Envelope, Event]
RAW_FILE = "binance/raw_ws/usdm-btcusdt_20240808.gz"
CHUNK = 20_000


def recorded_bars(days: float) -> list[Tick]:
    """Return bars, marks and fundings of BTC and ETH swaps; the first day is history, as on a fresh start."""
    return recorded_ticks(days=days, warmup_days=1)


def raw_ticks() -> list[Tick]:
    """Return everything a raw recording of one perpetual holds: trades, quotes and the book's best five levels."""
    return list(open_feed([shared_data_dir() / RAW_FILE]))


def raw_trades() -> list[Tick]:
    """Return the trades of that recording, behind the instrument's definition and the announcement of the trades."""
    return [tick for tick in raw_ticks() if _is_of_the_trades(tick[1])]


def _is_of_the_trades(event: Event) -> bool:
    announced = isinstance(event, FeedStatus) and event.channel is Channel.TRADES
    return announced or isinstance(event, InstrumentDefined | Trade)


def repeated(ticks: Sequence[Tick], total: int) -> Iterator[Tick]:
    """Yield ``total`` ticks: the recording again and again, every round later and with ids of its own.

    What opens the recording (the instrument, the feed's announcement) comes once.
    """
    yield from islice(_rounds(ticks), total)


def _rounds(ticks: Sequence[Tick]) -> Iterator[Tick]:
    yield from ticks
    trades = [(envelope, event) for envelope, event in ticks if isinstance(event, Trade)]
    length = ticks[-1][0].ts_event - ticks[0][0].ts_event + SECOND
    ids = max(int(event.trade_id) for _, event in trades) + 1 - min(int(event.trade_id) for _, event in trades)
    for number in count(1):
        for envelope, event in trades:
            yield (
                _later(envelope, number * length, number),
                replace(event, trade_id=str(int(event.trade_id) + number * ids)),
            )


def _later(envelope: Envelope, shift: int, number: int) -> Envelope:
    identity = derive_id(envelope.event_id, "round", number)
    return envelope._replace(
        event_id=identity,
        correlation_id=identity,
        ts_event=Micros(envelope.ts_event + shift),
        ts_ingest=Micros(envelope.ts_ingest + shift),
    )


def tick_record(envelope: Envelope, event: Event) -> NewRecord:
    """Encode one tick for shard 0."""
    key = str(getattr(event, "instrument_id", "")).encode()
    return NewRecord("ticks", 0, key, encode(envelope, event), envelope.ts_event)


def put(log: EventLog, ticks: Iterator[Tick] | Sequence[Tick], settings: TradingSettings | None = None) -> int:
    """Create the log with the settings and append all ticks; return how many."""
    source, total = iter(ticks), 0
    while chunk := list(islice(source, CHUNK)):
        if not total:
            prepare_log(log, settings or TradingSettings(), ts_event=chunk[0][0].ts_event)
        log.append([tick_record(*tick) for tick in chunk])
        total += len(chunk)
    return total
