"""Golden case G5 as the paper venue acts on it, and what a liquidation takes; the formula is tested with risk."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, MarginMode, PositionSide, TriggerPriceType
from schemas.events.market import Channel, FeedOrigin, FeedState, FeedStatus, FundingSettled, MarkPrice
from schemas.events.orders import (
    AmendIntended,
    FillBooked,
    OrderIntended,
    ProtectionMissing,
    VenueCanceled,
    VenueFill,
    VenueLiquidated,
)
from schemas.values import Micros, Price, Rate
from tests.builders import MINUTE, btc_swap, eth_swap
from tests.rig import Rig, approved, limit

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def _held(
    side: PositionSide = LONG, *, leverage: int = 10, mode: MarginMode = MarginMode.ISOLATED, quantity: str = "500"
) -> Rig:
    """A position entered at exactly 80000, its stop far away."""
    rig = Rig(slippage_bps=0, initial_cash=100000, fee_taker_swap_pct="0.05", participation_pct=100)
    rig.feed(
        approved(
            side=side,
            stop="1000" if side is LONG else "200000",
            stop_on=TriggerPriceType.MARK,
            quantity=quantity,
            margin_leverage=leverage,
            margin_mode=mode,
        )
    )
    rig.bar("80000/80000/80000/80000", volume="1000000")
    return rig


@pytest.mark.parametrize(
    ("side", "leverage", "safe", "fatal"),
    [
        (LONG, 10, "72325.5", "72325.4"),
        (SHORT, 10, "87605.7", "87605.8"),
        (LONG, 100, "79558.1", "79558.0"),
        (SHORT, 100, "80438.0", "80438.1"),
    ],
)
def test_g5_liquidates_at_the_first_mark_past_the_price(
    side: PositionSide, leverage: int, safe: str, fatal: str
) -> None:
    rig = _held(side, leverage=leverage)
    rig.mark(safe, ts=rig.ts)
    assert rig.now(VenueLiquidated) == []
    rig.mark(fatal, ts=rig.ts)
    (fill,) = rig.now(FillBooked)
    assert (fill.exit_reason, fill.last_price) == (ExitReason.LIQUIDATION, Decimal(fatal))
    assert rig.held() == 0


def test_g5_funding_paid_moves_the_price() -> None:
    rig = _held()
    rig.mark("80000", ts=rig.ts)
    rig.feed(FundingSettled("BTC-USDT-SWAP", Rate(Decimal("0.0001")), Micros(rig.ts)))
    assert rig.state("venue").books["BTC-USDT-SWAP"].position.margin == 39960
    rig.mark("72333.6", ts=rig.ts)
    assert rig.now(VenueLiquidated) == []
    rig.mark("72333.5", ts=rig.ts)
    assert len(rig.now(VenueLiquidated)) == 1


@pytest.mark.parametrize("fatal", ["72325.4", "72100", "60000"], ids=["at", "past", "past bankruptcy"])
def test_an_isolated_loss_is_exactly_its_margin(fatal: str) -> None:
    rig = _held()
    before = rig.state("venue").cash
    rig.mark(fatal, ts=rig.ts)
    (fill,) = rig.now(FillBooked)
    assert before - rig.state("venue").cash == Decimal(40000)
    assert fill.penalty >= 0
    assert fill.fee == (Decimal("0.0005") * 5 * fill.last_price).quantize(Decimal("1e-8"))


def test_takes_the_orders_of_the_instrument_with_it_and_raises_no_alarm() -> None:
    rig = _held()
    rig.mark("72000", ts=rig.ts)
    assert "LIQUIDATION" in [event.code for event in rig.now(VenueCanceled)]
    assert rig.of(ProtectionMissing) == []
    assert rig.state("venue").books["BTC-USDT-SWAP"].orders == {}
    assert rig.state("execution").active == {}


def test_comes_before_the_stop_when_a_bar_opens_past_its_price() -> None:
    rig = Rig(slippage_bps=0, participation_pct=100)
    rig.feed(approved(stop="79700", quantity="500", margin_leverage=100))
    rig.bar("80000/80000/80000/80000", volume="1000000")
    rig.bar("79500/79800/79400/79600")
    (fill,) = rig.now(FillBooked)
    assert (fill.exit_reason, fill.last_price) == (ExitReason.LIQUIDATION, Decimal(79500))


def test_the_stop_fills_first_when_the_bar_opens_on_the_safe_side() -> None:
    rig = Rig(slippage_bps=0, participation_pct=100)
    rig.feed(approved(stop="79700", quantity="500", margin_leverage=100))
    rig.bar("80000/80000/80000/80000", volume="1000000")
    rig.bar("79900/79950/79400/79450")
    (fill,) = rig.now(FillBooked)
    assert (fill.exit_reason, fill.last_price) == (ExitReason.STOP, Decimal(79700))


def test_from_tier_three_on_the_position_is_first_reduced_two_tiers_down() -> None:
    # 6000 contracts: tier 3, mmr 0.0075; 1000: tier 1, mmr 0.004, which is safe again at this mark.
    rig = _held(quantity="6000")
    margin = Decimal(480000)
    fatal = (Decimal(4800000) - margin) / (60 * (1 - Decimal("0.0075") - Decimal("0.0005")))
    rig.mark(str(fatal.quantize(Decimal("0.1")) - 1), ts=rig.ts)
    (fill,) = rig.now(VenueFill)
    assert (fill.last_quantity, fill.liquidation) == (Decimal(5000), True)
    assert rig.held() == 1000
    assert [event.quantity for event in rig.now(AmendIntended)] == [Decimal(1000)]


def test_g5_cross_uses_the_free_balance_of_the_account() -> None:
    rig = _held(mode=MarginMode.CROSS)
    rig.state("venue").cash = Decimal(10000)
    rig.mark("78352.6", ts=rig.ts)
    assert rig.now(VenueLiquidated) == []
    rig.mark("78352.5", ts=rig.ts)
    assert len(rig.now(VenueLiquidated)) == 1


def test_g5_cross_counts_the_other_position() -> None:
    rig = Rig(slippage_bps=0, participation_pct=100, initial_cash=100000, instruments=(btc_swap(), eth_swap()))
    rig.feed(approved(stop="1000", quantity="500", margin_mode=MarginMode.CROSS))
    # Another position: 20000 notional at its mark of 2000, bought for 20200.
    rig.feed(approved("plan2", stop="100", quantity="100", margin_mode=MarginMode.CROSS, instrument=eth_swap()))
    opens = rig.ts
    rig.bar("80000/80000/80000/80000", volume="1000000")
    rig.bar("2020/2020/2020/2020", volume="1000000", instrument_id="ETH-USDT-SWAP", ts_open=opens)
    rig.feed(MarkPrice("ETH-USDT-SWAP", Price(Decimal(2000))))
    rig.state("venue").cash = Decimal(10000)
    rig.mark("78410.9", ts=rig.ts)
    assert rig.now(VenueLiquidated) == []
    rig.mark("78410.8", ts=rig.ts)
    assert len(rig.now(VenueLiquidated)) == 1


def test_last_stands_in_for_a_missing_mark_but_only_where_it_may() -> None:
    for substitute, liquidated in ((True, 1), (False, 0)):
        rig = Rig(slippage_bps=0, participation_pct=100, mark_substitute=substitute)
        rig.feed(approved(stop="1000", quantity="500", margin_leverage=100))
        rig.bar("80000/80000/80000/80000", volume="1000000")
        rig.bar("80000/80000/79400/79400")
        assert len(rig.now(VenueLiquidated)) == liquidated


def test_protection_is_in_place_while_nothing_is_liquidated() -> None:
    rig = _held()
    assert [order.quantity for order in rig.of(OrderIntended) if order.purpose == "STOP"] == [Decimal(500)]


def test_an_hourly_mark_holds_for_three_hours_and_then_last_stands_in() -> None:
    rig = Rig(slippage_bps=0, participation_pct=100)
    rig.feed(
        FeedStatus("BTC-USDT-SWAP", Channel.MARK, FeedState.OPEN, FeedOrigin.RECORDED, "test", cadence_us=60 * MINUTE)
    )
    rig.feed(approved(stop="1000", quantity="500", margin_leverage=100))
    rig.bar("80000/80000/80000/80000", volume="1000000")
    rig.mark("80000", ts=rig.ts)
    for _ in range(3):
        rig.bar("80000/80000/79400/79400", minutes=1, ts_open=rig.ts + 59 * MINUTE)
        assert rig.now(VenueLiquidated) == []
    rig.bar("80000/80000/79400/79400")
    assert [event.mark_price for event in rig.now(VenueLiquidated)] == [Decimal(79400)]


def test_cross_sets_the_fees_of_working_orders_aside() -> None:
    rig = _held(mode=MarginMode.CROSS)
    rig.feed(eth_swap())
    # 2000 ETH-contracts of 0.1 at 2000: 400,000 notional, 200 of fees; B falls from 10000 to 9800.
    rig.feed(approved("plan2", entry=limit("2000"), stop="100", quantity="2000", instrument=eth_swap()))
    rig.state("venue").cash = Decimal(10000)
    fatal = (Decimal(400000) - 9800) / (5 * (1 - Decimal("0.0045")))
    rig.mark(str(fatal.quantize(Decimal("0.1")) + 1), ts=rig.ts)
    assert rig.now(VenueLiquidated) == []
    rig.mark(str(fatal.quantize(Decimal("0.1")) - 1), ts=rig.ts)
    assert len(rig.now(VenueLiquidated)) == 1
