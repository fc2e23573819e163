"""Golden case G6, the account's side: peak, drawdown, a deposit that is no profit, and the peak an operator resets."""

from __future__ import annotations

from decimal import Decimal

from pydantic import TypeAdapter

from schemas.events.account import CashFlowed, EquityChanged, FlowKind
from schemas.events.common import TradingState
from schemas.events.control import CommandHandled, CommandOutcome, TransferCash
from schemas.events.risk import TradingStateChanged
from schemas.values import Money
from streams.core.account import STAGE
from streams.core.account.state import AccountState
from tests.account_events import buy, mark, snapshot
from tests.builders import btc_swap, settings_changed
from tests.spec import Spec, given


def equity(spec: Spec) -> tuple[Decimal, Decimal, Decimal]:
    (event,) = spec.of(EquityChanged)
    return event.equity, event.peak_equity, event.drawdown_pct


def test_g6_drawdown_and_flows() -> None:
    """One bitcoin bought at 10000 for 10000 USDT: the equity is the mark, plus 3000 after the deposit."""
    spec = given(STAGE, settings_changed(daily_loss_pct_max=100), btc_swap(), snapshot())
    spec.when(buy("100", "10000", fee_rate=None))
    assert equity(spec) == (10000, 10000, 0)
    assert equity(spec.when(mark("12000"))) == (12000, 12000, 0)
    assert equity(spec.when(mark("9000"))) == (9000, 12000, 25)
    spec.when(TransferCash("paper", Money(Decimal(3000))))
    assert equity(spec) == (12000, 16000, 25)
    assert spec.of(CashFlowed) == [CashFlowed("paper", FlowKind.DEPOSIT, Money(Decimal(3000)))]
    assert spec.of(CommandHandled)[0].outcome is CommandOutcome.DONE
    assert equity(spec.when(mark("8200"))) == (11200, 16000, 30)
    assert equity(spec.when(mark("6600.01"))) == (Decimal("9600.01"), 16000, Decimal("39.9999375"))
    assert equity(spec.when(mark("6600"))) == (9600, 16000, 40)
    assert equity(spec.when(mark("9800"))) == (12800, 16000, 20)
    restart(spec)
    spec.when(state_changed(peak_reset=False))
    assert spec.emitted == []
    assert equity(spec.when(state_changed(peak_reset=True))) == (12800, 12800, 0)


def restart(spec: Spec) -> None:
    """Write the state and read it back, as a checkpoint does."""
    adapter = TypeAdapter(AccountState)
    restored = adapter.validate_json(adapter.dump_json(spec.state))
    assert restored == spec.state
    spec.state = restored


def state_changed(*, peak_reset: bool) -> TradingStateChanged:
    return TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), "resume", None, peak_reset)
