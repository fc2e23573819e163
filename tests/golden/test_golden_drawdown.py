"""G6: drawdown warns, halts, latches, survives a restart and is released by a resume with a reason."""

from __future__ import annotations

from decimal import Decimal

from pydantic import TypeAdapter

from schemas.events.common import TradingState
from schemas.events.control import CommandOutcome, ResumeTrading
from schemas.events.risk import PlanApproved, PlanDenied, StateCauseKind, TradingStateChanged
from streams.core.risk import STAGE
from streams.core.risk.state import RiskState
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
    moved(spec, "11200", "16000").then()
    assert budget(spec) == D("0.5")
    moved(spec, "9600.01", "16000").then()
    assert budget(spec) == D("0.5")

    moved(spec, "9600", "16000")
    (halted,) = spec.emitted
    assert isinstance(halted, TradingStateChanged)
    assert (halted.state, halted.previous) == (TradingState.HALTED, TradingState.ACTIVE)
    (cause,) = halted.causes
    assert (cause.kind, cause.latched, cause.scope) == (StateCauseKind.DRAWDOWN, True, "account")

    moved(spec, "12800", "16000").then()
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
    moved(spec, "9600.00000001", "16000").then()
    moved(spec, "9600", "16000")
    assert len(spec.emitted) == 1
