"""Golden cases G2, G3, G4 (ledger side) and G7 of the domain definitions, through the account stage."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.account import BreachCause, EquityChanged, FundingPaid, PositionChanged, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose, PositionSide
from schemas.events.orders import FillBooked
from schemas.events.risk import ReductionApproved
from streams.core.account import STAGE as ACCOUNT
from streams.core.account.ledger import funding_payment
from streams.core.execution import STAGE as EXECUTION
from streams.core.venue import STAGE as VENUE
from tests.account_events import BTC, MAKER, approved, buy, funding, mark, sell, snapshot
from tests.builders import T0, at, btc_swap, message, settings_changed
from tests.rig import Rig
from tests.rig import approved as given_verdict
from tests.spec import Spec, given


def account(cash: str = "10000") -> Spec:
    return given(ACCOUNT, settings_changed(), btc_swap(), snapshot(cash))


def test_g2_partial_exits_cost_their_fees_and_release_their_cost() -> None:
    spec = account().when(buy("10", "80000"))
    assert spec.of(EquityChanged)[-1].cash == Decimal(9996)
    spec.when(sell("4", "80800", fee_rate=MAKER))
    assert spec.of(PositionChanged)[-1].realized_pnl == Decimal(32)
    spec.when(mark("80500"))
    assert spec.of(EquityChanged)[-1].equity == Decimal("10057.3536")
    spec.when(sell("6", "79600"))
    (closed,) = spec.of(TradeClosed)
    assert closed.fees == Decimal("7.0344")
    assert closed.gross_pnl == Decimal(32) - Decimal(24)
    assert closed.net_pnl == Decimal("0.9656")
    assert spec.of(EquityChanged)[-1].cash == Decimal("10000.9656")
    assert spec.of(EquityChanged)[-1].equity == Decimal("10000.9656")


def test_g2_the_venue_asks_each_fee_by_itself() -> None:
    """Bought at 80000 as taker, 4 sold at 80800 as maker, 6 at 79600 as taker: execution, paper venue and account."""
    rig = Rig(stages=(EXECUTION, VENUE, ACCOUNT))
    rig.quote("79999.9", "80000")
    rig.feed(given_verdict(stop="79000", targets=[("80800", "0.4")]))
    rig.quote("79999.9", "80000")
    rig.quote("80100", "80100.1")
    rig.quote("80800.1", "80800.2")
    rig.mark("80500", ts=rig.ts + 1)
    assert rig.now(EquityChanged)[-1].equity == Decimal("10057.3536")
    rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    rig.quote("79600", "79600.1")
    fills = rig.of(FillBooked)
    assert [(fill.last_price, fill.liquidity) for fill in fills] == [
        (80000, "TAKER"),
        (80800, "MAKER"),
        (79600, "TAKER"),
    ]
    assert [fill.fee for fill in fills] == [Decimal(4), Decimal("0.6464"), Decimal("2.388")]
    assert [change.realized_pnl for change in rig.of(PositionChanged)] == [0, 32, 32 - 24]
    (closed,) = rig.of(TradeClosed)
    assert closed.net_pnl == Decimal("0.9656")
    assert rig.of(EquityChanged)[-1].cash == rig.state("venue").cash == Decimal("10000.9656")


def test_g3_a_flip_ends_one_trade_and_begins_another_with_the_rest_of_the_fee() -> None:
    spec = account().when(buy("10", "80000")).when(sell("15", "80500"))
    (closed,) = spec.of(TradeClosed)
    flat, short = spec.of(PositionChanged)
    assert closed.net_pnl == Decimal("41.975")
    assert closed.fees - Decimal(4) == Decimal("4.025"), "the closing share of 6.0375"
    assert spec.state.desks[BTC].position.fees == Decimal("2.0125"), "the opening share"
    assert (flat.quantity, short.quantity, short.cost) == (0, -5, Decimal(4025))
    assert flat.trade_id == closed.trade_id != short.trade_id
    assert spec.of(EquityChanged)[-1].cash == Decimal("10039.9625")
    spec.when(mark("80400"))
    assert spec.of(EquityChanged)[-1].equity == Decimal("10044.9625")


def test_g3_state_is_the_cost_not_the_average() -> None:
    spec = account()
    spec.when(buy("100", "80000.1", fee_rate=None)).when(buy("200", "80000.3", fee_rate=None))
    assert spec.of(PositionChanged)[-1].cost == Decimal("240000.7")


def test_g3_released_cost_is_rounded_once_and_the_rest_is_what_remains() -> None:
    spec = account()
    spec.when(buy("1", "80000.1", fee_rate=None)).when(buy("2", "80000.3", fee_rate=None))
    assert spec.of(PositionChanged)[-1].cost == Decimal("2400.007")
    spec.when(sell("1", "80100", fee_rate=None))
    (left,) = spec.of(PositionChanged)
    assert left.realized_pnl == Decimal("0.99766667")
    assert left.cost == Decimal("1600.00466667")
    spec.when(sell("2", "80100", fee_rate=None))
    assert spec.of(TradeClosed)[0].gross_pnl == Decimal("2.993")


def test_g4_funding_moves_cash_and_the_isolated_margin() -> None:
    spec = account().when(buy("10.86", "80000", leverage=56))
    margin = spec.of(PositionChanged)[-1].margin
    assert margin == Decimal("155.14285714")
    spec.when(funding("-0.87014012", ts=T0 + 1))
    (paid,) = spec.of(FundingPaid)
    assert paid.payment == Decimal("-0.87014012")
    assert spec.of(EquityChanged)[-1].cash == Decimal("10000") - Decimal("4.344") - Decimal("0.87014012")
    assert spec.of(PositionChanged)[-1].margin == margin - Decimal("0.87014012")
    spec.when(funding("0.95607956", rate="-0.0001098765050395", ts=T0 + 2))
    assert spec.of(EquityChanged)[-1].cash == Decimal("9995.74193944")


@pytest.mark.parametrize(
    ("rate", "payment"), [("0.0001", "-0.87014012"), ("-0.0001098765050395", "0.95607956")], ids=["paid", "received"]
)
def test_g4_funding_payment(rate: str, payment: str) -> None:
    def paid(sign: int) -> Decimal:
        return funding_payment(
            sign=sign,
            contracts=Decimal("10.86"),
            contract_value=Decimal("0.01"),
            mark_price=Decimal("80123.4"),
            funding_rate=Decimal(rate),
        )

    assert (paid(1), paid(-1)) == (Decimal(payment), -Decimal(payment))


def stopped(price: str) -> TradeClosed:
    past = (approved("10"), message(buy("10", "80000"), ts=at(1)))
    spec = given(ACCOUNT, settings_changed(), btc_swap(), snapshot(), *past)
    exit_fill = sell("10", price, purpose=OrderPurpose.STOP, reason=ExitReason.STOP)
    (closed,) = spec.when(exit_fill, ts=at(61)).of(TradeClosed)
    return closed


def test_g7_a_clean_stop_out_is_below_minus_one_r_and_exactly_the_budget() -> None:
    closed = stopped("79600.18")
    assert closed.initial_risk == Decimal(36)
    assert closed.net_pnl == Decimal("-47.962009")
    assert closed.r_multiple == Decimal("-1.33227803")
    assert closed.budget_multiple == Decimal(-1)
    assert closed.breach is None
    assert (closed.exit_reason, closed.holding_s) == (ExitReason.STOP, 60)


def test_g7_a_gap_past_the_stop_is_a_breach_by_name() -> None:
    closed = stopped("79000")
    assert closed.net_pnl == Decimal("-107.95")
    assert closed.r_multiple == Decimal("-2.99861111")
    assert closed.budget_multiple == Decimal("-2.25073975")
    assert closed.breach is BreachCause.GAP


def test_g7_r_of_g2s_result() -> None:
    spec = given(ACCOUNT, settings_changed(), btc_swap(), snapshot(), approved("10"))
    spec.when(buy("10", "80000")).when(sell("4", "80800", fee_rate=MAKER)).when(sell("6", "79600"))
    (closed,) = spec.of(TradeClosed)
    assert closed.r_multiple == Decimal("0.02682222")
    assert (closed.position_side, closed.strategy, closed.instrument_id) == (PositionSide.LONG, "trend", BTC)
