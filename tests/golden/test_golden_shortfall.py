"""Golden case G9: implementation shortfall, through the account stage."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from schemas.events.account import Shortfall, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose
from schemas.values import Money, price
from streams.core.account import STAGE
from streams.core.account.shortfall import amounts_at, shortfall
from tests.account_events import (
    ENTRY_ORDER,
    EXIT_ORDER,
    accepted,
    approved,
    buy,
    funding,
    intended,
    proposed,
    quote,
    sell,
    snapshot,
)
from tests.builders import T0, btc_swap, settings_changed
from tests.spec import given


def traded() -> TradeClosed:
    """Q 1.0 BTC; 0.8 filled; every benchmark is the market when its event passed."""
    spec = given(STAGE, settings_changed(), btc_swap(), snapshot("100000"))
    spec.when(quote("79995", "80005")).when(proposed())
    spec.when(quote("80005", "80015")).when(approved("100", stop="79200"))
    spec.when(intended(OrderPurpose.ENTRY, "BUY"))
    spec.when(quote("80025", "80035")).when(accepted(ENTRY_ORDER))
    spec.when(buy("60", "80035")).when(buy("20", "80050"))
    spec.when(funding("-1.5", ts=T0 + 1))
    spec.when(quote("80496", "80504")).when(intended(OrderPurpose.EXIT, "SELL")).when(accepted(EXIT_ORDER))
    (closed,) = spec.when(sell("80", "80490", reason=ExitReason.TIME)).of(TradeClosed)
    return closed


def test_g9_shortfall_is_told_apart_exactly() -> None:
    closed = traded()
    costs = closed.shortfall
    assert costs is not None
    assert (costs.decision, costs.delay, costs.spread, costs.impact) == (8, 16, 4, 3)
    assert (costs.exit_decision, costs.exit_delay) == (0, 0)
    assert (costs.exit_spread, costs.exit_impact) == (Decimal("3.2"), Decimal("4.8"))
    assert costs.fee == Decimal("64.2115")
    assert costs.opportunity == 100
    assert closed.net_pnl == Decimal("295.2885")
    assert costs.total == Decimal("204.7115") == 500 - closed.net_pnl
    assert costs.total_bps == Decimal("25.58893750")
    assert costs.spread_observed


def g9() -> Shortfall:
    entered = Decimal("0.8")
    p0, p1, p2, t2, x0 = map(Decimal, ("80000", "80010", "80030", "80035", "80500"))
    fills = Decimal("0.6") * 80035 + Decimal("0.2") * 80050
    return shortfall(
        sign=1,
        intended=Decimal(1),
        entered=entered,
        p0=p0,
        entry=amounts_at(entered, p0, p1, p2, t2, filled=fills),
        leave=amounts_at(entered, x0, x0, x0, Decimal(80496), filled=entered * 80490),
        fees=Decimal("64.2115"),
        funding=Decimal("-1.5"),
        spread_observed=True,
    )


def test_g9_by_the_formulas_alone() -> None:
    assert g9() == traded().shortfall


def test_g9_mirrored_a_short_pays_the_same() -> None:
    """Every price mirrored at 80000, the sides turned: costs are costs."""
    entered = Decimal("0.8")
    p0, p1, p2, t2, x0, out = map(Decimal, ("80000", "79990", "79970", "79965", "79500", "79504"))
    costs = shortfall(
        sign=-1,
        intended=Decimal(1),
        entered=entered,
        p0=p0,
        entry=amounts_at(entered, p0, p1, p2, t2, filled=Decimal("0.6") * 79965 + Decimal("0.2") * 79950),
        leave=amounts_at(entered, x0, x0, x0, out, filled=entered * 79510),
        fees=Decimal("64.2115"),
        funding=Decimal("-1.5"),
        spread_observed=True,
    )
    assert costs == replace(g9(), total=Money(costs.total))
    assert price(costs.total) == price(g9().total)
