"""``risk status`` names what holds trading: the differences told since the account stopped agreeing, none before."""

from __future__ import annotations

from schemas.codec import encode
from schemas.envelope import Event
from schemas.events.common import Repair, TradingState
from schemas.events.risk import (
    ReconciliationDiffered,
    ReconciliationSettled,
    StateCause,
    StateCauseKind,
    TradingStateChanged,
)
from schemas.values import SECOND, Micros
from services.control.status import differences, trading_status
from streams.log import create_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from tests.builders import T0, message

HALTED = StateCause(
    StateCauseKind.RECONCILING, TradingState.HALTED, "account", Micros(T0 + 9 * SECOND), None, False, "snapshot"
)


def differed(subject: str, venue: str, repair: Repair = Repair.OPERATOR) -> ReconciliationDiffered:
    return ReconciliationDiffered("okx", subject, venue, "0", T0, 0, repair)


def test_the_open_differences_since_trading_was_held() -> None:
    log = MemoryLog()
    create_log(log)

    def put(second: int, event: Event) -> None:
        told = message(event, ts=T0 + second * SECOND)
        log.append([NewRecord("verdicts", 0, b"", encode(told.envelope, event), T0)])

    put(1, differed("cash", "9"))
    put(9, differed("position BTC-USDT-SWAP", "3"))
    held = TradingStateChanged("okx", TradingState.HALTED, TradingState.ACTIVE, (HALTED,), "")
    put(9, held)
    put(12, differed("order 7", "open"))
    put(15, differed("position BTC-USDT-SWAP", "5"))
    put(18, ReconciliationSettled("okx", "order 7", T0, 1))
    assert [(d["subject"], d["venue"]) for d in trading_status(log, 0)["differences"]] == [
        ("position BTC-USDT-SWAP", "5")
    ]
    put(20, TradingStateChanged("okx", TradingState.ACTIVE, TradingState.HALTED, (), ""))
    assert trading_status(log, 0)["differences"] == []
    assert differences(log, 0, held) != [], "the state asked about decides, not the newest"
