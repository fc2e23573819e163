"""G6: drawdown warns, halts, latches, survives a restart and is released by a resume with a reason."""

from __future__ import annotations

from decimal import Decimal

from pydantic import TypeAdapter

from schemas.codec import decode
from schemas.envelope import Event
from schemas.events.account import EquityChanged
from schemas.events.common import TradingState
from schemas.events.control import CommandHandled, CommandOutcome, ResumeTrading, TransferCash
from schemas.events.market import MarkPrice
from schemas.events.risk import (
    DrawdownWarningChanged,
    PlanApproved,
    PlanDenied,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.values import Money, Price
from streams.core import account
from streams.core.kernel import Kernel
from streams.core.risk import STAGE
from streams.core.risk.state import RiskState
from tests import account_events
from tests.builders import btc_swap, message, settings_changed
from tests.risk_desk import desk, equity, plan, verdict
from tests.spec import Spec

D = Decimal


def budget(spec: Spec) -> Decimal:
    """Return the budget a plan would get now, without leaving it on the desk."""
    copy = restarted(spec)
    answer = verdict(copy.when(plan()))
    assert isinstance(answer, PlanApproved | PlanDenied)
    assert answer.sizing is not None
    return answer.sizing.budget_pct


def restarted(spec: Spec) -> Spec:
    """Return the desk after its state went through a checkpoint."""
    adapter = TypeAdapter(RiskState)
    state = adapter.validate_json(adapter.dump_json(spec.state))
    assert state == spec.state
    return Spec(STAGE, state, [])


def moved(spec: Spec, amount: str, peak: str) -> Spec:
    return spec.when(equity(amount, peak=peak, day_start="10000"))


def test_g6() -> None:
    spec = desk(daily_loss_pct_max=100)
    for amount, peak in (("10000", "10000"), ("12000", "12000"), ("9000", "12000"), ("12000", "16000")):
        moved(spec, amount, peak).then()
    assert budget(spec) == 1
    (warned,) = moved(spec, "11200", "16000").emitted
    assert isinstance(warned, DrawdownWarningChanged)
    assert (warned.warning, warned.drawdown_pct) == (WarningState.RAISED, 30)
    assert budget(spec) == D("0.5")
    moved(spec, "9600.01", "16000").then()
    assert budget(spec) == D("0.5")

    moved(spec, "9600", "16000")
    (halted,) = spec.emitted
    assert isinstance(halted, TradingStateChanged)
    assert (halted.state, halted.previous) == (TradingState.HALTED, TradingState.ACTIVE)
    (cause,) = halted.causes
    assert (cause.kind, cause.latched, cause.scope) == (StateCauseKind.DRAWDOWN, True, "account")

    (released,) = moved(spec, "12800", "16000").emitted
    assert isinstance(released, DrawdownWarningChanged)
    assert (released.warning, released.drawdown_pct) == (WarningState.RELEASED, 20)
    spec = restarted(spec)
    assert verdict(spec.when(plan())).code.value == "DRAWDOWN_EXCEEDS_LIMIT"

    (refused,) = spec.when(ResumeTrading("paper")).emitted
    assert (refused.outcome, refused.code) == (CommandOutcome.REFUSED, "LATCHED_CAUSES")
    assert "DRAWDOWN" in refused.detail

    released, done = spec.when(ResumeTrading("paper", "reviewed with the desk")).emitted
    assert (released.state, released.causes, released.peak_reset) == (TradingState.ACTIVE, (), True)
    assert done.outcome is CommandOutcome.DONE
    assert spec.state.account.peak == 12800
    assert budget(spec) == 1


def test_the_boundary_is_the_limit_itself() -> None:
    spec = desk(daily_loss_pct_max=100)
    assert moved(spec, "9600.00000001", "16000").of(TradingStateChanged) == []
    (halted,) = moved(spec, "9600", "16000").emitted
    assert isinstance(halted, TradingStateChanged)


class Pair:
    """Risk and account in one kernel, as they stand in the trader."""

    def __init__(self) -> None:
        self.kernel = Kernel((STAGE, account.STAGE), code_version="test")

    def give(self, *events: Event) -> list[Event]:
        """Take these inputs and return what the last one caused."""
        emitted: list[Event] = []
        for event in events:
            incoming = message(event)
            emitted = [decode(output.value)[1] for output in self.kernel.step_event(incoming.envelope, event)]
        return emitted


def equity_and_peak(emitted: list[Event]) -> list[tuple[Decimal, Decimal]]:
    return [(event.equity, event.peak_equity) for event in emitted if isinstance(event, EquityChanged)]


def test_g6_with_the_account_that_measures_it() -> None:
    """One bitcoin without fees: equity is the mark minus 70000, plus 3000 after the deposit."""
    pair = Pair()
    pair.give(settings_changed(daily_loss_pct_max=100), btc_swap(), account_events.snapshot())
    bought = account_events.buy("100", "80000", fee_rate=None)
    assert equity_and_peak(pair.give(bought)) == [(D(10000), D(10000))]
    assert equity_and_peak(pair.give(marked("82000"))) == [(D(12000), D(12000))]
    assert equity_and_peak(pair.give(marked("79000"))) == [(D(9000), D(12000))]
    assert equity_and_peak(pair.give(TransferCash("paper", Money(D(3000))))) == [(D(12000), D(16000))]
    assert equity_and_peak(pair.give(marked("78200"))) == [(D(11200), D(16000))]
    assert equity_and_peak(pair.give(marked("76600.01"))) == [(D("9600.01"), D(16000))]

    moved_equity, halted = pair.give(marked("76600"))
    assert equity_and_peak([moved_equity]) == [(D(9600), D(16000))]
    assert isinstance(halted, TradingStateChanged)
    assert halted.state is TradingState.HALTED

    assert equity_and_peak(pair.give(marked("79800"))) == [(D(12800), D(16000))]
    (refused,) = pair.give(ResumeTrading("paper"))
    assert isinstance(refused, CommandHandled)
    assert refused.code == "LATCHED_CAUSES"
    released, done, rebased = pair.give(ResumeTrading("paper", "reviewed with the desk"))
    assert isinstance(released, TradingStateChanged)
    assert (released.state, released.peak_reset) == (TradingState.ACTIVE, True)
    assert isinstance(done, CommandHandled)
    assert equity_and_peak([rebased]) == [(D(12800), D(12800))]


def marked(price: str) -> MarkPrice:
    return MarkPrice("BTC-USDT-SWAP", Price(D(price)))
