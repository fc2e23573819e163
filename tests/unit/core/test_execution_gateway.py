"""What a gateway's word is worth to the trader: facts from anybody, NotSent from the owner of the reports only."""

from __future__ import annotations

from decimal import Decimal

import pytest

from schemas.events.common import ExitReason, Liquidity, NotSentReason, OrderPurpose, Side
from schemas.events.gateway import GatewayClaimed, SubmitInDoubt
from schemas.events.orders import (
    FillBooked,
    NotSent,
    OrderAccepted,
    OrderExpired,
    OrderIntended,
    OrderOperation,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    ProtectionMissing,
    SubmitAttempted,
    VenueAccepted,
    VenueFill,
    VenueRejected,
)
from schemas.values import Price, Quantity
from streams.core.execution import STAGE
from streams.core.execution.settle import NOT_SENT_MAX
from tests.rig import Rig, approved, limit

BTC = "BTC-USDT-SWAP"
OWNER, FORMER = "owner", "former"


class Desk:
    """Execution alone, a claim that OWNER took from FORMER, and an entry that was attempted."""

    def __init__(self) -> None:
        self.rig = Rig(stages=(STAGE,))
        for claim_id in (FORMER, OWNER):
            self.rig.feed(GatewayClaimed("paper", claim_id, "g", "1", "demo 1"))
        self.rig.feed(approved(entry=limit("79990")))
        self.entry = self.newest(OrderPurpose.ENTRY)
        self.attempt(self.entry)

    def newest(self, purpose: OrderPurpose) -> str:
        return [order.client_order_id for order in self.rig.of(OrderIntended) if order.purpose is purpose][-1]

    def attempt(self, name: str) -> None:
        self.rig.feed(SubmitAttempted(name, "paper", BTC, OWNER))

    def not_sent(self, name: str, reason: NotSentReason, claim_id: str = OWNER) -> None:
        self.rig.feed(NotSent(name, "paper", BTC, reason, claim_id))

    def accept(self, name: str) -> None:
        self.rig.feed(VenueAccepted(name, "paper", BTC, "9"))

    def fill(self, name: str, *, side: Side = Side.BUY, trade_id: str = "1", **forced: bool) -> None:
        price, fee = Price(Decimal(79990)), Quantity(Decimal(0))
        terms = (side, Quantity(Decimal(10)), price, Liquidity.MAKER, fee, "USDT", None, None)
        self.rig.feed(VenueFill(name, "paper", BTC, trade_id, *terms, **forced))


def test_not_sent_by_the_owner_ends_the_entry() -> None:
    desk = Desk()
    desk.not_sent(desk.entry, NotSentReason.EXPIRED)
    assert len(desk.rig.of(OrderExpired)) == 1


@pytest.mark.parametrize("claim_id", [FORMER, "", "later"])
def test_not_sent_by_anybody_else_is_nothing(claim_id: str) -> None:
    desk = Desk()
    desk.not_sent(desk.entry, NotSentReason.ABSENT, claim_id)
    assert desk.rig.step == []
    desk.accept(desk.entry)
    assert len(desk.rig.of(OrderAccepted)) == 1


def test_an_order_in_doubt_stays_until_the_venue_answers() -> None:
    desk = Desk()
    desk.rig.feed(SubmitInDoubt(desk.entry, "paper", BTC, "no answer"))
    assert [event.reason for event in desk.rig.of(OrderUnknown)] == ["no answer"]
    desk.accept(desk.entry)
    assert len(desk.rig.of(OrderAccepted)) == 1


def test_what_is_said_twice_counts_once() -> None:
    desk = Desk()
    desk.attempt(desk.entry)
    desk.accept(desk.entry)
    desk.accept(desk.entry)
    desk.rig.feed(SubmitInDoubt(desk.entry, "paper", BTC, "late"))
    desk.not_sent(desk.entry, NotSentReason.ABSENT)
    assert (len(desk.rig.of(OrderSubmitted)), len(desk.rig.of(OrderAccepted))) == (1, 1)
    assert desk.rig.step == []


def test_a_refusal_said_twice_counts_once() -> None:
    desk = Desk()
    for _ in range(2):
        desk.rig.feed(VenueRejected(desk.entry, "paper", BTC, "51008", "", OrderOperation.SUBMIT))
    assert len(desk.rig.of(OrderRejected)) == 1


def test_an_order_held_to_be_not_sent_that_fills_after_all_is_booked_and_protected() -> None:
    desk = Desk()
    desk.not_sent(desk.entry, NotSentReason.ABSENT)
    desk.accept(desk.entry)
    desk.fill(desk.entry)
    assert len(desk.rig.of(FillBooked)) == 1
    (stop,) = (order for order in desk.rig.of(OrderIntended) if order.purpose is OrderPurpose.STOP)
    assert stop.quantity == Decimal(10)


@pytest.mark.parametrize("reason", [NotSentReason.LEVERAGE, NotSentReason.UNSENDABLE])
def test_an_order_that_cannot_be_sent_ends_like_a_refused_one(reason: NotSentReason) -> None:
    desk = Desk()
    desk.not_sent(desk.entry, reason)
    assert [event.reason for event in desk.rig.of(OrderRejected)] == [reason]


def test_a_stop_that_cannot_be_written_in_the_venues_terms_closes_the_trade_at_once() -> None:
    desk = Desk()
    desk.accept(desk.entry)
    desk.fill(desk.entry)
    desk.not_sent(desk.newest(OrderPurpose.STOP), NotSentReason.UNSENDABLE)
    assert len(desk.rig.of(ProtectionMissing)) == 1


def test_a_stop_that_was_not_sent_is_intended_anew_with_an_id_of_its_own() -> None:
    desk = Desk()
    desk.accept(desk.entry)
    desk.fill(desk.entry)
    first = desk.newest(OrderPurpose.STOP)
    desk.attempt(first)
    desk.not_sent(first, NotSentReason.ABSENT)
    assert desk.newest(OrderPurpose.STOP) != first
    assert desk.rig.of(ProtectionMissing) == []


def test_a_stop_that_cannot_be_brought_to_the_venue_closes_the_trade() -> None:
    desk = Desk()
    desk.accept(desk.entry)
    desk.fill(desk.entry)
    for _ in range(NOT_SENT_MAX):
        name = desk.newest(OrderPurpose.STOP)
        desk.attempt(name)
        desk.not_sent(name, NotSentReason.ABSENT)
    assert len(desk.rig.of(ProtectionMissing)) == 1
    stops = [order for order in desk.rig.of(OrderIntended) if order.purpose is OrderPurpose.STOP]
    (closing,) = (order for order in desk.rig.of(OrderIntended) if order.purpose is OrderPurpose.EXIT)
    assert (len(stops), closing.quantity, closing.exit_reason) == (NOT_SENT_MAX, 10, ExitReason.UNPROTECTED)


@pytest.mark.parametrize(("adl", "reason"), [(False, ExitReason.LIQUIDATION), (True, ExitReason.ADL)])
def test_a_position_closed_by_the_venue_says_by_what(adl: bool, reason: ExitReason) -> None:
    desk = Desk()
    desk.accept(desk.entry)
    desk.fill(desk.entry)
    desk.fill("", side=Side.SELL, trade_id="2", liquidation=True, adl=adl)
    assert desk.rig.of(FillBooked)[-1].exit_reason is reason
