"""Whatever frames of a book get lost: what the gateway shows is the venue's book, or the book is said to be lost."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.market import BookTop, Channel, FeedState
from services.gateways.okx.market.translate import BookBroken
from tests.fakes.okx.clock import Clock
from tests.fakes.okx.instruments import default_instruments
from tests.fakes.okx.market import Market
from tests.fakes.okx.push import Push
from tests.okx_market import BTC, Desk, T

Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["update", "update", "update", "lose", "double", "keep alive", "reset", "snapshot"]),
        st.integers(-8, 8),
        st.integers(0, 5),
    ),
    max_size=40,
)


class Venue:
    """A market of the fake, whose book frames are delivered, lost or doubled."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.market = Market(default_instruments()[BTC], Clock.frozen(T), self._hear, Decimal(50_000))
        self.snapshot()

    def _hear(self, push: Push) -> None:
        if push.channel == "books":
            self._push(push.action, push.data)

    def _push(self, action: str, data: object) -> None:
        self.frames.append(json.dumps({"arg": {"channel": "books", "instId": BTC}, "action": action, "data": data}))

    def snapshot(self) -> None:
        self._push("snapshot", [self.market.snapshot()])

    def act(self, kind: str, level: int, size: int) -> list[str]:
        """Let one thing happen; return the frames that arrive."""
        self.frames.clear()
        price = str(50_000 + Decimal(level) / 10)  # among the best five
        side = {"bids" if level < 0 else "asks": [(price, str(size))]} if level else {}
        if kind == "keep alive":
            self.market.keep_alive()
        elif kind == "reset":
            self.market.reset_sequence()
        elif kind == "snapshot":
            self.snapshot()
        else:
            self.market.update_book(**side)
        return {"lose": [], "double": self.frames * 2}.get(kind, self.frames)

    def top(self) -> tuple[list[Decimal], list[Decimal]]:
        """Return the true best five prices a side."""
        return sorted(self.market.bids, reverse=True)[:5], sorted(self.market.asks)[:5]


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_the_book_shown_is_the_venues_or_it_is_lost(steps: list[Step]) -> None:
    venue, desk = Venue(), Desk("book,bars")
    desk.board.opened(desk.subscription("books"), 1, 1)
    shown: BookTop | None = None
    unseen = False
    for frame in venue.frames:
        (shown,) = (event for event in desk.ticks(frame) if isinstance(event, BookTop))
    for kind, level, size in steps:
        arrived = venue.act(kind, level, size)
        unseen = (unseen or kind == "lose") and kind != "snapshot"
        for frame in arrived:
            ticks, actions = desk.read(frame)
            lost = desk.board.state((BTC, Channel.BOOK)) is FeedState.LOST
            tops = [parsed.event for parsed in ticks if isinstance(parsed.event, BookTop)]
            assert not (lost and tops), "a lost book shows nothing"
            assert not any(isinstance(action, BookBroken) for action in actions) or lost
            shown = tops[-1] if tops else shown
        lost = desk.board.state((BTC, Channel.BOOK)) is FeedState.LOST
        assert not (unseen and arrived) or lost, "the first frame after a lost one must show the gap"
        if not lost and not unseen and all(venue.top()):
            assert shown is not None
            assert ([level.price for level in shown.bids], [level.price for level in shown.asks]) == venue.top()
