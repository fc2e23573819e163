"""Execution with the paper venue behind it, on bars: protection, targets, expiry, exits and what is left over."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import EntryEnd, ExitReason, OrderPurpose, PositionSide, TradingState
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    EntryEnded,
    FillBooked,
    OrderCanceled,
    OrderExpired,
    OrderIntended,
    ProtectionMissing,
    ProtectionRestored,
    VenueRejected,
)
from schemas.events.risk import ReductionApproved, StateCause, StateCauseKind, TradingStateChanged
from schemas.ids import client_order_id, derive_id, output_id
from schemas.values import Micros
from tests.builders import MINUTE, T0, btc_spot, btc_swap, eth_swap
from tests.rig import Rig, approved, limit, stop_entry


def intended(rig: Rig, purpose: OrderPurpose) -> list[OrderIntended]:
    return [order for order in rig.of(OrderIntended) if order.purpose is purpose]


def trade_of(rig: Rig, plan_id: str = "plan1") -> object:
    return rig.state("execution").trades[plan_id]


def open_stop(rig: Rig, instrument_id: str = "BTC-USDT-SWAP") -> Decimal:
    """Return what the stops at the venue would close."""
    orders = rig.state("venue").books[instrument_id].orders.values()
    return sum((order.leaves for order in orders if order.purpose is OrderPurpose.STOP), Decimal(0))


def reduction(reason: ExitReason = ExitReason.OPERATOR, instrument_id: str = "BTC-USDT-SWAP") -> ReductionApproved:
    return ReductionApproved("paper", instrument_id, reason)


def state_changed(scope: str = "account", state: TradingState = TradingState.REDUCING) -> TradingStateChanged:
    cause = StateCause(StateCauseKind.OPERATOR, state, scope, Micros(T0), None, False, "operator")
    return TradingStateChanged("paper", state, TradingState.ACTIVE, (cause,), "")


def test_the_entry_order_carries_the_plan_and_an_id_derived_from_its_own_event() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800", post_only=True), margin_leverage=7))
    (order,) = rig.now(OrderIntended)
    cause = derive_id("input", rig._count)
    assert order.client_order_id == client_order_id(output_id(cause, "execution", 0))
    assert (order.limit_price, order.post_only, order.margin_leverage) == (Decimal(79800), True, 7)
    assert (order.plan_stop_price, order.reduce_only) == (Decimal(79000), False)
    assert order.valid_until == T0 + 1000 * MINUTE


def test_a_fill_is_protected_over_exactly_what_it_opened_and_targets_are_placed() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", targets=[("81000", "0.33"), ("82000", "0.33"), ("83000", "0.34")], quantity="1.01"))
    rig.bar("80000/80100/79900/80000")
    (stop,) = intended(rig, OrderPurpose.STOP)
    assert (stop.quantity, stop.trigger_price, stop.reduce_only) == (Decimal("1.01"), Decimal(79000), True)
    targets = intended(rig, OrderPurpose.TARGET)
    assert [target.quantity for target in targets] == [Decimal("0.33"), Decimal("0.33"), Decimal("0.35")]
    assert all(target.reduce_only and target.limit_price for target in targets)


def test_fractions_below_one_leave_the_rest_to_the_stop() -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "0.5")], quantity="1.01"))
    rig.bar("80000/80100/79900/80000")
    assert [target.quantity for target in intended(rig, OrderPurpose.TARGET)] == [Decimal("0.50")]


def test_a_slice_below_the_minimum_joins_the_next() -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "0.1"), ("82000", "0.9")], quantity="0.05"))
    rig.bar("80000/80100/79900/80000")
    (target,) = intended(rig, OrderPurpose.TARGET)
    assert (target.quantity, target.target_index, target.exit_reason) == (Decimal("0.05"), 1, ExitReason.TARGET_2)


def test_partial_entries_grow_stop_and_targets() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), targets=[("81000", "0.5"), ("82000", "0.5")], quantity="50"))
    rig.bar("80000/80100/79790/80000", volume="2")
    assert (rig.held(), open_stop(rig)) == (20, 20)
    rig.bar("80000/80100/79790/80000", volume="1")
    assert (rig.held(), open_stop(rig)) == (30, 30)
    orders = rig.state("venue").books["BTC-USDT-SWAP"].orders.values()
    assert [order.leaves for order in orders if order.purpose is OrderPurpose.TARGET] == [15, 15]


def test_a_target_lowers_the_stop_and_the_stop_takes_the_rest() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000", targets=[("81000", "0.5")]))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80500/81100/80400/81000")
    assert (rig.held(), open_stop(rig)) == (5, 5)
    rig.bar("80000/80100/78900/79000")
    assert rig.held() == 0
    assert [fill.exit_reason for fill in rig.of(FillBooked)] == [None, ExitReason.TARGET_1, ExitReason.STOP]


def test_a_stop_out_takes_targets_and_the_rest_of_the_entry_with_it() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000", targets=[("81000", "1")], quantity="50"))
    rig.bar("80000/80100/79790/80000", volume="2")
    rig.bar("79900/79950/78990/79000", volume="0.0001")
    assert rig.held() == 0
    assert rig.state("venue").books["BTC-USDT-SWAP"].orders == {}
    (ended,) = rig.of(EntryEnded)
    assert (ended.end, ended.filled_quantity) == (EntryEnd.CANCELED, Decimal(20))
    assert rig.state("execution").active == {}


def test_an_entry_that_fills_on_the_bar_that_stops_its_first_part_is_stopped_too() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000", quantity="50"))
    rig.bar("80000/80100/79790/80000", volume="2")
    rig.bar("79900/79950/78990/79000", volume="1")
    assert rig.held() == 0
    assert rig.prices() == [
        "ENTRY 79800 MAKER",
        "STOP 78960.5 TAKER",
        "ENTRY 79800 MAKER",
        "STOP 78960.5 TAKER",
    ]


def test_an_entry_expires_when_now_reaches_its_end_of_validity() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000", valid_until=T0 + 2 * MINUTE))
    rig.bar("80000/80100/79900/80000")
    assert rig.of(OrderExpired) == []
    rig.bar("80000/80100/78000/80000")
    assert len(rig.now(OrderExpired)) == 1
    (ended,) = rig.now(EntryEnded)
    assert (ended.end, ended.filled_quantity) == (EntryEnd.EXPIRED, 0)
    assert rig.of(FillBooked) == []


def test_an_entry_past_its_stop_is_canceled() -> None:
    rig = Rig()
    rig.feed(approved(stop="79000"))
    rig.bar("78900/79500/78800/79400")
    (ended,) = rig.now(EntryEnded)
    assert (ended.end, ended.filled_quantity) == (EntryEnd.ENTRY_PAST_STOP, 0)


def test_a_rejected_entry_ends_the_trade() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800", post_only=True)))
    rig.bar("79500/79600/79400/79500")
    (ended,) = rig.now(EntryEnded)
    assert ended.end is EntryEnd.REJECTED


def test_an_order_that_is_already_over_is_never_sent() -> None:
    rig = Rig()
    rig.feed(approved(valid_until=T0))
    (ended,) = rig.now(EntryEnded)
    assert ended.end is EntryEnd.EXPIRED


def test_a_time_stop_closes_at_the_next_open() -> None:
    rig = Rig()
    rig.feed(approved(max_holding_s=120))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/80100/79900/80000")
    assert intended(rig, OrderPurpose.EXIT) == []
    rig.bar("80000/80100/79900/80000")
    assert len(intended(rig, OrderPurpose.EXIT)) == 1
    rig.bar("80200/80300/80100/80200")
    fill = rig.of(FillBooked)[-1]
    assert (fill.exit_reason, fill.last_price) == (ExitReason.TIME, Decimal("80159.9"))
    assert rig.held() == 0
    assert rig.state("venue").books["BTC-USDT-SWAP"].orders == {}


@pytest.mark.parametrize("reason", [ExitReason.OPERATOR, ExitReason.KILL, ExitReason.HALT_FLATTEN])
def test_a_reduction_closes_at_market_and_keeps_the_stop_until_flat(reason: ExitReason) -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "1")]))
    rig.bar("80000/80100/79900/80000")
    rig.feed(reduction(reason))
    assert open_stop(rig) == 10
    assert [order.purpose for order in rig.state("venue").books["BTC-USDT-SWAP"].orders.values()] == ["STOP", "EXIT"]
    rig.bar("80000/80100/79900/80000")
    assert rig.of(FillBooked)[-1].exit_reason is reason
    assert rig.state("venue").books["BTC-USDT-SWAP"].orders == {}


def test_a_second_reduction_sends_no_second_exit() -> None:
    rig = Rig()
    rig.feed(approved())
    rig.bar("80000/80100/79900/80000")
    rig.feed(reduction())
    rig.feed(reduction())
    assert len(intended(rig, OrderPurpose.EXIT)) == 1


def test_a_reduction_cancels_an_entry_that_has_not_filled() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    rig.feed(reduction())
    (ended,) = rig.now(EntryEnded)
    assert ended.end is EntryEnd.CANCELED
    assert intended(rig, OrderPurpose.EXIT) == []


def test_a_reduction_with_nothing_there_does_nothing() -> None:
    assert Rig().feed(reduction()) == []


@pytest.mark.parametrize(
    ("scope", "canceled"),
    [("account", 1), ("instrument:BTC-USDT-SWAP", 1), ("instrument:ETH-USDT-SWAP", 0), ("strategy:trend", 1)],
)
def test_a_state_other_than_active_cancels_working_entries_in_its_scope(scope: str, canceled: int) -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    rig.feed(state_changed(scope))
    assert len(rig.now(OrderCanceled)) == canceled


def test_a_halt_never_removes_a_stop() -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "1")]))
    rig.bar("80000/80100/79900/80000")
    rig.feed(state_changed(state=TradingState.HALTED))
    assert rig.now(CancelIntended) == []
    assert open_stop(rig) == 10


def test_a_partial_entry_that_is_canceled_is_a_normal_trade() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000", targets=[("81000", "1")], quantity="50"))
    rig.bar("80000/80100/79790/80000", volume="2")
    rig.feed(state_changed())
    (ended,) = rig.now(EntryEnded)
    assert (ended.end, ended.filled_quantity) == (EntryEnd.CANCELED, Decimal(20))
    rig.bar("80500/81100/80400/81000")
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.TARGET_1
    assert rig.state("execution").active == {}


def test_break_even_moves_the_stop_at_the_close_and_counts_from_the_next_bar() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79000", break_even_at_r="1"))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/81500/79950/80900")
    assert rig.now(AmendIntended) == []
    rig.bar("80900/81200/80000/81000")
    (amend,) = rig.now(AmendIntended)
    assert (amend.trigger_price, amend.exit_reason) == (Decimal("80080.0"), ExitReason.BREAK_EVEN)
    rig.bar("81000/81000/80000/80500")
    fill = rig.of(FillBooked)[-1]
    assert (fill.exit_reason, fill.last_price) == (ExitReason.BREAK_EVEN, Decimal("80080.0"))


def test_a_trailing_stop_follows_the_best_close_and_never_loosens() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79000", trail_distance_pct="1", trail_from_r="1"))
    rig.bar("80000/80100/79900/80000")
    for bar, trigger in (
        ("80000/80900/79950/80500", None),
        ("80500/81200/80400/81000", "80190.0"),
        ("81000/81100/80300/80400", None),
        ("80500/82200/80400/82000", "81180.0"),
    ):
        rig.bar(bar)
        assert [amend.trigger_price for amend in rig.now(AmendIntended)] == ([Decimal(trigger)] if trigger else [])
    rig.bar("82000/82000/81000/81500")
    fill = rig.of(FillBooked)[-1]
    assert (fill.exit_reason, fill.last_price) == (ExitReason.TRAIL, Decimal("81180.0"))


def test_a_short_trails_downward_and_rounds_to_the_tight_side() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(side=PositionSide.SHORT, stop="81000", trail_distance_pct="0.5"))
    rig.bar("80000/80100/79900/80000")
    assert [amend.trigger_price for amend in rig.now(AmendIntended)] == [Decimal("80400.0")]
    rig.bar("80000/80100/78900/79001.3")
    assert [amend.trigger_price for amend in rig.now(AmendIntended)] == [Decimal("79396.3")]


def test_the_stop_that_filled_in_the_bar_wins_over_the_amendment_at_its_close() -> None:
    rig = Rig(slippage_bps=0)
    rig.feed(approved(stop="79000", trail_distance_pct="1"))
    rig.bar("80000/80100/79900/80000")
    rig.bar("80000/82000/79100/82000")
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.TRAIL
    assert rig.of(FillBooked)[-1].last_price == Decimal("79200.0")
    assert rig.held() == 0
    assert rig.of(ProtectionMissing) == []


def test_a_refused_stop_is_an_alarm_and_closes_the_trade_at_market() -> None:
    rig = Rig()
    rig.feed(approved(entry=limit("79800"), stop="79000"))
    _refuse_next_stop(rig)
    assert [event.unprotected_quantity for event in rig.of(ProtectionMissing)] == [Decimal(10)]
    (exit_order,) = intended(rig, OrderPurpose.EXIT)
    assert (exit_order.quantity, exit_order.exit_reason) == (Decimal(10), ExitReason.UNPROTECTED)
    rig.bar("80000/80100/79900/80000")
    assert rig.of(FillBooked)[-1].exit_reason is ExitReason.UNPROTECTED
    assert [event.protected_quantity for event in rig.of(ProtectionRestored)] == [0]


def _refuse_next_stop(rig: Rig) -> None:
    """Fill the entry and let the venue refuse the stop after it took it."""
    rig.bar("80000/80100/79790/80000")
    (stop,) = intended(rig, OrderPurpose.STOP)
    del rig.state("venue").books["BTC-USDT-SWAP"].orders[stop.client_order_id]
    rig.feed(VenueRejected(stop.client_order_id, "paper", "BTC-USDT-SWAP", "STOP_REFUSED", ""))


def test_spot_is_protected_over_what_can_be_sold_and_dust_ends_the_trade() -> None:
    spot = btc_spot()
    rig = Rig(instruments=(spot,))
    rig.feed(approved(stop="79600", quantity="0.12493753", instrument=spot))
    rig.bar("80000/80100/79900/80000", instrument_id="BTC-USDT")
    (fill,) = rig.of(FillBooked)
    assert fill.fee_base == Decimal("0.00012493753")
    assert fill.fee == (fill.fee_base * fill.last_price).quantize(Decimal("1e-8"))
    (stop,) = intended(rig, OrderPurpose.STOP)
    assert stop.quantity == Decimal("0.12481259")
    rig.bar("79500/79600/79000/79100", instrument_id="BTC-USDT")
    assert rig.of(FillBooked)[-1].last_quantity == Decimal("0.12481259")
    assert rig.state("execution").active == {}


def test_a_stop_entry_takes_at_its_trigger_worsened() -> None:
    rig = Rig()
    rig.feed(approved(entry=stop_entry("80500"), stop="79800"))
    rig.bar("80000/80499.9/79900/80400")
    assert rig.of(FillBooked) == []
    rig.bar("80400/80600/80300/80500")
    fill = rig.of(FillBooked)[0]
    assert (fill.last_price, fill.slippage_bps) == (Decimal("80540.3"), Decimal("5.00621118"))


def test_two_trades_on_two_instruments_do_not_mix() -> None:
    rig = Rig(instruments=(btc_swap(), eth_swap()))
    rig.feed(approved(stop="79000"))
    rig.feed(approved("plan2", stop="1900", instrument=eth_swap()))
    opens = rig.ts
    rig.bar("80000/80100/79900/80000")
    rig.bar("2000/2010/1990/2000", instrument_id="ETH-USDT-SWAP", ts_open=opens)
    assert {fill.plan_id for fill in rig.of(FillBooked)} == {"plan1", "plan2"}
    assert (open_stop(rig), open_stop(rig, "ETH-USDT-SWAP")) == (10, 10)


def test_an_order_caused_by_one_instruments_bar_does_not_meet_the_others_bar_of_that_minute() -> None:
    rig = Rig(instruments=(btc_swap(), eth_swap()))
    opens = rig.ts
    rig.bar("80000/80100/79900/80000")
    rig.feed(approved("plan2", stop="1900", instrument=eth_swap()))
    rig.bar("2000/2010/1990/2000", instrument_id="ETH-USDT-SWAP", ts_open=opens)
    assert rig.of(FillBooked) == []
    rig.bar("2001/2010/1990/2000", instrument_id="ETH-USDT-SWAP", ts_open=opens + MINUTE)
    assert rig.of(FillBooked)[0].arrival_price == Decimal(2001)


def test_while_halted_a_late_fill_gets_its_stop_but_no_target_and_no_time_stop() -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "1")], max_holding_s=60))
    rig.feed(state_changed("instrument:ETH-USDT-SWAP", TradingState.REDUCING))
    rig.state("execution").trades["plan1"].entry.cancel_requested = True
    rig.feed(state_changed(state=TradingState.HALTED))
    rig.bar("80000/80100/79900/80000")
    assert open_stop(rig) == 10
    rig.bar("80000/80100/79900/80000")
    assert intended(rig, OrderPurpose.TARGET) == []
    assert intended(rig, OrderPurpose.EXIT) == []
    rig.feed(TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), ""))
    assert [order.exit_reason for order in intended(rig, OrderPurpose.EXIT)] == [ExitReason.TIME]


def test_what_a_halt_held_back_is_placed_when_it_ends() -> None:
    rig = Rig()
    rig.feed(approved(targets=[("81000", "1")]))
    rig.state("execution").trades["plan1"].entry.cancel_requested = True
    rig.feed(state_changed(state=TradingState.HALTED))
    rig.bar("80000/80100/79900/80000")
    assert intended(rig, OrderPurpose.TARGET) == []
    rig.feed(TradingStateChanged("paper", TradingState.ACTIVE, TradingState.HALTED, (), ""))
    assert len(intended(rig, OrderPurpose.TARGET)) == 1
