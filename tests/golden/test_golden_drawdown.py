"""G6, the page's whole sequence on the real trader: ten stages, a journaled log, and a restart from a checkpoint.

A position of 0.1 BTC at a price that never moves, in cross mode and without fees, so that funding alone moves equity
and every number of the page is met exactly: 8000 USDT of notional, a rate of 0.25 is 2000 USDT.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, TypeVar

from schemas.codec import decode, encode
from schemas.envelope import Event
from schemas.events.account import CashFlowed, EquityChanged, FlowKind, FundingPaid
from schemas.events.common import TradingState
from schemas.events.control import (
    CommandHandled,
    CommandOutcome,
    ExecutePlan,
    RefusalCode,
    ResumeTrading,
    TransferCash,
)
from schemas.events.market import FundingSettled, MarkPrice, VenueBar
from schemas.events.risk import (
    DenialCode,
    DrawdownWarningChanged,
    PlanApproved,
    PlanDenied,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.settings import TradingSettings
from schemas.topics import OUTPUTS, TOPIC_OF
from schemas.values import Micros, Money, Price, Quantity, Rate
from services.bootstrap import prepare_log
from streams.log.base import NewRecord
from streams.log.memory import MemoryLog
from streams.pipeline import stages
from streams.recovery import Recovered
from streams.trader import Trader
from streams.verify import verify
from tests.builders import MINUTE, T0, btc_swap, eth_swap, message

D = Decimal
E = TypeVar("E", bound=Event)
BTC, ETH = "BTC-USDT-SWAP", "ETH-USDT-SWAP"
PRICES = {BTC: Price(D(80000)), ETH: Price(D(2000))}
SETTINGS = TradingSettings(
    risk_budget_pct=D("0.92"),
    daily_loss_pct_max=D(100),
    duplicate_window_s=0,
    margin_mode="CROSS",
    fee_maker_swap_pct=D(0),
    fee_taker_swap_pct=D(0),
    slippage_bps=D(0),
    rules_enabled=False,
)
"""Budget 0.92 % over a stop 1 % away and buffers of 0.15 %: 10000 * 0.92 / 1.15 = 8000 USDT, ten contracts."""


class Shard:
    """A trader on a log. ``told``: the events its last input caused."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.ts = int(T0)
        self.told: list[Event] = []
        prepare_log(self.log, SETTINGS, ts_event=T0)
        self.restart()

    def restart(self) -> Recovered:
        """Put another trader on the log, as a new process would be."""
        self.trader = Trader(self.log, 0, stages(), worker="golden", code_version="test")
        return self.trader.start()

    def give(self, event: Event) -> list[Event]:
        """Append one input, let the trader take it, and read back what it published."""
        topic = TOPIC_OF[type(event)].name
        before = {name: self.log.end_offset(name, 0) for name in OUTPUTS}
        incoming = message(event, ts=self.ts)
        self.log.append([NewRecord(topic, 0, b"key", encode(incoming.envelope, event), self.ts)])
        self.trader.process(topic, self.log.read(topic, 0, self.trader.position(topic), limit=10))
        published = [self.log.read(name, 0, offset, limit=100) for name, offset in before.items()]
        told = [decode(record.value) for records in published for record in records]
        self.told = [event for _, event in sorted(told, key=lambda pair: (pair[0].step, pair[0].ordinal))]
        return self.told

    def said(self, kind: type[E]) -> list[E]:
        """Return what the last input caused of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def minute(self, low: str = "80000") -> None:
        """Let a minute pass at whose end every price is what it was; ``low``: of the position's instrument."""
        opens, self.ts = Micros(self.ts), self.ts + MINUTE
        for name, price in PRICES.items():
            lowest = Price(D(low)) if name == BTC else price
            self.give(VenueBar(name, "1m", opens, price, price, lowest, price, Quantity(D(1000))))
            self.give(MarkPrice(name, price))

    def fund(self, rate: str) -> EquityChanged:
        """Settle funding a minute later; a negative rate is received."""
        self.minute()
        self.give(FundingSettled(BTC, Rate(D(rate)), Micros(self.ts)))
        assert len(self.said(FundingPaid)) == 1
        return self.said(EquityChanged)[-1]

    def plan(self, instrument_id: str, entry: str, stop: str) -> PlanApproved | PlanDenied:
        """Send an operator's plan, good for a minute and a half, and return the verdict."""
        self.minute()
        document: dict[str, Any] = {
            "schema_version": 1,
            "instrument_id": instrument_id,
            "position_side": "LONG",
            "strategy": "trend",
            "entry": {"type": "LIMIT", "limit_price": entry},
            "stop": {"trigger_price": stop},
            "valid_for_s": 90,
            "max_holding_s": 86400,
            "rationale": {"summary": "a golden case"},
        }
        self.give(ExecutePlan("paper", json.dumps(document)))
        (verdict,) = [event for event in self.told if isinstance(event, PlanApproved | PlanDenied)]
        return verdict

    def budget_pct(self) -> Decimal:
        """Return what a plan in the other instrument is approved with; its entry is out of reach and expires."""
        verdict = self.plan(ETH, "1990", "1970.1")
        assert isinstance(verdict, PlanApproved), verdict.detail
        return verdict.sizing.budget_pct


def numbers(event: EquityChanged) -> tuple[Decimal, Decimal, Decimal]:
    return event.equity, event.peak_equity, event.drawdown_pct


def opened() -> Shard:
    """Ten contracts bought at 80000; equity and peak are what they were."""
    shard = Shard()
    shard.give(btc_swap())
    shard.give(eth_swap())
    shard.minute()
    verdict = shard.plan(BTC, "80000", "79200")
    assert isinstance(verdict, PlanApproved), verdict.detail
    assert verdict.sizing.quantity == 10
    shard.minute(low="79999.9")
    assert shard.trader.kernel.states[-1].desks[BTC].position.quantity == 10
    return shard


def test_g6() -> None:
    shard = opened()
    assert numbers(shard.fund("0")) == (10000, 10000, 0)
    assert numbers(shard.fund("-0.25")) == (12000, 12000, 0)
    assert numbers(shard.fund("0.375")) == (9000, 12000, 25)
    assert shard.budget_pct() == D("0.92")
    shard.give(TransferCash("paper", Money(D(3000))))
    assert shard.said(CashFlowed) == [CashFlowed("paper", FlowKind.DEPOSIT, Money(D(3000)))]
    assert numbers(shard.said(EquityChanged)[-1]) == (12000, 16000, 25)

    assert numbers(shard.fund("0.1")) == (11200, 16000, 30)
    assert [warning.warning for warning in shard.said(DrawdownWarningChanged)] == [WarningState.RAISED]
    assert shard.said(TradingStateChanged) == []
    assert shard.budget_pct() == D("0.46")
    assert numbers(shard.fund("0.19999875")) == (D("9600.01"), 16000, D("39.9999375"))
    assert shard.said(TradingStateChanged) == []
    assert shard.budget_pct() == D("0.46")

    assert numbers(shard.fund("0.00000125")) == (9600, 16000, 40)
    (halted,) = shard.said(TradingStateChanged)
    assert (halted.state, halted.previous) == (TradingState.HALTED, TradingState.ACTIVE)
    (cause,) = halted.causes
    assert (cause.kind, cause.latched, cause.scope) == (StateCauseKind.DRAWDOWN, True, "account")
    assert numbers(shard.fund("-0.4")) == (12800, 16000, 20)
    assert [warning.warning for warning in shard.said(DrawdownWarningChanged)] == [WarningState.RELEASED]
    assert shard.said(TradingStateChanged) == []

    halted_survives_a_restart(shard)
    resumed_with_a_reason(shard)
    assert verify(shard.log, 0, stages()).proven


def halted_survives_a_restart(shard: Shard) -> None:
    """The state comes from a checkpoint, not from the steps before it, and the halt is still latched."""
    shard.trader.finish()
    recovered = shard.restart()
    assert recovered.from_step == recovered.to_step > 0
    denied = shard.plan(ETH, "1990", "1970.1")
    assert isinstance(denied, PlanDenied)
    assert denied.code is DenialCode.DRAWDOWN_EXCEEDS_LIMIT
    shard.give(ResumeTrading("paper"))
    (refused,) = shard.said(CommandHandled)
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, RefusalCode.LATCHED_CAUSES)
    assert "DRAWDOWN" in refused.detail
    assert shard.said(TradingStateChanged) == []


def resumed_with_a_reason(shard: Shard) -> None:
    """The peak starts again at the equity of now."""
    shard.give(ResumeTrading("paper", "reviewed with the desk"))
    (released,) = shard.said(TradingStateChanged)
    assert (released.state, released.causes, released.peak_reset) == (TradingState.ACTIVE, (), True)
    assert [handled.outcome for handled in shard.said(CommandHandled)] == [CommandOutcome.DONE]
    assert numbers(shard.said(EquityChanged)[-1]) == (12800, 12800, 0)
    assert shard.budget_pct() == D("0.92")
