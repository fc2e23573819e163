"""What entries that never filled would have made: told once each, by the account, outside every book."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.account import EntryMissed, EquityChanged, TradeClosed
from schemas.events.common import EntryEnd, PlanOrigin, PositionSide
from schemas.events.orders import FillBooked
from streams.core.account import STAGE as ACCOUNT
from streams.core.execution import STAGE as EXECUTION
from streams.core.venue import STAGE as VENUE
from tests.builders import MINUTE, T0
from tests.rig import Rig, approved, limit

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
D = Decimal


def account(**settings: object) -> Rig:
    return Rig(stages=(EXECUTION, VENUE, ACCOUNT), **settings)


@pytest.mark.parametrize(
    ("side", "price", "stop", "left_at", "cost", "rate"),
    [
        (LONG, "79000", "78000", "80500", "500", "62.5"),
        (LONG, "79000", "78000", "79600", "-400", "-50"),
        (SHORT, "81000", "82000", "79600", "400", "50"),
        (SHORT, "81000", "82000", "80500", "-500", "-62.5"),
    ],
    ids=["long, market rose", "long, market fell", "short, market fell", "short, market rose"],
)
def test_an_entry_that_expired_says_what_it_missed(
    side: PositionSide, price: str, stop: str, left_at: str, cost: str, rate: str
) -> None:
    """Q is 1 BTC, decided at a mid of 80000: s * 1 * (X0 - 80000), in bps of 80000."""
    rig = account()
    rig.quote("79999", "80001")
    end = T0 + 2 * MINUTE
    rig.feed(approved(side=side, entry=limit(price), stop=stop, quantity="100", valid_until=end))
    rig.quote(str(int(left_at) - 1), str(int(left_at) + 1))
    assert rig.of(EntryMissed) == []
    rig.mark("80000", ts=end)
    (missed,) = rig.of(EntryMissed)
    assert (missed.end, missed.position_side, missed.origin) == (EntryEnd.EXPIRED, side, PlanOrigin.RULES)
    assert (missed.intended_quantity, missed.decision_price, missed.end_price) == (1, 80000, D(left_at))
    assert (missed.opportunity, missed.opportunity_bps) == (D(cost), D(rate))
    assert [event.equity for event in rig.of(EquityChanged)] == [10000]


def test_on_bars_the_close_is_the_mid() -> None:
    rig = account()
    rig.bar("80000/80100/79900/80000")
    rig.feed(approved(entry=limit("79000"), stop="78000", quantity="100", valid_until=rig.ts + MINUTE))
    rig.bar("80000/80100/79900/80090")
    (missed,) = rig.of(EntryMissed)
    assert (missed.end_price, missed.opportunity) == (80090, 90)


def test_an_entry_that_filled_in_part_missed_nothing_here() -> None:
    """Its trade's shortfall carries the opportunity of the rest."""
    rig = account()
    rig.bar("80000/80100/79900/80000")
    rig.feed(approved(entry=limit("79800"), stop="79000", quantity="50", valid_until=rig.ts + 2 * MINUTE))
    rig.bar("80000/80100/79790/80000", volume="2")
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/78900/80000")
    (closed,) = rig.of(TradeClosed)
    assert closed.shortfall is not None
    # 0.3 BTC missed, decided at 80000, left at the stop's trigger of 79000: it spared 300.
    assert (closed.shortfall.opportunity, rig.of(EntryMissed)) == (-300, [])


def test_an_entry_that_filled_missed_nothing() -> None:
    rig = account()
    rig.feed(approved())
    rig.bar("80000/80100/79900/80000")
    assert (len(rig.of(FillBooked)), rig.of(EntryMissed)) == (1, [])


def test_without_a_price_there_is_no_number_and_it_is_still_told() -> None:
    rig = account()
    rig.feed(approved(quantity="12000.01"))
    (missed,) = rig.of(EntryMissed)
    assert missed.end is EntryEnd.REJECTED
    assert (missed.decision_price, missed.end_price, missed.opportunity, missed.opportunity_bps) == (None,) * 4
