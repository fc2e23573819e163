"""Orders, changes and cancels under way to the paper venue, on tick feeds; bars know no latency."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import ExitReason, TriggerPriceType
from schemas.events.orders import (
    CancelIntended,
    EntryEnded,
    FillBooked,
    OrderCanceled,
    OrderExpired,
    VenueAccepted,
    VenueAmended,
    VenueFill,
    VenueRejected,
)
from schemas.events.risk import ReductionApproved
from streams.core.venue.chance import latency_us
from streams.core.venue.state import Terms
from tests.rig import Rig, approved, limit

BTC = "BTC-USDT-SWAP"
DELAY = 50_000


def slow(**settings: object) -> Rig:
    """A tick feed and a venue 50 ms away."""
    rig = Rig(latency_us=DELAY, **settings)
    rig.quote("79999", "80001")
    return rig


def names(rig: Rig) -> list[str]:
    return [type(event).__name__ for event in rig.step if type(event).__name__.startswith(("Venue", "Submit"))]


def test_an_order_is_attempted_at_once_and_accepted_when_it_arrives() -> None:
    rig = slow()
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    assert names(rig) == ["SubmitAttempted"]
    rig.mark("80000", ts=rig.ts + DELAY - 1)
    assert names(rig) == []
    rig.mark("80000", ts=rig.ts + 1)
    assert names(rig) == ["VenueAccepted"]


def test_the_tick_of_its_arrival_is_the_first_it_meets() -> None:
    rig = slow()
    rig.feed(approved())
    rig.quote("79990", "79992", after_us=DELAY - 1)
    assert rig.of(VenueFill) == []
    rig.quote("80010", "80012", after_us=1)
    assert names(rig) == ["VenueAccepted", "VenueFill", "SubmitAttempted"]  # the last: its stop leaves
    assert rig.of(VenueFill)[0].last_price == Decimal(80012)


def test_protection_travels_too_and_the_market_does_not_wait() -> None:
    """The print that would have touched the stop comes before it is there: the next one fires it."""
    rig = Rig(latency_us=DELAY)
    rig.trade("80000")
    rig.feed(approved(stop="79500", stop_on=TriggerPriceType.LAST))
    rig.trade("80000", after_us=DELAY)
    rig.trade("79400", after_us=DELAY - 1)
    rig.trade("79450", after_us=1)
    assert (rig.held(), names(rig)) == (10, ["VenueAccepted"])
    rig.trade("79440", after_us=DELAY)
    assert (rig.held(), rig.of(VenueFill)[-1].last_price) == (0, Decimal("79400.2"))  # 79440 less 5 bps, to the tick


def test_an_order_that_would_arrive_after_its_validity_expires_under_way() -> None:
    rig = slow()
    rig.feed(approved(entry=limit("79000"), stop="78000", valid_until=rig.ts + DELAY))
    rig.mark("80000", ts=rig.ts + DELAY)
    assert names(rig) == ["VenueCanceled"]
    assert (len(rig.of(OrderExpired)), rig.of(VenueAccepted)) == (1, [])


def test_what_is_wrong_with_an_order_is_found_when_it_arrives() -> None:
    rig = slow()
    rig.feed(approved(quantity="12000.01"))
    assert rig.of(VenueRejected) == []
    rig.mark("80000", ts=rig.ts + DELAY)
    assert [event.code for event in rig.now(VenueRejected)] == ["QUANTITY_EXCEEDS_MAXIMUM"]
    assert rig.state("venue").books[BTC].orders == {}


def resting() -> Rig:
    """A limit entry at the venue, and its cancel under way."""
    rig = slow()
    rig.feed(approved(entry=limit("79800"), stop="79000", targets=[("81000", "1")]))
    rig.mark("80000", ts=rig.ts + DELAY)
    rig.quote("79999", "80001")
    rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    assert (len(rig.now(CancelIntended)), names(rig)) == (1, [])
    return rig


def test_a_cancel_takes_effect_when_it_arrives() -> None:
    rig = resting()
    rig.mark("80000", ts=rig.ts + DELAY - 1)
    assert names(rig) == []
    rig.trade("79700", after_us=1)
    assert names(rig) == ["VenueCanceled"], "a print at the moment of arrival comes too late to fill"
    assert [event.reason for event in rig.of(OrderCanceled)] == ["CANCELED"]
    assert rig.held() == 0


def test_a_late_cancel_loses_the_race_against_a_fill() -> None:
    """The entry fills while its cancel travels; the cancel finds nothing, and what filled is protected and closed."""
    rig = resting()
    rig.trade("79700", after_us=DELAY - 1)
    assert rig.held() == 10
    (ended,) = rig.of(EntryEnded)
    assert ended.filled_quantity == 10
    rig.mark("80000", ts=rig.ts + 1)
    (refused,) = rig.now(VenueRejected)
    assert (refused.code, refused.operation) == ("ORDER_NOT_FOUND", "CANCEL")
    rig.mark("80000", ts=rig.ts + DELAY)
    rig.quote("79700", "79702")
    assert (rig.held(), rig.of(FillBooked)[-1].exit_reason) == (0, ExitReason.OPERATOR)
    rig.mark("80000", ts=rig.ts + DELAY)
    assert rig.state("venue").books[BTC].orders == {}
    assert rig.state("venue").books[BTC].requests == []
    assert rig.state("execution").active == {}


def test_an_amended_stop_counts_when_the_amendment_arrives() -> None:
    rig = Rig(latency_us=DELAY, slippage_bps=0)
    rig.feed(approved(stop="79000", stop_on=TriggerPriceType.LAST, trail_distance_pct="1", trail_from_r="1"))
    rig.trade("80000", after_us=DELAY)
    rig.trade("80000", after_us=DELAY)
    rig.trade("81000", after_us=DELAY)  # the stop shall follow to 80190
    before = rig.ts
    rig.trade("80100", after_us=DELAY - 1)
    assert (rig.of(VenueAmended)[-1:], rig.held()) == ([], 10)
    rig.mark("80100", ts=before + DELAY)
    assert [event.trigger_price for event in rig.now(VenueAmended)] == [Decimal("80190.0")]
    rig.trade("80100")
    rig.trade("80090", after_us=DELAY)
    assert (rig.held(), rig.of(VenueFill)[-1].last_price) == (0, 80090)


def test_a_cancel_does_not_overtake_the_order_it_is_about() -> None:
    """The jitter would let it: its order arrives first, and is then taken off."""
    terms = Terms(latency_us=0, latency_jitter_us=1_000_000, seed=7)
    rig = Rig(latency_us=0, latency_jitter_us=1_000_000, seed=7)
    rig.quote("79999", "80001")
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    (name,) = rig.state("venue").books[BTC].orders
    assert latency_us(terms, name, 1) < latency_us(terms, name, 0), "else this shows nothing: take another seed"
    rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    rig.mark("80000", ts=rig.ts + latency_us(terms, name, 0) - 1)
    assert names(rig) == []
    rig.mark("80000", ts=rig.ts + 1)
    assert names(rig) == ["VenueAccepted", "VenueCanceled"]


def test_a_feed_of_bars_knows_no_latency() -> None:
    rig = Rig(latency_us=DELAY)
    rig.bar("80000/80100/79900/80000")
    rig.feed(approved(stop="79000"))
    assert names(rig) == ["SubmitAttempted", "VenueAccepted"]
    rig.bar("80000/80100/78900/80000")
    assert rig.prices() == ["ENTRY 80040 TAKER", "STOP 78960.5 TAKER"]


def test_an_order_under_way_for_longer_than_a_bar_does_not_meet_it() -> None:
    rig = Rig(latency_us=90_000_000)
    rig.trade("80000")
    rig.feed(approved())
    opens = rig.ts + 1
    rig.bar("80000/80100/79900/80000", ts_open=opens)
    assert names(rig) == []
    rig.bar("80000/80100/79900/80000")
    assert names(rig) == ["VenueAccepted"], "it came in the middle of this bar"
    rig.bar("80000/80100/79900/80000")
    assert rig.held() == 10


def test_without_latency_everything_is_answered_in_its_own_step() -> None:
    rig = Rig()
    rig.quote("79999", "80001")
    rig.feed(approved(entry=limit("79000"), stop="78000"))
    assert names(rig) == ["SubmitAttempted", "VenueAccepted"]
    rig.feed(ReductionApproved("paper", BTC, ExitReason.OPERATOR))
    assert names(rig) == ["VenueCanceled"]
