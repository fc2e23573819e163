"""G1: size from the stop distance, re-checked with the fee tier in force (domain definitions, section 8)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.events.common import PositionSide, QuantityUnit
from schemas.events.risk import DenialCode, PlanApproved, PlanDenied, SizedBy
from streams.core.risk.sizing import Size, SizeInputs, size
from tests.builders import btc_spot
from tests.risk_desk import SPOT, desk, failures, limit_entry, plan, verdict

D = Decimal
G1A = SizeInputs(
    sign=1,
    entry=D(80000),
    stop=D(79200),
    equity=D(10000),
    budget_pct=D(1),
    fee_buffer_pct=D("0.10"),
    slippage_buffer_pct=D("0.05"),
    fee_in=D("0.0005"),
    fee_out=D("0.0005"),
    unit=D("0.01"),
    lot=D("0.01"),
)


def sized(**changes: Any) -> Size:
    return size(replace(G1A, **changes))


def test_a_long_is_sized_by_the_formula() -> None:
    result = sized()
    assert str(result.formula_notional).startswith("8695.652173")
    assert str(result.formula_notional / (G1A.entry * G1A.unit)).startswith("10.869565")
    assert result.quantity == D("10.86")
    assert result.notional == D("8688.00")
    assert result.stop_worst == D("79160.4")
    assert result.unit_loss == D("919.1802")
    assert result.loss == D("99.82296972")


def test_a_short_pays_its_exit_fee_on_the_higher_price_and_loses_one_lot() -> None:
    result = sized(sign=-1, stop=D(80800))
    assert D("10.86") * D("0.01") * result.unit_loss == D("100.00107372")
    assert result.quantity == D("10.85")
    assert result.loss == D("99.9089917")


def test_the_whole_budget_at_a_tight_stop() -> None:
    result = sized(budget_pct=D(10), stop=D(79920))
    assert result.formula_notional == D(400000)
    assert result.quantity == D("500.00")
    assert result.notional / D(10000) == D(40)
    assert result.loss == D("999.5001")


def test_a_fee_tier_above_the_buffer_bites_in_the_recheck() -> None:
    fee = D("0.0006")
    result = sized(fee_in=fee, fee_out=fee)
    assert round(D("10.86") * D("0.01") * result.unit_loss, 8) == D("101.55145166")
    assert result.quantity == D("10.69")
    assert result.loss == D("99.961788056")


def test_spot_is_bounded_by_cash() -> None:
    fee = D("0.001")
    changes = {"fee_in": fee, "fee_out": fee, "unit": D(1), "lot": D("1e-8")}
    result = sized(stop=D(79600), fee_buffer_pct=D("0.20"), cash_free=D(10000), **changes)
    assert str(result.formula_notional).startswith("13333.33")
    assert result.sized_by is SizedBy.CASH
    assert result.quantity == D("0.12493753")
    assert result.quantity * fee == D("0.00012493753")
    assert round(result.loss, 8) == D("74.88258297")


def approved(spec: Any) -> PlanApproved:
    answer = verdict(spec)
    assert isinstance(answer, PlanApproved), answer.detail
    return answer


def test_g1a_through_the_stage() -> None:
    sizing = approved(desk().when(plan())).sizing
    assert (sizing.quantity, sizing.notional) == (D("10.86"), D("8688.00"))
    assert (sizing.quantity_unit, sizing.unit_loss) == (QuantityUnit.CONTRACT, D("919.1802"))
    assert sizing.worst_case_loss == D("99.82296972")


def test_g1b_through_the_stage() -> None:
    sizing = approved(desk().when(plan(side=PositionSide.SHORT, stop="80800"))).sizing
    assert (sizing.quantity, sizing.worst_case_loss) == (D("10.85"), D("99.9089917"))


def test_g1c_through_the_stage() -> None:
    sizing = approved(desk(risk_budget_pct=10).when(plan(stop="79920"))).sizing
    assert (sizing.quantity, sizing.leverage, sizing.worst_case_loss) == (D(500), D(40), D("999.5001"))


G1D = {"risk_budget_pct": 10, "fee_buffer_pct": "0.07", "slippage_buffer_pct": "0.01"}


def test_g1d_exceeds_the_leverage_limit() -> None:
    tight = plan(entry=limit_entry("80000", post_only=True), stop="79992")
    spec = desk(**G1D, stop_distance_pct_min="0.01").when(tight)
    denied = verdict(spec)
    assert isinstance(denied, PlanDenied)
    assert denied.code is DenialCode.LEVERAGE_EXCEEDS_LIMIT
    assert denied.sizing is not None
    assert (denied.sizing.quantity, denied.sizing.leverage) == (D("1388.88"), D("111.1104"))
    assert denied.detail.startswith("LEVERAGE_EXCEEDS_LIMIT: value=111.1104, limit=100")


def test_g1d_is_too_close_with_the_default_minimum() -> None:
    spec = desk(**G1D).when(plan(entry=limit_entry("80000", post_only=True), stop="79992"))
    assert failures(spec)[0] is DenialCode.STOP_TOO_CLOSE


def test_g1e_through_the_stage() -> None:
    sizing = approved(desk(fee_taker_swap_pct="0.06").when(plan())).sizing
    assert (sizing.quantity, sizing.worst_case_loss) == (D("10.69"), D("99.96178806"))


def test_g1f_through_the_stage() -> None:
    spec = desk(instrument=btc_spot(), fee_buffer_pct="0.20").when(plan(stop="79600", instrument_id=SPOT))
    sizing = approved(spec).sizing
    assert (sizing.quantity, sizing.sized_by) == (D("0.12493753"), SizedBy.CASH)
    assert (sizing.quantity_unit, sizing.worst_case_loss) == (QuantityUnit.BASE, D("74.88258297"))
    assert str(sizing.formula_notional).startswith("13333.33")


@pytest.mark.parametrize("amount", ["0", "-5"])
def test_no_equity_gives_size_zero(amount: str) -> None:
    assert sized(equity=D(amount)).quantity == 0
