"""The most a spot market order may be is a value, at the price it would have: in the verdict and at the paper venue."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from schemas.events.common import OrderType
from schemas.events.market import InstrumentDefined
from schemas.events.risk import Check, CheckResult, DenialCode
from schemas.values import Money
from streams.core.venue import STAGE
from tests.builders import T0, btc_spot
from tests.rig import Rig
from tests.risk_desk import SPOT, check, desk, plan
from tests.spec import as_message
from tests.unit.core.test_venue import codes, order

D = Decimal
REFUSED = ["QUANTITY_EXCEEDS_MAXIMUM"]


def valued(value: str) -> InstrumentDefined:
    """Return the spot pair, whose market orders may be of this value in USDT."""
    return replace(btc_spot(), market_notional_max=Money(D(value)))


def test_a_plan_is_denied_above_the_value_at_its_entry_price() -> None:
    def judged(value: str) -> Check:
        spec = desk(instrument=valued(value)).when(as_message(plan(ts=T0, instrument_id=SPOT), T0))
        return check(spec, DenialCode.QUANTITY_EXCEEDS_LIMIT)

    size = D(str(judged("1000000").value))
    assert judged("1000000").limit == "12.5"  # 1,000,000 at 80,000; by quantity 1000 are allowed
    assert judged(str(size * 80_000)).result is CheckResult.PASS
    below = judged(str(size * 80_000 - D("0.0001")))
    assert (below.result, D(str(below.limit))) == (CheckResult.FAIL, size - D("0.00000001"))


def test_the_paper_venue_refuses_an_entry_above_the_value_at_the_price_there_is() -> None:
    rig = Rig(stages=(STAGE,), instruments=(valued("100000"),))
    rig.bar("80000/80100/79900/80000", instrument_id=SPOT)
    assert codes(rig.feed(order("c1", instrument_id=SPOT, quantity="1.26"))) == REFUSED
    assert codes(rig.feed(order("c2", instrument_id=SPOT, quantity="1.25"))) == []
    stop = order("c3", kind=OrderType.STOP, instrument_id=SPOT, quantity="1.25", trigger="90000")
    assert codes(rig.feed(stop)) == REFUSED
    assert codes(rig.feed(order("c4", kind=OrderType.LIMIT, price="79000", instrument_id=SPOT, quantity="2"))) == []
