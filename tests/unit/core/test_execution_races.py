"""What a real venue does to an order's life: reports out of order, late, twice, or never."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, Liquidity, NotSentReason, OrderPurpose, Side, TriggerPriceType
from schemas.events.orders import (
    AmendIntended,
    CancelIntended,
    EntryEnded,
    FillBooked,
    NotSent,
    OrderCanceled,
    OrderExpired,
    OrderIntended,
    OrderOperation,
    OrderPartiallyFilled,
    OrderRejected,
    ProtectionMissing,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueRejected,
)
from schemas.events.risk import ReductionApproved
from schemas.ids import derive_id
from schemas.values import Price, Quantity
from streams.core.execution import STAGE, UnknownOrder
from streams.core.execution.orders import InvalidTransition
from streams.core.execution.state import DONE_MAX, SEEN_MAX
from tests.builders import MINUTE, T0, btc_spot
from tests.rig import Rig, approved, limit

BTC = "BTC-USDT-SWAP"


class Venue:
    """Execution alone, and a hand that writes the venue's reports."""

    def __init__(self, **plan: object) -> None:
        self.rig = Rig(stages=(STAGE,))
        self.rig.feed(approved(**plan))  # type: ignore[arg-type]
        self.entry = self.ids(OrderPurpose.ENTRY)[0]
        self.fills = 0

    def ids(self, purpose: OrderPurpose) -> list[str]:
        return [order.client_order_id for order in self.rig.of(OrderIntended) if order.purpose is purpose]

    def attempt(self, name: str) -> None:
        self.rig.feed(SubmitAttempted(name, "paper", BTC))

    def accept(self, name: str) -> None:
        self.rig.feed(VenueAccepted(name, "paper", BTC, "v"))

    def open(self, name: str) -> None:
        self.attempt(name)
        self.accept(name)

    def cancel(self, name: str, code: str = "CANCELED") -> None:
        self.rig.feed(VenueCanceled(name, "paper", BTC, code))

    def reject(self, name: str, operation: OrderOperation = OrderOperation.SUBMIT) -> None:
        self.rig.feed(VenueRejected(name, "paper", BTC, "WHY", "", operation))

    def fill(self, name: str, quantity: str, *, side: Side = Side.BUY, trade_id: str | None = None) -> None:
        self.fills += 1
        self.rig.feed(
            VenueFill(
                name,
                "paper",
                BTC,
                trade_id or derive_id("t", self.fills),
                side,
                Quantity(Decimal(quantity)),
                Price(Decimal(80000)),
                Liquidity.TAKER,
                Quantity(Decimal(1)),
                "USDT",
                Price(Decimal(79960)),
                None,
            )
        )

    @property
    def trade(self) -> object:
        return self.rig.state("execution").trades["plan1"]


def test_a_fill_may_overtake_the_ack() -> None:
    venue = Venue()
    venue.attempt(venue.entry)
    venue.fill(venue.entry, "4")
    venue.accept(venue.entry)
    venue.fill(venue.entry, "6")
    assert [order.quantity for order in venue.rig.of(OrderIntended)] == [Decimal(10), Decimal(4)]
    assert [amend.quantity for amend in venue.rig.of(AmendIntended)] == [Decimal(10)]
    assert len(venue.rig.of(OrderPartiallyFilled)) == 1


def test_a_cancel_may_overtake_the_ack() -> None:
    venue = Venue()
    venue.attempt(venue.entry)
    venue.cancel(venue.entry)
    venue.accept(venue.entry)
    assert len(venue.rig.of(OrderCanceled)) == 1


def test_a_cancel_that_comes_after_the_last_fill_is_no_news() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "10")
    venue.cancel(venue.entry)
    assert venue.rig.of(OrderCanceled) == []


def test_a_repeated_fill_is_booked_once() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "4", trade_id="same")
    venue.fill(venue.entry, "4", trade_id="same")
    assert len(venue.rig.of(FillBooked)) == 1


def test_the_memory_of_fills_is_bounded() -> None:
    venue = Venue(quantity="12000")
    venue.open(venue.entry)
    for number in range(SEEN_MAX + 5):
        venue.fill(venue.entry, "1", trade_id=f"t{number}")
    assert len(venue.rig.state("execution").seen) == SEEN_MAX


def test_finished_trades_are_forgotten_one_day_and_their_orders_with_them() -> None:
    rig = Rig()
    for number in range(DONE_MAX + 3):
        rig.feed(approved(f"plan{number}", valid_until=T0))
    state = rig.state("execution")
    assert len(state.trades) == len(state.plan_of) == DONE_MAX
    assert "plan0" not in state.trades


def test_a_late_fill_reopens_a_finished_trade_and_protects_it() -> None:
    venue = Venue(targets=[("81000", "1")])
    venue.open(venue.entry)
    venue.cancel(venue.entry)
    assert venue.rig.state("execution").active == {}
    venue.fill(venue.entry, "3")
    assert venue.rig.state("execution").active == {BTC: ["plan1"]}
    assert [(order.purpose, order.quantity) for order in venue.rig.now(OrderIntended)] == [
        (OrderPurpose.STOP, Decimal(3)),
        (OrderPurpose.TARGET, Decimal(3)),
    ]
    assert len(venue.rig.of(EntryEnded)) == 1


def test_a_late_fill_after_a_reduction_is_protected_and_closed_at_market() -> None:
    venue = Venue(entry=limit("79800"))
    venue.open(venue.entry)
    venue.rig.feed(ReductionApproved("paper", BTC, ExitReason.KILL))
    venue.fill(venue.entry, "10")
    assert [(order.purpose, order.exit_reason) for order in venue.rig.now(OrderIntended)] == [
        (OrderPurpose.STOP, ExitReason.STOP),
        (OrderPurpose.EXIT, ExitReason.KILL),
    ]


def test_a_stop_the_venue_takes_away_is_an_alarm_and_an_exit() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "10")
    (stop,) = venue.ids(OrderPurpose.STOP)
    venue.open(stop)
    venue.cancel(stop, "VENUE")
    assert [event.unprotected_quantity for event in venue.rig.now(ProtectionMissing)] == [Decimal(10)]
    assert len(venue.ids(OrderPurpose.EXIT)) == 1


def test_a_stop_that_cannot_be_amended_is_an_alarm_and_an_exit() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "4")
    (stop,) = venue.ids(OrderPurpose.STOP)
    venue.open(stop)
    venue.fill(venue.entry, "6")
    venue.reject(stop, OrderOperation.AMEND)
    assert len(venue.rig.now(ProtectionMissing)) == 1
    (exit_order,) = venue.rig.now(OrderIntended)
    assert (exit_order.quantity, exit_order.exit_reason) == (Decimal(10), ExitReason.UNPROTECTED)


def test_an_exit_the_venue_refuses_is_tried_a_few_times_and_not_for_ever() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "10")
    venue.open(venue.ids(OrderPurpose.STOP)[0])
    venue.rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    for number in range(3):
        exit_id = venue.ids(OrderPurpose.EXIT)[number]
        venue.attempt(exit_id)
        venue.reject(exit_id)
    assert len(venue.ids(OrderPurpose.EXIT)) == 3


def test_a_refused_cancel_changes_nothing() -> None:
    venue = Venue(entry=limit("79800"))
    venue.open(venue.entry)
    venue.reject(venue.entry, OrderOperation.CANCEL)
    assert venue.rig.step == []


def test_an_amendment_confirmed_after_the_order_ended_is_no_news() -> None:
    venue = Venue(entry=limit("79800"))
    venue.open(venue.entry)
    venue.cancel(venue.entry)
    venue.rig.feed(VenueAmended(venue.entry, "paper", BTC, Quantity(Decimal(5)), None))
    assert venue.rig.step == []


def test_an_order_that_was_not_sent_for_another_reason_counts_as_rejected() -> None:
    venue = Venue()
    venue.rig.feed(NotSent(venue.entry, "paper", BTC, NotSentReason.UNSENDABLE))
    assert [event.reason for event in venue.rig.of(OrderRejected)] == ["UNSENDABLE"]


def test_an_entry_the_venue_forgets_to_expire_is_canceled() -> None:
    venue = Venue(entry=limit("79800"), valid_until=T0 + MINUTE)
    venue.open(venue.entry)
    venue.rig.mark("80000", ts=T0 + MINUTE + 4_999_999)
    assert venue.rig.of(CancelIntended) == []
    venue.rig.mark("80000", ts=T0 + MINUTE + 5_000_000)
    assert [event.reason for event in venue.rig.of(CancelIntended)] == ["EXPIRED"]
    venue.cancel(venue.entry, "EXPIRED")
    assert len(venue.rig.of(OrderExpired)) == 1


def test_reports_on_an_order_nobody_intended_stop_the_shard() -> None:
    venue = Venue()
    with pytest.raises(UnknownOrder, match="stranger"):
        venue.accept("stranger")
    with pytest.raises(UnknownOrder, match="stranger"):
        venue.fill("stranger", "1")


def test_a_fill_of_a_rejected_order_contradicts_the_venue_itself() -> None:
    venue = Venue()
    venue.attempt(venue.entry)
    venue.reject(venue.entry)
    with pytest.raises(InvalidTransition):
        venue.fill(venue.entry, "1")


def test_slippage_is_positive_when_worse_than_arrival_on_either_side() -> None:
    venue = Venue()
    venue.open(venue.entry)
    venue.fill(venue.entry, "10")
    venue.rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    exit_id = venue.ids(OrderPurpose.EXIT)[0]
    venue.open(exit_id)
    venue.fill(exit_id, "10", side=Side.SELL)
    assert [fill.slippage_bps for fill in venue.rig.of(FillBooked)] == [Decimal("5.00250125"), Decimal("-5.00250125")]


def test_a_spot_stop_watches_the_last_price() -> None:
    spot = btc_spot()
    rig = Rig(instruments=(spot,))
    rig.feed(approved(stop="79600", quantity="0.1", instrument=spot))
    rig.bar("80000/80100/79900/80000", instrument_id="BTC-USDT")
    (stop,) = [order for order in rig.of(OrderIntended) if order.purpose is OrderPurpose.STOP]
    assert stop.trigger_price_type is TriggerPriceType.LAST


def test_an_amendment_on_its_way_is_not_asked_again() -> None:
    venue = Venue(targets=[("81000", "1")])
    venue.open(venue.entry)
    venue.fill(venue.entry, "4")
    venue.open(venue.ids(OrderPurpose.STOP)[0])
    venue.fill(venue.entry, "3")
    venue.open(venue.ids(OrderPurpose.TARGET)[0])
    assert [amend.quantity for amend in venue.rig.of(AmendIntended)] == [Decimal(7), Decimal(7)]


def test_targets_of_a_growing_entry_count_what_targets_took_already() -> None:
    venue = Venue(quantity="20", targets=[("81000", "0.5"), ("82000", "0.5")])
    venue.open(venue.entry)
    venue.fill(venue.entry, "10")
    first, second = venue.ids(OrderPurpose.TARGET)
    venue.open(first)
    venue.open(second)
    venue.fill(first, "5", side=Side.SELL)
    venue.fill(venue.entry, "10")
    (more,) = venue.rig.now(OrderIntended)
    assert (more.target_index, more.quantity) == (0, Decimal(5))
    assert (second, Decimal(10)) in [(amend.client_order_id, amend.quantity) for amend in venue.rig.now(AmendIntended)]
