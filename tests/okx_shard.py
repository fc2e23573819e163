"""A shard on OKX: a real trader over a memory log, and a hand that writes the reports as its gateway would."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from schemas.codec import encode
from schemas.envelope import Event
from schemas.events.common import AccountMode, Liquidity, PositionMode, Side
from schemas.events.control import ExecutePlan
from schemas.events.market import MarkPrice, Trade
from schemas.events.orders import (
    AccountSnapshot,
    OrderIntended,
    SubmitAttempted,
    VenueAccepted,
    VenueFill,
)
from schemas.ids import derive_id
from schemas.settings import Venue
from schemas.topics import REPORTS
from schemas.values import Money, Price, Quantity
from services.backup import export_log, import_log
from streams.batch import run_batch
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.reader import SeqReader
from streams.trader import Trader
from streams.verify import verify
from tests.builders import at, btc_swap, message, settings_changed

BTC = "BTC-USDT-SWAP"
PLAN = (
    '{"schema_version": 1, "instrument_id": "BTC-USDT-SWAP", "position_side": "LONG", "strategy": "trend",'
    ' "entry": {"type": "LIMIT", "limit_price": "79990.0"},'
    ' "stop": {"trigger_price": "79200.0"}, "targets": [{"limit_price": "82000.0", "fraction": "1"}],'
    ' "valid_for_s": 900, "max_holding_s": 3600, "rationale": {"summary": "a test"}}'
)


def put(log: MemoryLog, topic: str, *events: Event, seconds: float = 0) -> None:
    for event in events:
        number = log.end_offset(topic, 0)
        incoming = message(event, ts=at(seconds), event_id=derive_id("put", topic, number))
        log.append([NewRecord(topic, 0, b"k", encode(incoming.envelope, event), at(seconds))])


L = TypeVar("L", bound=MemoryLog)


def begun(venue: Venue = Venue.OKX) -> MemoryLog:
    """A log with settings, an instrument, a market, and a plan to execute."""
    return _begun(MemoryLog(), venue)


def _begun(log: L, venue: Venue = Venue.OKX) -> L:
    create_log(log)
    put(log, "settings", settings_changed(venue=venue, mark_substitute="true"))
    last = Trade(BTC, "1", Side.BUY, Price(Decimal(80000)), Quantity(Decimal(1)))
    put(log, "ticks", btc_swap(), MarkPrice(BTC, Price(Decimal(80000))), last)
    return log


def trader_of(log: MemoryLog) -> Trader:
    return Trader(log, 0, stages(), worker="w", code_version="1", checkpoint_inputs=3)


def run(log: MemoryLog) -> Trader:
    trader = trader_of(log)
    trader.start()
    run_batch(log, trader)
    return trader


def snapshot() -> AccountSnapshot:
    return AccountSnapshot("paper", Money(Decimal(10000)), (), (), AccountMode.FUTURES, PositionMode.NET)


def of(log: MemoryLog, topic: str) -> list[Event]:
    return [accepted.event for accepted in SeqReader(log, topic, 0).poll(10_000)]


def intended(log: MemoryLog) -> OrderIntended:
    (found,) = (event for event in of(log, "orders") if isinstance(event, OrderIntended) and not event.reduce_only)
    return found


def traded(log: MemoryLog) -> OrderIntended:
    """Bring a log to a filled entry, with the hand of a gateway on ``reports``."""
    put(log, REPORTS, snapshot())
    run(log)
    put(log, "commands", ExecutePlan("paper", PLAN))
    run(log)
    order = intended(log)
    names = (order.client_order_id, "paper", BTC)
    put(log, REPORTS, SubmitAttempted(*names), VenueAccepted(*names, "9001"))
    run(log)
    price, fee = Price(Decimal(79990)), Quantity(Decimal("0.5"))
    fill = VenueFill(*names, "t1", Side.BUY, order.quantity, price, Liquidity.MAKER, fee, "USDT", None, None)
    put(log, REPORTS, fill, fill)
    run(log)
    return order


class BusyLog(MemoryLog):
    """A log whose gateway reports, and whose trader takes that in, whenever somebody asks where a topic ends."""

    busy = False

    def end_offset(self, topic: str, partition: int) -> int:
        if self.busy:
            self.busy = False
            put(self, REPORTS, snapshot())
            run(self)
            self.busy = True
        return super().end_offset(topic, partition)


def test_a_copy_taken_while_a_gateway_reports_can_be_recovered_from(tmp_path: Path) -> None:
    log = _begun(BusyLog())
    log.busy = True
    export_log(log, tmp_path / "copy")
    log.busy = False
    restored = MemoryLog()
    copied = import_log(restored, tmp_path / "copy")
    assert 0 < copied[REPORTS] <= log.end_offset(REPORTS, 0)
    run(restored)
    assert verify(restored, 0, stages()).proven
