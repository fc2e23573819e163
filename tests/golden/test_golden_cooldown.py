"""G12: three losses of one strategy pause it for an hour; a win resets the streak, the trigger too."""

from __future__ import annotations

from schemas.events.common import ExitReason, TradingState
from schemas.events.risk import DenialCode, PlanApproved, PlanDenied, StateCauseKind
from schemas.values import SECOND
from tests.builders import T0
from tests.risk_desk import bar, closed, desk, mark, plan, verdict
from tests.spec import Spec, as_message

TEN = T0 + 18 * 3600 * SECOND
"""10:00 of the next day; T0 is 16:00."""


def clock(hours: int, minutes: int) -> int:
    return TEN + ((hours - 10) * 3600 + minutes * 60) * SECOND


def at_noon() -> Spec:
    spec = desk()
    closes = [(10, 0, "-1"), (10, 20, "-1"), (10, 40, "1"), (11, 0, "-1"), (11, 30, "-1")]
    for hours, minutes, net in closes:
        spec.when(closed(net, ts=clock(hours, minutes))).then()
    assert spec.state.streaks == {"trend": 2}
    return spec.when(closed("-1", ts=clock(12, 0)))


def judged(spec: Spec, now: int) -> Spec:
    for fresh in (bar("80000", ts=now), mark("80000", ts=now)):
        spec.when(fresh)
    return spec.when(as_message(plan(ts=now), now))


def test_the_third_loss_reduces_from_noon_for_an_hour() -> None:
    (changed,) = at_noon().emitted
    assert changed.state is TradingState.REDUCING
    (cause,) = changed.causes
    assert (cause.kind, cause.scope) == (StateCauseKind.LOSING_STREAK, "strategy:trend")
    assert (cause.since, cause.until) == (clock(12, 0), clock(13, 0))


def test_a_plan_just_before_the_end_is_denied() -> None:
    denied = verdict(judged(at_noon(), clock(13, 0) - 1))
    assert isinstance(denied, PlanDenied)
    assert denied.code is DenialCode.LOSING_STREAK_COOLDOWN


def test_a_plan_at_the_end_is_evaluated_normally() -> None:
    spec = judged(at_noon(), clock(13, 0))
    assert isinstance(verdict(spec), PlanApproved)
    assert spec.state.causes == ()
    assert spec.state.streaks == {"trend": 0}


def test_zero_neither_counts_nor_resets() -> None:
    spec = desk()
    for minute, net in enumerate(("-1", "-1", "0")):
        spec.when(closed(net, ts=clock(10, minute))).then()
    assert spec.state.streaks == {"trend": 2}


def test_another_strategy_trades_on() -> None:
    spec = at_noon()
    now = clock(12, 30)
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
