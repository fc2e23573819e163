"""What somebody does at the venue by hand: it closes our trade where it reduces it, and is only counted elsewhere."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import (
    AccountMode,
    ExitReason,
    Liquidity,
    MarginMode,
    NotSentReason,
    OrderPurpose,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
)
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    FillBooked,
    NotSent,
    OrderAccepted,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    SubmitAttempted,
    VenueAccepted,
    VenueCanceled,
    VenueFill,
    VenuePosition,
    VenueRejected,
)
from schemas.events.risk import ReductionApproved
from schemas.values import Money, Price, Quantity
from streams.core.execution import STAGE
from tests.rig import Rig, approved

BTC = "BTC-USDT-SWAP"


class Hands:
    """A long of 10 contracts with its stop at the venue (or nothing of ours), and hands on the same account."""

    def __init__(self, *, flat: bool = False, venue: str = "OKX") -> None:
        self.rig = Rig(stages=(STAGE,), venue=venue)
        self.trades = 0
        if flat:
            return
        self.rig.feed(approved())
        self.open(OrderPurpose.ENTRY)
        self.fill(self.newest(OrderPurpose.ENTRY), Side.BUY, "10")
        self.open(OrderPurpose.STOP)

    def newest(self, purpose: OrderPurpose) -> str:
        return [order.client_order_id for order in self.rig.of(OrderIntended) if order.purpose is purpose][-1]

    def open(self, purpose: OrderPurpose) -> None:
        name = self.newest(purpose)
        self.rig.feed(SubmitAttempted(name, "paper", BTC))
        self.rig.feed(VenueAccepted(name, "paper", BTC, "v"))

    def fill(self, name: str, side: Side, quantity: str, fee: str = "0") -> None:
        self.trades += 1
        terms = (
            side,
            Quantity(Decimal(quantity)),
            Price(Decimal(80000)),
            Liquidity.TAKER,
            Quantity(Decimal(fee)),
            "USDT",
        )
        self.rig.feed(VenueFill(name, "paper", BTC, f"t{self.trades}", *terms, None, None))

    def on_side(self, side: Side, position_side: PositionSide, quantity: str) -> list[FillBooked]:
        """Let hands trade one side of an account in long/short mode."""
        self.trades += 1
        terms = (
            side,
            Quantity(Decimal(quantity)),
            Price(Decimal(80000)),
            Liquidity.TAKER,
            Quantity(Decimal(0)),
            "USDT",
        )
        fill = VenueFill("", "paper", BTC, f"t{self.trades}", *terms, None, None, position_side=position_side)
        self.rig.feed(fill)
        return self.rig.now(FillBooked)

    def by_hand(self, side: Side, quantity: str, fee: str = "0") -> list[FillBooked]:
        self.fill("", side, quantity, fee)
        return self.rig.now(FillBooked)

    def snapshot(self, quantity: str) -> None:
        held = (VenuePosition(BTC, Quantity(Decimal(quantity)), Price(Decimal(80000)), MarginMode.CROSS),)
        modes = (AccountMode.FUTURES, PositionMode.NET)
        self.rig.feed(AccountSnapshot("paper", Money(Decimal(10000)), held, (), *modes))

    def close(self) -> list[OrderIntended]:
        """Let the operator close what is there; return the orders without a plan."""
        self.rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR, "c1"))
        return [order for order in self.rig.now(OrderIntended) if not order.plan_id]

    @property
    def not_ours(self) -> dict[str, Decimal]:
        held: dict[str, Decimal] = self.rig.state("execution").by_hand
        return {name: quantity for name, quantity in held.items() if quantity}


def test_a_part_closed_by_hand_is_booked_and_the_stop_covers_the_rest() -> None:
    hands = Hands()
    (booked,) = hands.by_hand(Side.SELL, "4", fee="1.6")
    assert (booked.last_quantity, booked.fee, booked.exit_reason) == (4, Decimal("1.6"), ExitReason.RECONCILED)
    assert [amend.quantity for amend in hands.rig.now(AmendIntended)] == [6]
    assert hands.not_ours == {}


def test_a_trade_closed_by_hand_leaves_no_stop() -> None:
    hands = Hands()
    hands.by_hand(Side.SELL, "10")
    assert [cancel.client_order_id for cancel in hands.rig.now(CancelIntended)] == [hands.newest(OrderPurpose.STOP)]


def test_more_closed_by_hand_than_there_was_closes_ours_and_its_share_of_the_fee() -> None:
    hands = Hands()
    (booked,) = hands.by_hand(Side.SELL, "16", fee="3.2")
    assert (booked.last_quantity, booked.fee) == (10, Decimal(2))  # 3.2 for 16 contracts: 0.2 each
    assert hands.not_ours == {BTC: Decimal(-6)}


def test_what_is_added_by_hand_is_not_ours_and_its_way_back_closes_nothing_of_ours() -> None:
    hands = Hands()
    assert hands.by_hand(Side.BUY, "5") == []
    assert hands.not_ours == {BTC: Decimal(5)}
    assert hands.by_hand(Side.SELL, "3") == []
    (booked,) = hands.by_hand(Side.SELL, "6")
    assert (booked.last_quantity, hands.not_ours) == (4, {})


def test_a_fill_told_twice_is_counted_once() -> None:
    hands = Hands()
    hands.by_hand(Side.BUY, "5")
    hands.trades -= 1
    hands.by_hand(Side.BUY, "5")
    assert hands.not_ours == {BTC: Decimal(5)}


def test_an_order_long_forgotten_is_not_ours_and_what_the_venue_says_of_it_stops_nothing() -> None:
    hands = Hands()
    hands.rig.feed(VenueAccepted("t0forgotten", "paper", BTC, "v"))
    hands.rig.feed(VenueCanceled("t0forgotten", "paper", BTC, "CANCELED"))
    assert hands.rig.step == []
    hands.fill("t0forgotten", Side.SELL, "2")
    assert [fill.last_quantity for fill in hands.rig.now(FillBooked)] == [2]


def test_an_order_made_larger_behind_our_back_is_booked_as_far_as_it_filled() -> None:
    hands = Hands()
    entry = hands.newest(OrderPurpose.ENTRY)
    hands.fill(entry, Side.BUY, "3")
    assert [fill.last_quantity for fill in hands.rig.now(FillBooked)] == [3]
    assert [amend.quantity for amend in hands.rig.now(AmendIntended)] == [13]


def test_a_snapshot_says_what_was_there_before_the_log_began() -> None:
    hands = Hands()
    hands.snapshot("13")
    assert hands.not_ours == {BTC: Decimal(3)}
    hands.snapshot("10")
    assert hands.not_ours == {}


def test_the_operator_closes_what_no_plan_opened_once_and_nothing_is_booked() -> None:
    hands = Hands(flat=True)
    hands.snapshot("-3")
    (order,) = hands.close()
    assert (order.side, order.quantity, order.type) == (Side.BUY, 3, OrderType.MARKET)
    assert (order.reduce_only, order.margin_mode, order.purpose) == (True, MarginMode.CROSS, OrderPurpose.EXIT)
    assert hands.close() == [], "one is under way"
    name = order.client_order_id
    hands.rig.feed(SubmitAttempted(name, "paper", BTC))
    hands.rig.feed(VenueAccepted(name, "paper", BTC, "v"))
    hands.fill(name, Side.BUY, "1")
    hands.fill(name, Side.BUY, "2")
    kinds = (OrderSubmitted, OrderAccepted, OrderPartiallyFilled, OrderFilled)
    assert [len(hands.rig.of(kind)) for kind in kinds] == [1, 1, 1, 1]
    assert (hands.not_ours, hands.rig.of(FillBooked), hands.close()) == ({}, [], [])


def test_beside_a_trade_of_ours_each_is_closed_by_its_own_order() -> None:
    hands = Hands()
    hands.snapshot("13")
    (order,) = hands.close()
    assert (order.side, order.quantity) == (Side.SELL, 3)
    hands.open(OrderPurpose.EXIT)  # the newest exit: the one without a plan
    hands.fill(order.client_order_id, Side.SELL, "3")
    assert (hands.not_ours, hands.rig.of(FillBooked)[1:]) == ({}, []), "ours is closed by the other exit alone"
    ours = [each for each in hands.rig.of(OrderIntended) if each.purpose is OrderPurpose.EXIT and each.plan_id]
    assert [each.quantity for each in ours] == [10]


def test_what_the_venue_refuses_or_never_got_is_not_tried_again_but_may_be_asked_for_again() -> None:
    hands = Hands(flat=True)
    hands.rig.feed(GatewayClaimed("paper", "claim", "g", "v", "live 1"))
    hands.snapshot("3")
    (first,) = hands.close()
    hands.rig.feed(SubmitAttempted(first.client_order_id, "paper", BTC))
    hands.rig.feed(VenueRejected(first.client_order_id, "paper", BTC, "51169", "no position"))
    assert [type(event) for event in hands.rig.step] == [OrderRejected]
    (second,) = hands.close()
    hands.rig.feed(NotSent(second.client_order_id, "paper", BTC, NotSentReason.ABSENT, "claim"))
    assert [type(event) for event in hands.rig.step] == [OrderExpired]
    assert len(hands.close()) == 1


def test_closing_never_raises_what_the_venue_holds_and_paper_has_nothing_by_hand() -> None:
    hands = Hands()
    hands.snapshot("6")  # 4 of our 10 went unseen: buying them back would raise the position
    assert hands.not_ours == {BTC: Decimal(-4)}
    assert hands.close() == []
    paper = Hands(flat=True, venue="PAPER")
    paper.snapshot("3")
    assert paper.close() == []


def test_in_long_short_mode_a_hand_on_the_other_side_leaves_our_trade_alone() -> None:
    hands = Hands()
    assert hands.on_side(Side.SELL, PositionSide.SHORT, "4") == []  # opens a short beside our long
    assert hands.rig.now(AmendIntended) == []
    assert hands.on_side(Side.BUY, PositionSide.SHORT, "4") == []
    (booked,) = hands.on_side(Side.SELL, PositionSide.LONG, "4")
    assert (booked.last_quantity, hands.not_ours) == (4, {})


def test_a_kill_and_a_halt_close_what_is_ours_alone() -> None:
    hands = Hands(flat=True)
    hands.snapshot("3")
    for reason in (ExitReason.KILL, ExitReason.HALT_FLATTEN):
        hands.rig.feed(ReductionApproved("paper", BTC, reason, "c2"))
        assert hands.rig.step == []
