"""G5: liquidation prices and the guard that keeps the stop inside them (the venue's part is tested with the venue)."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import MarginMode, PositionSide
from schemas.events.risk import CheckResult, DenialCode, PlanApproved
from streams.core.risk.margin import (
    Exposure,
    OtherPosition,
    cross_backing,
    distance_allowed,
    guard_passes,
    isolated_leverage,
    liquidation_price,
    shown_liquidation,
    tier_for,
)
from streams.core.risk.portfolio import portfolio
from tests.builders import T0, btc_swap, eth_swap
from tests.risk_desk import BTC, ETH, bar, check, desk, equity, failures, mark, plan, position, verdict
from tests.spec import Spec

D = Decimal
MMR, FEE, TICK = D("0.004"), D("0.0005"), D("0.1")
LONG, SHORT = Exposure(1, D(5), D(80000)), Exposure(-1, D(5), D(80000))


def shown(exposure: Exposure, margin: str) -> tuple[str, Decimal]:
    price = liquidation_price(exposure, D(margin), MMR, FEE)
    assert price is not None
    return str(price), shown_liquidation(price, exposure.sign, TICK)


@pytest.mark.parametrize(
    ("exposure", "margin", "begins", "rounded"),
    [
        (LONG, "40000", "72325.464590", "72325.5"),
        (SHORT, "40000", "87605.774016", "87605.7"),
        (LONG, "39960", "72333.500753", "72333.6"),
        (LONG, "4000", "79558.011049", "79558.1"),
        (SHORT, "4000", "80438.028870", "80438.0"),
    ],
)
def test_isolated_liquidation_prices(exposure: Exposure, margin: str, begins: str, rounded: str) -> None:
    text, price = shown(exposure, margin)
    assert text.startswith(begins)
    assert price == D(rounded)


def test_cross_liquidation_prices() -> None:
    alone = liquidation_price(LONG, cross_backing(D(10000), D(0), (), D(0), FEE), MMR, FEE)
    assert str(alone).startswith("78352.586639")
    other = OtherPosition(D(-200), D(20000), MMR)
    backing = cross_backing(D(10000), D(0), (other,), D(0), FEE)
    assert backing == D(9710)
    assert str(liquidation_price(LONG, backing, MMR, FEE)).startswith("78410.848819")


def test_the_guard_at_100x() -> None:
    liquidation = liquidation_price(LONG, D(4000), MMR, FEE)
    assert str(distance_allowed(LONG, liquidation, D(20))).startswith("353.591160")
    worst = D(79920) * D("0.9995")
    assert D(80000) - worst == D("119.96")
    assert guard_passes(LONG, worst, liquidation, D(20))
    far = D(79600) * D("0.9995")
    assert D(80000) - far == D("439.8")
    assert not guard_passes(LONG, far, liquidation, D(20))


def test_a_position_liquidated_at_its_own_entry_passes_no_guard() -> None:
    liquidation = liquidation_price(LONG, D(1000), MMR, FEE)
    assert liquidation is not None
    assert liquidation > 80000
    assert not guard_passes(LONG, D(79999), liquidation, D(20))


def test_a_stop_exactly_at_the_buffer_passes_and_the_next_tick_does_not() -> None:
    """Four fifths of the way from 80000 to a liquidation at 79500 are 400, slippage of the stop included."""
    assert guard_passes(LONG, D(79600), D(79500), D(20))
    assert not guard_passes(LONG, D("79599.9"), D(79500), D(20))


def test_g1a_gets_the_largest_leverage_that_passes() -> None:
    exposure = Exposure(1, D("0.1086"), D(80000))
    tier = tier_for(btc_swap().tiers, MarginMode.ISOLATED, D("10.86"))
    assert tier is not None
    worst = D("79160.4")
    assert exposure.entry - worst == D("839.6")
    assert isolated_leverage(exposure, worst, tier, 100, FEE, D(20)) == 56
    for leverage, begins in ((56, "858.721389"), (57, "838.580630")):
        liquidation = liquidation_price(exposure, D(8688) / leverage, MMR, FEE)
        assert str(distance_allowed(exposure, liquidation, D(20))).startswith(begins)


def test_g1a_through_the_stage_gets_56() -> None:
    answer = verdict(desk().when(plan()))
    assert isinstance(answer, PlanApproved)
    sizing = answer.sizing
    assert sizing.margin_leverage == 56
    assert sizing.margin == D("155.14285714")
    assert sizing.gap_loss_max == D("155.14285714") + D("4.344")
    assert check_inputs(DenialCode.LIQUIDATION_TOO_CLOSE)["margin_leverage"] == "56"


def check_inputs(code: DenialCode) -> dict[str, str]:
    return check(desk().when(plan()), code).inputs


def on_4000(stop: str, budget_pct: str) -> Spec:
    """Judge 500 contracts that only 4000 USDT back, as 100x isolated margin would.

    Cross mode, where no lower margin leverage can help: cash 10000, of which 6000 are margin of an isolated ETH
    position. Its profit of 20000 (100 ether from 1800 to 2000) counts as equity, so that 500 contracts may be bought,
    but not as backing.
    """
    held = position("1000", instrument_id=ETH, price="1800", margin="6000", unit="0.1")
    prices = (bar("2000", instrument_id=ETH), mark("2000", instrument_id=ETH))
    past = (eth_swap(), *prices, held, equity("30000", cash="10000"))
    spec = desk(*past, margin_mode="CROSS", heat_pct_max=100, risk_budget_pct=budget_pct).when(plan(stop=stop))
    assert verdict(spec).sizing.quantity == 500
    return spec


def test_g5_a_stop_at_79600_is_denied_by_the_stage() -> None:
    """30000 * 8.66667 / (0.5 + 0.15) is 400000.15 USDT of notional: 500 contracts."""
    spec = on_4000("79600", "8.66667")
    denied, found = verdict(spec), check(spec, DenialCode.LIQUIDATION_TOO_CLOSE)
    assert (denied.code, failures(spec)[0]) == (DenialCode.LIQUIDATION_TOO_CLOSE, DenialCode.LIQUIDATION_TOO_CLOSE)
    assert (found.result, found.value) == (CheckResult.FAIL, "439.8")
    assert found.limit is not None
    assert found.limit.startswith("353.591160")
    assert found.inputs["liquidation_price"].startswith("79558.011049")


def test_g5_a_stop_at_79920_passes_the_guard_of_the_stage() -> None:
    """30000 * 3.33334 / (0.1 + 0.15) is 400000.8 USDT of notional: 500 contracts."""
    found = check(on_4000("79920", "3.33334"), DenialCode.LIQUIDATION_TOO_CLOSE)
    assert (found.result, found.value) == (CheckResult.PASS, "119.96")


def test_g5_isolated_goes_down_to_the_leverage_that_passes() -> None:
    """At 100x the stop at 79600 is too close; 88x allows 441.26, 89x only 433.05 of the 439.8 it needs."""
    spec = desk(equity("30000"), risk_budget_pct="8.66667").when(plan(stop="79600"))
    sizing = verdict(spec).sizing
    assert isinstance(verdict(spec), PlanApproved)
    assert (sizing.quantity, sizing.margin_leverage, sizing.margin) == (500, 88, D("4545.45454545"))
    limit = check(spec, DenialCode.LIQUIDATION_TOO_CLOSE).limit
    assert limit is not None
    assert limit.startswith("441.258390")


def test_a_stop_no_leverage_protects_is_denied() -> None:
    """At 1x a short is liquidated 99.1 % away; a buffer of 99 % leaves 0.99 % of room for a stop 1.05 % away."""
    spec = desk(liquidation_buffer_pct=99).when(plan(stop="80800", side=PositionSide.SHORT))
    assert verdict(spec).code is DenialCode.LIQUIDATION_TOO_CLOSE
    assert check(spec, DenialCode.LIQUIDATION_TOO_CLOSE).value == "840.4"


def test_cross_through_the_stage() -> None:
    alone = verdict(desk(margin_mode="CROSS", risk_budget_pct=10).when(plan(stop="79920")))
    assert (alone.sizing.quantity, alone.sizing.liquidation_price) == (D(500), D("78352.6"))


def test_cross_with_another_position_through_the_stage() -> None:
    """Ten ether bought at 2020, now 2000: unrealised -200, notional 20000."""
    held = position("100", instrument_id=ETH, price="2020", unit="0.1")
    past = (eth_swap(), bar("2000", instrument_id=ETH), mark("2000", instrument_id=ETH), held)
    spec = desk(*past, margin_mode="CROSS", risk_budget_pct=10)
    book = portfolio(spec.state, T0, BTC, 1)
    assert book is not None
    assert book.backing == D(9710)
    answer = verdict(spec.when(plan(stop="79920")))
    assert (answer.sizing.quantity, answer.sizing.liquidation_price) == (D(500), D("78410.9"))
