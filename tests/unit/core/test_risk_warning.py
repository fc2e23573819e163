"""The drawdown warning is said once when it begins and once when it ends, with its numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.envelope import Event
from schemas.events.control import OverrideLimit
from schemas.events.risk import DrawdownWarningChanged, TradingStateChanged, WarningState
from schemas.values import Money, Percent, Ratio
from tests.builders import settings_changed
from tests.risk_desk import desk, equity, plan, verdict
from tests.spec import Spec

D = Decimal
RAISED, RELEASED = WarningState.RAISED, WarningState.RELEASED


def account(**settings: object) -> Spec:
    """A desk whose equity has been 16000; only drawdown matters."""
    spec = desk(daily_loss_pct_max=100, **settings)
    return moved(spec, "16000")


def moved(spec: Spec, amount: str) -> Spec:
    return spec.when(equity(amount, peak="16000", day_start="16000"))


def warnings(spec: Spec) -> list[WarningState]:
    return [event.warning for event in spec.of(DrawdownWarningChanged)]


def test_it_is_raised_at_the_level_and_released_below_it() -> None:
    spec = account()
    moved(spec, "11200.00000001").then()
    moved(spec, "11200").then(
        DrawdownWarningChanged(
            account_id="paper",
            warning=RAISED,
            drawdown_pct=Percent(D(30)),
            drawdown_warn_pct=Percent(D(30)),
            drawdown_halt_pct=Percent(D(40)),
            drawdown_scale=Ratio(D("0.5")),
            equity=Money(D(11200)),
            peak_equity=Money(D(16000)),
        )
    )
    for amount in ("11200", "10400", "9600.01"):
        moved(spec, amount).then()
    (released,) = moved(spec, "11200.01").of(DrawdownWarningChanged)
    assert (released.warning, released.drawdown_scale) == (RELEASED, 1)
    assert warnings(moved(spec, "11000")) == [RAISED]


def test_trading_goes_on_at_the_scaled_budget() -> None:
    spec = moved(account(drawdown_warn_scale="0.25"), "11200")
    assert spec.of(TradingStateChanged) == []
    assert verdict(spec.when(plan())).sizing.budget_pct == D("0.25")


def test_a_fall_past_both_levels_warns_and_halts() -> None:
    spec = moved(account(), "9600")
    halted, warned = spec.emitted
    assert isinstance(halted, TradingStateChanged)
    assert isinstance(warned, DrawdownWarningChanged)


@pytest.mark.parametrize(
    ("lower", "back"),
    [
        (OverrideLimit("paper", "drawdown_warn_pct", "20", "careful"), settings_changed(daily_loss_pct_max=100)),
        (settings_changed(drawdown_warn_pct=20), OverrideLimit("paper", "drawdown_warn_pct", "30", "calm")),
    ],
    ids=["override, then settings", "settings, then override"],
)
def test_a_level_that_moves_past_the_drawdown_raises_or_releases_it(lower: Event, back: Event) -> None:
    """At 25 % the budget shrinks with the level, at once: so does the warning."""
    spec = moved(account(), "12000")
    assert warnings(spec) == []
    (raised,) = spec.when(lower).of(DrawdownWarningChanged)
    assert (raised.warning, raised.drawdown_pct, raised.drawdown_warn_pct) == (RAISED, 25, 20)
    assert verdict(spec.when(plan())).sizing.budget_pct == D("0.5")
    assert warnings(spec.when(back)) == [RELEASED]


def test_another_account_s_override_neither_moves_the_level_nor_warns() -> None:
    spec = moved(account(), "12000").when(OverrideLimit("someone", "drawdown_warn_pct", "20", "not mine to say"))
    assert warnings(spec) == []
