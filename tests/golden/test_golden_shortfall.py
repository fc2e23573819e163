"""Golden case G9 of the domain definitions: implementation shortfall, by execution, paper venue and account.

The ticks, the proposal and the verdict are given; orders, acknowledgements, fills, fees, funding and the closed trade
are the stages' own. Latency makes P2 a price of its own; drawn partial fills leave 0.2 of the 1.0 BTC behind.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.account import Shortfall, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.market import FundingSettled
from schemas.events.orders import EntryEnded, FillBooked
from schemas.events.risk import ReductionApproved
from schemas.values import Micros, Money, Quantity, Rate, price
from streams.core.account import STAGE as ACCOUNT
from streams.core.account.shortfall import amounts_at, shortfall
from streams.core.execution import STAGE as EXECUTION
from streams.core.venue import STAGE as VENUE
from tests.account_events import PLAN, proposed
from tests.builders import btc_swap
from tests.rig import Rig, approved

BTC = "BTC-USDT-SWAP"
DELAY, VALID = 50_000, 1_000_000


def entered(seed: int) -> Rig:
    """Buy 1.0 BTC (100 contracts in lots of 20): decided at 80000, approved at 80010, at the venue at 80030."""
    lots = replace(btc_swap(), lot_size=Quantity(Decimal(20)), min_quantity=Quantity(Decimal(20)))
    rig = Rig(
        stages=(EXECUTION, VENUE, ACCOUNT),
        instruments=(lots,),
        initial_cash=100_000,
        latency_us=DELAY,
        fault_partial_pct=100,
        seed=seed,
    )
    rig.quote("79995", "80005")
    rig.feed(proposed())
    rig.quote("80005", "80015")
    until = rig.ts + VALID
    rig.feed(approved(PLAN, stop="79200", quantity="100", valid_until=until, instrument=lots))
    sent = rig.ts
    rig.quote("80025", "80035")
    rig.mark("80000", ts=sent + DELAY)
    rig.quote("80025", "80035")
    rig.quote("80040", "80050")
    rig.mark("80000", ts=until)
    return rig


def entries(rig: Rig) -> list[tuple[Decimal, Decimal]]:
    """Return quantity (BTC) and price of the entry's fills."""
    fills = (fill for fill in rig.of(FillBooked) if fill.purpose is OrderPurpose.ENTRY)
    return [(fill.base_quantity, fill.last_price) for fill in fills]


@pytest.fixture(scope="module")
def rig() -> Rig:
    """The whole trade; the first seed whose draws cut the entry as the page has it, one in four does."""
    wanted = [(Decimal("0.6"), Decimal(80035)), (Decimal("0.2"), Decimal(80050))]
    rig = next(rig for rig in map(entered, range(200)) if entries(rig) == wanted)
    rig.feed(FundingSettled(BTC, Rate(Decimal("0.0000234375")), Micros(rig.ts)))  # of 0.8 BTC at a mark of 80000: 1.5
    rig.quote("80496", "80504")
    rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    rig.mark("80000", ts=rig.ts + DELAY)
    rig.quote("80490", "80498")
    return rig


@pytest.fixture(scope="module")
def closed(rig: Rig) -> TradeClosed:
    """The trade as the account tells it."""
    (trade,) = rig.of(TradeClosed)
    return trade


def test_g9_every_fee_is_the_takers(rig: Rig) -> None:
    """0.05 % of 0.6 * 80035, 0.2 * 80050 and 0.8 * 80490."""
    assert [fill.fee for fill in rig.of(FillBooked)] == [Decimal("24.0105"), Decimal("8.005"), Decimal("32.196")]


def test_g9_what_was_not_filled_expired(rig: Rig) -> None:
    (ended,) = rig.of(EntryEnded)
    assert (ended.end, ended.filled_quantity) == ("EXPIRED", 80)


def test_g9_shortfall_is_told_apart_exactly(closed: TradeClosed) -> None:
    costs = closed.shortfall
    assert costs is not None
    assert (costs.decision, costs.delay, costs.spread, costs.impact) == (8, 16, 4, 3)
    assert (costs.exit_decision, costs.exit_delay) == (0, 0)
    assert (costs.exit_spread, costs.exit_impact) == (Decimal("3.2"), Decimal("4.8"))
    assert (costs.fee, costs.funding) == (Decimal("64.2115"), Decimal("-1.5"))
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


def test_g9_by_the_formulas_alone(closed: TradeClosed) -> None:
    assert g9() == closed.shortfall


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
