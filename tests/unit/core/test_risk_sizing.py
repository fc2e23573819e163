"""Sizing and margin as laws over random inputs, and that deciding changes nothing."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.envelope import Event, Message
from schemas.events.common import ExitReason, MarginMode, Quality, Side, TradingState
from schemas.events.control import KillSwitch, OverrideLimit, PauseTrading, ResumeTrading
from schemas.events.data import QualityChanged
from schemas.events.market import FundingRate, MarginTier, Trade
from schemas.events.orders import OrderAmended
from schemas.values import Micros, Price, Quantity, Rate, Ratio
from streams.core.risk import STAGE, decide
from streams.core.risk.margin import Exposure, guard_passes, isolated_leverage, liquidation_price
from streams.core.risk.sizing import SizeInputs, budget, size
from tests.builders import T0, message
from tests.risk_desk import BTC, bar, closed, desk, equity, mark, plan, position, regime
from tests.spec import as_message

D = Decimal


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    sign=st.sampled_from([1, -1]),
    entry=decimals("0.5", "200000", 1),
    distance=decimals("0.01", "20", 3),
    equity_now=decimals("1", "1000000", 2),
    budget_pct=decimals("0.01", "10", 2),
    fee=decimals("0", "0.002", 4),
    slippage=decimals("0", "0.5", 2),
    lot=st.sampled_from([D("0.01"), D(1), D("1e-8")]),
)
def test_the_loss_at_the_stop_never_passes_the_budget(
    sign: int,
    entry: Decimal,
    distance: Decimal,
    equity_now: Decimal,
    budget_pct: Decimal,
    fee: Decimal,
    slippage: Decimal,
    lot: Decimal,
) -> None:
    stop = entry * (1 - sign * distance / 100)
    inputs = SizeInputs(
        sign, entry, stop, equity_now, budget_pct, D("0.1"), slippage, fee, fee, unit=D("0.01"), lot=lot
    )
    result = size(inputs)
    allowed = equity_now * budget_pct / 100
    assert result.loss <= allowed
    assert result.quantity % lot == 0
    one_more = result.quantity + lot
    too_big = one_more * D("0.01") * entry > result.formula_notional
    too_risky = one_more * D("0.01") * result.unit_loss > allowed
    assert too_big or too_risky


@settings(max_examples=100, deadline=None)
@given(
    sign=st.sampled_from([1, -1]),
    entry=decimals("100", "100000", 1),
    distance=decimals("0.05", "20", 2),
    buffer_pct=decimals("5", "90", 0),
)
def test_the_chosen_leverage_passes_and_the_next_does_not(
    sign: int, entry: Decimal, distance: Decimal, buffer_pct: Decimal
) -> None:
    tier = MarginTier(MarginMode.ISOLATED, 1, Quantity(D(1000)), Rate(D("0.004")), Ratio(D(100)))
    exposure = Exposure(sign, D(2), entry)
    worst = entry * (1 - sign * distance / 100)
    chosen = isolated_leverage(exposure, worst, tier, 100, D("0.0005"), buffer_pct)
    assume(chosen is not None)
    assert chosen is not None

    def passes(leverage: int) -> bool:
        liquidation = liquidation_price(exposure, 2 * entry / leverage, tier.mmr, D("0.0005"))
        return guard_passes(exposure, worst, liquidation, buffer_pct)

    assert passes(chosen)
    assert chosen == 100 or not passes(chosen + 1)


def test_scales_never_raise_the_budget() -> None:
    assert budget(D(1), D("0.5"), D(2), D("0.5")) == D("0.25")


def history() -> list[Message]:
    """Everything the stage takes, in an order that makes it answer."""
    trade = Trade(BTC, "1", Side.BUY, Price(D(80000)), Quantity(D(1)))
    events: list[Event | Message] = [
        trade,
        FundingRate(BTC, Rate(D("0.0001")), Micros(T0 + 1), None),
        QualityChanged(BTC, Quality.DEGRADED, Quality.GOOD, ()),
        regime("0.5"),
        plan(),
        position("10", plan_id="p1"),
        OrderAmended("x", "p1", "paper", BTC, Quantity(D(1)), Price(D(79500))),
        plan(plan_id="p2"),
        closed("-1", ts=T0, reason=ExitReason.STOP),
        closed("-1", ts=T0, reason=ExitReason.STOP),
        closed("-1", ts=T0, reason=ExitReason.STOP),
        PauseTrading("paper", TradingState.HALTED),
        OverrideLimit("paper", "leverage_max", "5", "test"),
        equity("5000", peak="10000"),
        ResumeTrading("paper", "test"),
        KillSwitch("paper", flatten=True),
        bar("80000", ts=T0 + 10**12),
        mark("80000", ts=T0 + 10**12),
    ]
    return [as_message(event) for event in events]


def test_deciding_changes_nothing_and_answers_twice_alike() -> None:
    spec = desk()
    state: Any = spec.state
    for item in history():
        before = deepcopy(state)
        assert decide(state, item) == decide(state, item)
        assert state == before
        outputs = decide(state, item)
        state = STAGE.evolve(state, item)
        for event in outputs:
            state = STAGE.evolve(state, message(event, ts=item.now))
