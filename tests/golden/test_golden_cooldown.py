"""G12: three losses of one strategy pause it for an hour; a win resets the streak, the trigger too."""

from __future__ import annotations

import json

from schemas.events.account import TradeClosed
from schemas.events.common import ExitReason, TradingState
from schemas.events.control import ExecutePlan
from schemas.events.risk import DenialCode, PlanApproved, PlanDenied, StateCauseKind, TradingStateChanged
from schemas.values import SECOND
from streams.pipeline import stages
from tests.builders import MINUTE, T0
from tests.rig import Rig
from tests.risk_desk import bar, closed, desk, mark, plan, verdict
from tests.spec import Spec, as_message

TEN = T0 + 18 * 3600 * SECOND
"""10:00 of the next day; T0 is 16:00."""


def clock(hours: int, minutes: int) -> int:
    return TEN + ((hours - 10) * 3600 + minutes * 60) * SECOND


QUIET, ENTERED = "80000/80000/80000/80000", "79990/80050/79900/80000"
LOST, WON = "80000/80000/79100/79500", "80000/80900/79990/80850"
PLAN = {
    "schema_version": 1,
    "instrument_id": "BTC-USDT-SWAP",
    "position_side": "LONG",
    "strategy": "trend",
    "entry": {"type": "LIMIT", "limit_price": "80000"},
    "stop": {"trigger_price": "79200"},
    "targets": [{"limit_price": "80800", "fraction": "1"}],
    "valid_for_s": 300,
    "rationale": {"summary": "a golden case"},
}


def traded(rig: Rig, hours: int, minutes: int, last_bar: str) -> TradeClosed:
    """Let the market be quiet, enter two minutes before this moment, and close in the bar that ends at it."""
    while rig.ts < clock(hours, minutes) - 2 * MINUTE:
        rig.bar(QUIET)
    rig.feed(ExecutePlan("paper", json.dumps(PLAN)))
    (approved,) = rig.now(PlanApproved)
    rig.bar(ENTERED)
    rig.bar(last_bar)
    (trade,) = rig.now(TradeClosed)
    assert (trade.plan_id, trade.ts_closed) == (approved.plan_id, clock(hours, minutes))
    return trade


def at_noon() -> Rig:
    """Six real trades through all ten stages; the stop guard, which would block the instrument, is out of the way."""
    rig = Rig(stages=stages(), rules_enabled="false", stop_guard_n=100)
    rig.ts = clock(9, 50)
    for hours, minutes in ((10, 0), (10, 20)):
        assert traded(rig, hours, minutes, LOST).net_pnl < 0
    assert rig.state("risk").streaks == {"trend": 2}
    assert traded(rig, 10, 40, WON).net_pnl > 0
    assert rig.state("risk").streaks == {"trend": 0}
    for hours, minutes in ((11, 0), (11, 30)):
        assert traded(rig, hours, minutes, LOST).net_pnl < 0
    assert rig.state("risk").streaks == {"trend": 2}
    assert [change.state for change in rig.of(TradingStateChanged)[-1:]] == [TradingState.ACTIVE]
    assert traded(rig, 12, 0, LOST).net_pnl < 0
    return rig


def test_g12() -> None:
    rig = at_noon()
    (changed,) = rig.now(TradingStateChanged)
    assert changed.state is TradingState.REDUCING
    (cause,) = changed.causes
    assert (cause.kind, cause.scope) == (StateCauseKind.LOSING_STREAK, "strategy:trend")
    assert (cause.since, cause.until) == (clock(12, 0), clock(13, 0))

    while rig.ts < clock(12, 59):
        rig.bar(QUIET)
    rig.feed(ExecutePlan("paper", json.dumps(PLAN)), ts=clock(13, 0) - 1)
    (denied,) = rig.now(PlanDenied)
    assert denied.code is DenialCode.LOSING_STREAK_COOLDOWN
    rig.feed(ExecutePlan("paper", json.dumps(PLAN)), ts=clock(13, 0))
    assert len(rig.now(PlanApproved)) == 1
    (released,) = rig.now(TradingStateChanged)
    assert (released.state, released.causes) == (TradingState.ACTIVE, ())
    assert rig.state("risk").streaks == {"trend": 0}


def judged(spec: Spec, now: int) -> Spec:
    for fresh in (bar("80000", ts=now), mark("80000", ts=now)):
        spec.when(fresh)
    return spec.when(as_message(plan(ts=now), now))


def test_zero_neither_counts_nor_resets() -> None:
    spec = desk()
    for minute, net in enumerate(("-1", "-1", "0")):
        spec.when(closed(net, ts=clock(10, minute))).then()
    assert spec.state.streaks == {"trend": 2}


def test_another_strategy_trades_on() -> None:
    spec = desk()
    for minute in range(3):
        spec.when(closed("-1", ts=clock(12, minute)))
    now = clock(12, 30)
    assert verdict(judged(spec, now)).code is DenialCode.LOSING_STREAK_COOLDOWN
    for fresh in (bar("80000", ts=now), mark("80000", ts=now)):
        spec.when(fresh)
    spec.when(as_message(plan(ts=now, strategy="breakout"), now))
    assert isinstance(verdict(spec), PlanApproved)


def test_three_stop_exits_block_the_instrument() -> None:
    spec = desk(losing_streak_max=100)
    for hour in (10, 11):
        spec.when(closed("-1", ts=clock(hour, 0), reason=ExitReason.STOP)).then()
    (changed,) = spec.when(closed("-1", ts=clock(12, 0), reason=ExitReason.STOP)).emitted
    (cause,) = changed.causes
    assert (cause.kind, cause.scope) == (StateCauseKind.STOP_GUARD, "instrument:BTC-USDT-SWAP")
    assert cause.until == clock(16, 0)
    assert verdict(judged(spec, clock(16, 0) - 1)).code is DenialCode.STOP_GUARD_ACTIVE
    assert isinstance(verdict(judged(spec, clock(16, 0))), PlanApproved)


def test_a_stop_exit_that_left_the_window_does_not_count() -> None:
    spec = desk(losing_streak_max=100)
    spec.when(closed("-1", ts=TEN, reason=ExitReason.STOP))
    spec.when(closed("-1", ts=TEN + 3600 * SECOND, reason=ExitReason.STOP))
    spec.when(closed("-1", ts=TEN + 86400 * SECOND, reason=ExitReason.STOP)).then()
