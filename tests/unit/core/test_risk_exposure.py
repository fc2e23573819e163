"""What earlier trades leave for the next plan: heat, reserved capacity, correlation, funding, cross margin."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given as hypothesis_given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.events.common import (
    MarginMode,
    OrderPurpose,
    OrderType,
    PlanOrigin,
    PositionSide,
    Quality,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.events.data import QualityChanged
from schemas.events.market import FundingRate, FundingSettled
from schemas.events.orders import EntryEnded, OrderAmended, OrderIntended
from schemas.events.risk import DenialCode, PlanApproved
from schemas.values import SECOND, Micros, Price, Quantity, Rate
from streams.core.risk.funding import settlements
from streams.core.risk.portfolio import portfolio, position_heat
from streams.core.risk.sizing import regime_scale
from streams.core.risk.state import Funding, RiskState
from tests.builders import T0, eth_swap
from tests.risk_desk import (
    BTC,
    ETH,
    bar,
    check,
    closed,
    desk,
    equity,
    limit_entry,
    mark,
    plan,
    position,
    regime,
    verdict,
)
from tests.spec import Spec

D = Decimal
HOUR = 3600 * SECOND


def stop_order(trigger: str) -> OrderIntended:
    return OrderIntended(
        client_order_id="stop1",
        plan_id="p1",
        account_id="paper",
        instrument_id=BTC,
        purpose=OrderPurpose.STOP,
        target_index=None,
        side=Side.SELL,
        position_side=PositionSide.LONG,
        type=OrderType.STOP,
        quantity=Quantity(D("10.86")),
        quantity_unit=QuantityUnit.CONTRACT,
        limit_price=None,
        trigger_price=Price(D(trigger)),
        trigger_price_type=TriggerPriceType.MARK,
        post_only=False,
        reduce_only=True,
        margin_mode=MarginMode.ISOLATED,
        margin_leverage=56,
        valid_until=None,
        exit_reason=None,
    )


def entered() -> Spec:
    """G1a, approved and filled at 80000 with its stop resting."""
    spec = desk(plan(), position("10.86", plan_id="p1", margin="155.14285714"))
    return spec.when(EntryEnded("p1", "paper", BTC, "c1", None, Quantity(D("10.86")))).when(stop_order("79200"))


def heat(spec: Spec) -> Decimal:
    settings = spec.state.settings
    assert settings is not None
    return position_heat(spec.state, settings, BTC, T0)


def test_the_heat_of_a_position_is_what_its_stop_would_still_lose() -> None:
    # 0.1086 * (80000 - 79160.4 + 79160.4 * 0.0005) = 95.47896972: the entry fee is paid and gone
    assert heat(entered()) == D("95.47896972")


def test_a_confirmed_tighter_stop_lowers_the_heat_to_no_less_than_zero() -> None:
    spec = entered().when(OrderAmended("stop1", "p1", "paper", BTC, Quantity(D("10.86")), Price(D(79900))))
    # 0.1086 * (80000 - 79860.05 + 39.930025)
    assert heat(spec) == D("19.534970715")
    spec.when(OrderAmended("stop1", "p1", "paper", BTC, Quantity(D("10.86")), Price(D(80500))))
    assert heat(spec) == 0


def test_what_an_entry_still_fills_after_its_trade_was_closed_counts_with_its_new_stop() -> None:
    spec = entered().when(position("0", plan_id="p1"))
    spec.when(closed("5", ts=T0, plan_id="p1"))
    assert spec.state.protections == {}
    spec.when(position("10.86", plan_id="p1", margin="155.14285714")).when(stop_order("79200"))
    assert heat(spec) == D("95.47896972")


def test_a_stranger_without_a_stop_counts_with_its_margin() -> None:
    assert heat(desk(position("10", margin="800"))) == 800
    assert heat(desk(position("10"))) == 8000


def test_capacity_is_reserved_at_approval_and_moves_with_the_fill() -> None:
    spec = desk(plan())
    book = portfolio(spec.state, T0, ETH, 1)
    assert (book.gross, book.directed, book.count) == (D(8688), D(8688), 1)
    assert book.heat == D("99.82296972")
    assert book.reserved == D("155.14285714") + D("4.344")

    spec.when(position("5.43", plan_id="p1", margin="77.57142857"))
    half = portfolio(spec.state, T0, ETH, 1)
    assert (half.gross, half.count) == (D(8688), 1)
    assert half.reserved == (D("155.14285714") + D("4.344")) / 2

    spec.when(EntryEnded("p1", "paper", BTC, "c1", None, Quantity(D("5.43"))))
    rest = portfolio(spec.state, T0, ETH, 1)
    assert (rest.gross, rest.reserved, rest.count) == (D(4344), D(0), 1)


def test_a_position_that_was_partly_closed_reserves_nothing_again() -> None:
    spec = desk(plan(), position("10.86", plan_id="p1"), position("5", plan_id="p1"))
    assert portfolio(spec.state, T0, ETH, 1).reserved == 0


def test_positions_the_other_way_do_not_add_to_the_direction() -> None:
    spec = desk(position("-10"), correlated_groups=f"{BTC}+{ETH}")
    assert portfolio(spec.state, T0, ETH, 1).directed == 0
    assert portfolio(spec.state, T0, ETH, -1).directed == 8000


def test_groups_not_shared_do_not_add() -> None:
    spec = desk(position("10"), correlated_groups=f"{BTC}+X-USDT-SWAP")
    assert portfolio(spec.state, T0, ETH, 1).directed == 0


def test_correlated_exposure_counts_the_whole_group() -> None:
    past = (eth_swap(), bar("2000", instrument_id=ETH), mark("2000", instrument_id=ETH), position("50", margin="400"))
    eth = plan(instrument_id=ETH, entry=limit_entry("2000"), stop="1980")
    spec = desk(*past, correlated_leverage_max=5).when(eth)
    found = check(spec, DenialCode.CORRELATED_EXPOSURE_EXCEEDS_LIMIT)
    assert (found.value, found.result.value) == ("4.8694", "PASS")  # 50 * 800 + 43.47 * 200
    tight = desk(*past, correlated_leverage_max="4.8693").when(eth)
    assert verdict(tight).code is DenialCode.CORRELATED_EXPOSURE_EXCEEDS_LIMIT


def test_scales_multiply_and_only_lower_the_budget() -> None:
    rules: dict[str, Any] = {"origin": PlanOrigin.RULES}
    degraded = QualityChanged(BTC, Quality.DEGRADED, Quality.GOOD, ())
    warned = equity("7000", peak="10000", day_start="7000")
    spec = desk(regime("0.775"), degraded, warned).when(plan(**rules))
    assert verdict(spec).sizing.budget_pct == D("0.125")
    certain = desk(regime("0.1")).when(plan(**rules))
    assert verdict(certain).sizing.budget_pct == 1
    operator = desk(regime("0.775")).when(plan())
    assert verdict(operator).sizing.budget_pct == 1


def test_the_regime_scale_is_rounded_down_and_clamped() -> None:
    assert regime_scale(D("0.775")) == D("0.5")
    assert regime_scale(D("0.600000001")) == D("0.9999")
    assert regime_scale(D("0.2")) == 1
    assert regime_scale(D("0.94")) == D("0.25")


def test_funding_against_the_position_is_in_the_worst_case() -> None:
    forecast = FundingRate(BTC, Rate(D("0.0001")), Micros(T0 + HOUR), Micros(T0 + 9 * HOUR))
    spec = desk(forecast).when(plan(max_holding_s=24 * 3600))
    # 8688 * 0.0001 at 17:00, 01:00 and 09:00
    assert verdict(spec).sizing.worst_case_loss == D("99.82296972") + D("2.6064")
    short = desk(forecast).when(plan(side=PositionSide.SHORT, stop="80800", max_holding_s=24 * 3600))
    assert verdict(short).sizing.worst_case_loss == D("99.9089917")


def test_a_settled_rate_stands_in_for_a_forecast() -> None:
    past = (
        FundingSettled(BTC, Rate(D("0.0003")), Micros(T0 - 8 * HOUR)),
        FundingSettled(BTC, Rate(D("0.0002")), Micros(T0)),
    )
    spec = desk(*past).when(plan(max_holding_s=8 * 3600))
    assert verdict(spec).sizing.worst_case_loss == D("99.82296972") + D("1.7376")


def test_settlements_are_counted_to_the_time_stop_inclusive() -> None:
    funding = Funding(settled_rate=D(0), settled_at=T0, interval=8 * HOUR)
    assert settlements(funding, T0, 8 * 3600 - 1) == 0
    assert settlements(funding, T0, 8 * 3600) == 1
    assert settlements(funding, T0 + HOUR, 16 * 3600) == 2
    assert settlements(funding, T0 + 100 * HOUR, 4 * 3600) == 1
    assert settlements(funding, T0, None) == 3


def test_cross_margin_is_backed_by_the_account() -> None:
    spec = desk(margin_mode="CROSS").when(plan())
    answer = verdict(spec)
    assert isinstance(answer, PlanApproved)
    assert (answer.sizing.margin_mode, answer.sizing.margin_leverage) == (MarginMode.CROSS, 100)
    assert answer.sizing.liquidation_price is None
    assert answer.sizing.gap_loss_max == 10000


def test_the_state_survives_a_checkpoint() -> None:
    spec = entered().when(regime("0.5")).when(equity("9000", peak="10000"))
    adapter = TypeAdapter(RiskState)
    assert adapter.validate_json(adapter.dump_json(spec.state)) == spec.state


@hypothesis_settings(max_examples=60, deadline=None)
@hypothesis_given(
    stops=st.lists(st.integers(min_value=-30000, max_value=30000), min_size=1, max_size=6),
    budget=st.integers(min_value=1, max_value=10),
)
def test_no_sequence_of_approvals_passes_a_cap(stops: list[int], budget: int) -> None:
    """Invariant 5: leverage, heat and the loss of one trade stay inside their limits whatever is asked for."""
    spec = desk(risk_budget_pct=budget, leverage_max=20, correlated_leverage_max=15, duplicate_window_s=0)
    for number, tenths in enumerate(stops):
        side = PositionSide.LONG if tenths <= 0 else PositionSide.SHORT
        stop = str(D(80000) + D(tenths) / 10)
        name = f"X{number}-USDT-SWAP"
        spec.when(replace(spec.state.markets[BTC].instrument, instrument_id=name))
        spec.when(bar("80000", instrument_id=name)).when(mark("80000", instrument_id=name))
        spec.state.settings = replace(spec.state.settings, instruments_allowed=(name,))
        spec.when(plan(stop=stop, side=side, instrument_id=name, plan_id=name))
    book = portfolio(spec.state, T0, BTC, 1)
    assert book.gross <= 10000 * 20
    assert book.heat <= 10000 * D("0.20")
    assert book.directed <= 10000 * 15
    assert book.reserved <= 10000
    assert book.count <= 5
    assert all(entry.loss <= 1000 for entry in spec.state.reservations.values())
