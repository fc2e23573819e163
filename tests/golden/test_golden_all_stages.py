"""Golden cases G1a, G7 and G8 from a plan document to the closed trade, through all ten stages."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from schemas.events.account import BreachCause, EquityChanged, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.control import ExecutePlan
from schemas.events.market import InstrumentDefined
from schemas.events.orders import FillBooked, OrderIntended
from schemas.events.risk import DenialCode, PlanApproved, SizedBy
from schemas.values import Price
from streams.pipeline import stages
from tests.builders import btc_spot, btc_swap
from tests.rig import Rig

D = Decimal
QUIET = "80000/80000/80000/80000"


def executed(
    stop: str, *, instrument: InstrumentDefined | None = None, settings: dict[str, object], **document: Any
) -> tuple[Rig, PlanApproved]:
    """Send an operator's plan after one quiet bar and return its verdict."""
    instrument = instrument or btc_swap()
    rig = Rig(stages=stages(), instruments=(instrument,), rules_enabled="false", **settings)
    rig.bar(QUIET, instrument_id=instrument.instrument_id)
    plan: dict[str, Any] = {
        "schema_version": 1,
        "instrument_id": instrument.instrument_id,
        "position_side": "LONG",
        "strategy": "trend",
        "entry": {"type": "LIMIT", "limit_price": "80000"},
        "stop": {"trigger_price": stop},
        "valid_for_s": 900,
        "max_holding_s": 86400,
        "rationale": {"summary": "a golden case"},
    }
    rig.feed(ExecutePlan("paper", json.dumps({**plan, **document})))
    (verdict,) = rig.now(PlanApproved)
    return rig, verdict


def test_g1a_lists_every_check_in_the_order_of_the_page() -> None:
    _, verdict = executed("79200", settings={})
    assert (verdict.sizing.quantity, verdict.sizing.margin_leverage) == (D("10.86"), 56)
    assert verdict.sizing.worst_case_loss == D("99.82296972")
    assert [check.code for check in verdict.checks] == list(DenialCode)
    assert len(verdict.checks) == 40


def test_g1f_holds_and_protects_what_the_fee_in_base_leaves() -> None:
    rig, verdict = executed("79600", instrument=btc_spot(), settings={"fee_buffer_pct": "0.20"})
    assert (verdict.sizing.quantity, verdict.sizing.sized_by) == (D("0.12493753"), SizedBy.CASH)
    rig.bar("79990/80050/79900/80000", instrument_id="BTC-USDT")
    (fill,) = rig.now(FillBooked)
    assert (fill.last_quantity, fill.last_price, fill.fee_base) == (D("0.12493753"), 80000, D("0.00012493753"))
    (stop,) = [order for order in rig.now(OrderIntended) if order.purpose is OrderPurpose.STOP]
    assert stop.quantity == D("0.12481259")


@pytest.mark.parametrize(
    ("bar", "net", "r", "budget", "breach"),
    [
        ("79900/79900/79640/79700", "-47.962009", "-1.33227803", "-1", None),
        ("79039.52/79100/79000/79050", "-107.95", "-2.99861111", "-2.25073975", BreachCause.GAP),
    ],
    ids=["clean stop-out", "gap to 79000"],
)
def test_g7_risk_venue_and_account_agree_on_r(
    bar: str, net: str, r: str, budget: str, breach: BreachCause | None
) -> None:
    """Ten contracts taken at 80000 (the open is through the limit, worsened no further than it)."""
    settings = {"risk_budget_pct": "0.48", "margin_leverage_max": 10}
    fine = replace(btc_swap(), tick_size=Price(D("0.01")))
    rig, verdict = executed("79640", instrument=fine, settings=settings)
    assert (verdict.sizing.quantity, verdict.sizing.worst_case_loss) == (10, D("47.962009"))
    rig.bar("79990/80050/79900/80000")
    assert rig.prices() == ["ENTRY 80000 TAKER"]
    rig.bar(bar)
    (closed,) = rig.now(TradeClosed)
    assert (closed.exit_reason, closed.initial_risk, closed.net_pnl) == (ExitReason.STOP, 36, D(net))
    assert (closed.r_multiple, closed.budget_multiple, closed.breach) == (D(r), D(budget), breach)
    assert rig.now(EquityChanged)[-1].equity == 10000 + D(net)


def test_g8_venue_and_account_agree_on_the_excursion() -> None:
    targets = [{"limit_price": "81200", "fraction": "1"}]
    rig, _ = executed("79200", settings={"slippage_bps": 0}, entry={"type": "MARKET"}, targets=targets)
    for bar in (
        "80000/80300/79700/80200",
        "80200/80900/80100/80800",
        "80800/80850/79500/79900",
        "79900/81500/79850/81400",
    ):
        rig.bar(bar)
    (closed,) = rig.now(TradeClosed)
    assert rig.prices() == ["ENTRY 80000 TAKER", "TARGET 81200 MAKER"]
    seen = closed.excursion_last
    assert seen is not None
    assert (seen.mae, seen.mae_pct, seen.mae_r) == (500, D("0.625"), D("0.625"))
    assert (seen.mfe, seen.mfe_r, closed.exit_efficiency) == (1200, D("1.5"), 1)
