"""The made-up tape is the same everywhere, well formed, and says what it is."""

from __future__ import annotations

from hashlib import sha256

from schemas.codec import encode
from schemas.events.market import FeedOrigin, FeedStatus, FundingSettled, MarkPrice, VenueBar
from services.feeds import synthetic_feed
from services.feeds.synthetic import Generator


def digest(days: int) -> str:
    total = sha256()
    for envelope, event in synthetic_feed(days=days):
        total.update(encode(envelope, event))
    return total.hexdigest()


def test_the_generator_is_the_published_one() -> None:
    state = (7 * 2862933555777941757 + 3037000493) % 2**64
    expected = []
    for _ in range(3):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        expected.append((state // 2**33) * 1000 // 2**31)
    generator = Generator(7)
    assert [generator.below(1000) for _ in range(3)] == expected


def test_the_tape_is_the_same_twice() -> None:
    assert digest(1) == digest(1)


def test_the_tape_is_the_same_on_every_machine() -> None:
    closes = [event.close_price for _, event in synthetic_feed(days=10) if isinstance(event, VenueBar)]
    assert [str(price) for price in closes[-2:]] == ["93201.2", "3286.58"]


def test_the_tape_is_well_formed_and_labelled() -> None:
    feed = synthetic_feed(days=4)
    events = [event for _, event in feed]
    bars = [event for event in events if isinstance(event, VenueBar)]
    assert len(bars) == 4 * 1440 * 2
    assert all(0 < bar.low_price <= min(bar.open_price, bar.close_price) for bar in bars)
    assert all(bar.high_price >= max(bar.open_price, bar.close_price) for bar in bars)
    assert sum(bar.backfill for bar in bars) == 3 * 1440 * 2
    assert sum(isinstance(event, MarkPrice) for event in events) == 4 * 24 * 2
    assert sum(isinstance(event, FundingSettled) for event in events) == 4 * 3 * 2
    assert {event.origin for event in events if isinstance(event, FeedStatus)} == {FeedOrigin.SYNTHETIC}
    assert feed.summary().origin is FeedOrigin.SYNTHETIC


def test_the_market_moves_both_ways() -> None:
    closes = [event.close_price for _, event in synthetic_feed(days=10) if isinstance(event, VenueBar)][::2]
    daily = [later / earlier - 1 for earlier, later in zip(closes[::1440], closes[1440::1440], strict=False)]
    assert min(daily) < 0 < max(daily)
    assert max(abs(move) for move in daily) * 100 > 1
