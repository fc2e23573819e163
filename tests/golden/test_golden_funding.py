"""Golden case G4: funding of a long and a short, through the paper venue."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import PositionSide
from schemas.events.market import FundingSettled
from schemas.events.orders import VenueFunding
from schemas.values import Micros, Price, Rate
from tests.builders import MINUTE, T0
from tests.rig import Rig, approved


def _held(side: PositionSide) -> Rig:
    rig = Rig()
    stop = "79000" if side is PositionSide.LONG else "81000"
    rig.feed(approved(side=side, stop=stop, quantity="10.86"))
    rig.bar("80000/80100/79900/80000")
    return rig


def _settle(rig: Rig, rate: str, ts_funding: int) -> VenueFunding:
    rig.feed(FundingSettled("BTC-USDT-SWAP", Rate(Decimal(rate)), Micros(ts_funding)), ts=max(rig.ts, ts_funding))
    (paid,) = rig.now(VenueFunding)
    return paid


@pytest.mark.parametrize(
    ("side", "rate", "payment"),
    [
        (PositionSide.LONG, "0.0001", "-0.87014012"),
        (PositionSide.LONG, "-0.0001098765050395", "0.95607956"),
        (PositionSide.SHORT, "0.0001", "0.87014012"),
        (PositionSide.SHORT, "-0.0001098765050395", "-0.95607956"),
    ],
)
def test_g4_funding(side: PositionSide, rate: str, payment: str) -> None:
    rig = _held(side)
    rig.mark("80123.4", ts=rig.ts)
    paid = _settle(rig, rate, rig.ts)
    assert paid.payment == Decimal(payment)
    assert paid.mark_price == Price(Decimal("80123.4"))


def test_g4_changes_cash_and_the_isolated_margin_of_the_position() -> None:
    rig = _held(PositionSide.LONG)
    rig.mark("80123.4", ts=rig.ts)
    venue = rig.state("venue")
    cash, margin = venue.cash, venue.books["BTC-USDT-SWAP"].position.margin
    _settle(rig, "0.0001", rig.ts)
    assert venue.cash - cash == Decimal("-0.87014012")
    assert venue.books["BTC-USDT-SWAP"].position.margin - margin == Decimal("-0.87014012")


def test_uses_the_last_mark_at_or_before_the_settlement_when_it_is_reported_late() -> None:
    rig = _held(PositionSide.LONG)
    settlement = T0 + 480 * MINUTE
    rig.mark("80123.4", ts=settlement)
    rig.mark("90000", ts=settlement + 1000)
    rig.mark("90001", ts=settlement + 2000)
    assert _settle(rig, "0.0001", settlement).payment == Decimal("-0.87014012")


def test_uses_the_last_price_where_there_is_no_mark() -> None:
    rig = _held(PositionSide.LONG)
    assert _settle(rig, "0.0001", rig.ts).mark_price == Decimal(80000)


def test_a_flat_instrument_pays_nothing() -> None:
    rig = Rig()
    rig.feed(FundingSettled("BTC-USDT-SWAP", Rate(Decimal("0.0001")), Micros(rig.ts)))
    assert rig.of(VenueFunding) == []
