"""Golden cases G10, G11 and the fills of G8: the paper venue's bar rules, through execution and venue in the kernel."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, Liquidity, PositionSide
from schemas.events.orders import FillBooked, OrderRejected, VenueFill
from tests.rig import Rig, approved, limit


def _open_long(stop: str) -> Rig:
    """A long of 10 contracts entered at market on a quiet bar."""
    rig = Rig()
    rig.feed(approved(stop=stop))
    rig.bar("80000/80100/79900/80000")
    return rig


def _exit(rig: Rig) -> FillBooked:
    fill = rig.of(FillBooked)[-1]
    assert fill.exit_reason is ExitReason.STOP
    return fill


@pytest.mark.parametrize(
    ("bar", "price"),
    [
        ("79500/79600/79150/79300", "79160.4"),
        ("79500/79600/79200.0/79300", "79160.4"),
        ("79000/79100/78900/79050", "78960.5"),
    ],
    ids=["through the stop", "a touch triggers", "gap past the stop"],
)
def test_g10_long_stop(bar: str, price: str) -> None:
    rig = _open_long("79200")
    rig.bar(bar)
    assert _exit(rig).last_price == Decimal(price)
    assert rig.held() == 0


def test_g10_short_stop_on_a_gap() -> None:
    rig = Rig()
    rig.feed(approved(side=PositionSide.SHORT, stop="80800"))
    rig.bar("80000/80100/79900/80000")
    rig.bar("81000/81100/80900/81000")
    assert _exit(rig).last_price == Decimal("81040.5")


def test_g10_entered_and_stopped_in_one_bar_and_the_target_is_ignored() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000", targets=[("80700", "1")]))
    rig.bar("80000/80900/78950/80500")
    assert rig.prices() == ["ENTRY 79800 MAKER", "STOP 78960.5 TAKER"]
    assert rig.held() == 0


def _entry(bar: str, *, post_only: bool = False, rest_first: bool = False, volume: str = "100000") -> Rig:
    rig = Rig()
    rig.feed(approved(entry=limit("79800.0", post_only=post_only), stop="79000", quantity="50"))
    if rest_first:
        rig.bar("80000/80100/79900/80000")
    rig.bar(bar, volume=volume)
    return rig


def test_g11_a_touch_is_not_a_fill() -> None:
    assert _entry("80000/80100/79800.0/80000").of(VenueFill) == []


def test_g11_one_tick_through_fills_as_maker() -> None:
    fill = _entry("80000/80100/79799.9/80000").of(VenueFill)[0]
    assert (fill.last_price, fill.liquidity) == (Decimal("79800.0"), Liquidity.MAKER)


def test_g11_resting_through_a_gap_gets_no_improvement() -> None:
    fill = _entry("79500/79600/79400/79500", rest_first=True).of(VenueFill)[0]
    assert (fill.last_price, fill.liquidity) == (Decimal("79800.0"), Liquidity.MAKER)


def test_g11_marketable_in_its_first_bar_takes_at_the_open_worsened() -> None:
    fill = _entry("79500/79600/79400/79500").of(VenueFill)[0]
    assert (fill.last_price, fill.liquidity) == (Decimal("79539.8"), Liquidity.TAKER)


def test_g11_post_only_that_would_take_is_rejected() -> None:
    rig = _entry("79500/79600/79400/79500", post_only=True)
    assert rig.of(VenueFill) == []
    assert [event.reason for event in rig.of(OrderRejected)] == ["POST_ONLY_WOULD_TAKE"]


def test_g11_entries_get_their_share_of_the_volume_and_the_rest_stays() -> None:
    rig = _entry("80000/80100/79799/80000", volume="2.0")
    fill = rig.of(FillBooked)[0]
    assert fill.base_quantity == Decimal("0.2")
    (order,) = [o for o in rig.state("venue").books["BTC-USDT-SWAP"].orders.values() if o.purpose == "ENTRY"]
    assert order.leaves * Decimal("0.01") == Decimal("0.3")


def test_g8_fills_at_the_first_open_and_at_the_target_in_bar_four() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79200", targets=[("81200", "1")]))
    for bar in (
        "80000/80300/79700/80200",
        "80200/80900/80100/80800",
        "80800/80850/79500/79900",
        "79900/81500/79850/81400",
    ):
        rig.bar(bar)
    assert rig.prices() == ["ENTRY 80000 TAKER", "TARGET 81200 MAKER"]
    assert [type(event).__name__ for event in rig.step].count("FillBooked") == 1
    assert rig.held() == 0
