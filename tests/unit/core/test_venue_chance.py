"""What the paper venue draws: the same for the same order, counter and seed, wherever and however often it runs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.orders import (
    FillBooked,
    OrderIntended,
    OrderRejected,
    ProtectionMissing,
    VenueRejected,
)
from schemas.values import Quantity
from streams.core.venue.chance import REFUSED, draw, latency_us, refusal
from streams.core.venue.state import Terms
from tests.builders import btc_swap, settings_changed
from tests.rig import Rig, approved, limit

FIRST = "1471839b912f69d1f3e6652d7653f365a36f73d4e2c58e88923cb55aa8e102d2"
"""``printf 'c1|0|7' | sha256sum``: 0.0799, 0.9527, 0.6384, 0.5712 of 2^64."""


def test_a_draw_is_four_words_of_the_hash() -> None:
    assert [f"{word:016x}" for word in draw("c1", 0, 7)] == [FIRST[start : start + 16] for start in (0, 16, 32, 48)]


@pytest.mark.parametrize(("base", "jitter", "delay"), [(20, 0, 20), (20, 99, 27), (0, 1, 0), (0, 999, 79), (0, 12, 1)])
def test_latency_is_the_base_and_an_even_share_of_the_jitter(base: int, jitter: int, delay: int) -> None:
    """0.0799 of 100 is 7.99, of 1000 79.9, of 13 1.04, each rounded down."""
    assert latency_us(Terms(latency_us=base, latency_jitter_us=jitter, seed=7), "c1", 0) == delay


@pytest.mark.parametrize(("percent", "refused"), [("95.27", False), ("95.28", True), ("100", True), ("0", False)])
def test_an_order_is_refused_where_its_draw_falls_inside_the_share(percent: str, refused: bool) -> None:
    """Its draw is 0.95273."""
    assert (refusal(Terms(fault_reject_pct=Decimal(percent), seed=7), "c1") is not None) is refused


def walk(**settings: object) -> list[object]:
    """Everything a trader says on a small tick feed with a slow, moody venue."""
    rig = Rig(latency_us=20_000, latency_jitter_us=80_000, fault_partial_pct=50, **settings)
    rig.trade("80000")
    for number in range(6):
        side = approved(f"plan{number}", entry=limit("79990"), stop="79900", targets=[("80050", "1")], quantity="20")
        rig.feed(side)
        for step in range(40):
            rig.trade(str(79880 + (step * 37 + number * 11) % 200), after_us=15_000)
    return list(rig.events)


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    assert walk(seed=1) == walk(seed=1)
    assert walk(seed=1) != walk(seed=2)


def test_every_order_may_be_refused_and_that_ends_its_entry() -> None:
    rig = Rig(fault_reject_pct=100)
    rig.feed(approved())
    (refused,) = rig.of(VenueRejected)
    assert (refused.code, refused.detail) == (REFUSED, "drawn: fault_reject_pct=100")
    assert [event.reason for event in rig.of(OrderRejected)] == [REFUSED]
    assert rig.state("execution").active == {}


def test_a_stop_refused_by_chance_is_an_alarm_and_closes_the_trade() -> None:
    """Of seeds 0, 1, 2, ... the first whose draws take the entry and refuse its stop."""
    for seed in range(100):
        rig = Rig(fault_reject_pct=50, seed=seed)
        rig.feed(approved())
        rig.bar("80000/80100/79900/80000")
        if rig.of(ProtectionMissing):
            break
    (missing,) = rig.of(ProtectionMissing)
    closing = [order for order in rig.of(OrderIntended) if order.purpose is OrderPurpose.EXIT]
    assert (missing.unprotected_quantity, rig.held()) == (10, 10)
    assert {order.exit_reason for order in closing} == {ExitReason.UNPROTECTED}


def test_a_cut_entry_is_protected_over_what_it_got_and_the_rest_follows() -> None:
    rig = Rig(fault_partial_pct=100)
    rig.feed(approved(quantity="10", stop="79000"))
    rig.bar("80000/80100/79900/80000")
    first = rig.held()
    assert Decimal(0) < first < 10
    assert first % Decimal("0.01") == 0
    book = rig.state("venue").books["BTC-USDT-SWAP"]
    assert [order.leaves for order in book.orders.values() if order.purpose is OrderPurpose.STOP] == [first]
    for _ in range(50):
        rig.bar("80000/80100/79900/80000")
    assert rig.held() == 10
    book = rig.state("venue").books["BTC-USDT-SWAP"]
    assert [order.leaves for order in book.orders.values()] == [10]


@pytest.mark.parametrize("leave", ["stop", "time"])
def test_stops_and_market_exits_fill_whole(leave: str) -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", max_holding_s=60 if leave == "time" else None))
    rig.bar("80000/80100/79900/80000")
    rig.feed(settings_changed(fault_partial_pct=100))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/78900/80000")
    _, out = rig.of(FillBooked)
    assert (out.last_quantity, rig.held()) == (10, 0)
    assert out.exit_reason is (ExitReason.TIME if leave == "time" else ExitReason.STOP)


def test_a_target_may_be_cut() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", targets=[("81000", "1")]))
    rig.bar("80000/80100/79900/80000")
    rig.feed(settings_changed(fault_partial_pct=100))
    rig.bar("80000/81100/79900/80000")
    assert 0 < rig.held() < 10
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.TARGET_1


def test_a_part_is_never_below_the_minimum_and_one_lot_is_never_cut() -> None:
    coarse = replace(btc_swap(), min_quantity=Quantity(Decimal(4)))
    rig = Rig(instruments=(coarse,), fault_partial_pct=100)
    rig.feed(approved(quantity="4.01", stop="79000", instrument=coarse))
    rig.bar("80000/80100/79900/80000")
    assert rig.held() >= 4
    whole = Rig(fault_partial_pct=100)
    whole.feed(approved(quantity="0.01", stop="79000"))
    whole.bar("80000/80100/79900/80000")
    assert whole.held() == Decimal("0.01")
