"""A source whose quotes end before the rest of the feed says so: what comes after is traded on without them."""

from __future__ import annotations

from pathlib import Path

from schemas.events.market import Channel, FeedState, FeedStatus, Quote, VenueBar
from schemas.values import Micros
from services.feeds import open_feed

BTC = "BTC-USDT-SWAP"
T = 1_742_400_000_000_000
MINUTE = 60_000_000
QUOTES = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount"


def quotes(folder: Path, *seconds: int, name: str = "quotes.csv") -> Path:
    path = folder / name
    stamps = [T + second * 1_000_000 for second in seconds]
    rows = [f"okex-swap,{BTC},{ts},{ts},84,80000.1,80000.0,67" for ts in stamps]
    path.write_text("\n".join([QUOTES, *rows]) + "\n")
    return path


def bars(folder: Path, count: int) -> Path:
    path = folder / f"{BTC}_1m_x.csv"
    rows = [f"{(T + index * MINUTE) // 1000},80000,80000,80000,80000,1" for index in range(count)]
    path.write_text("\n".join(["ts_ms,open,high,low,close,volume_base", *rows]) + "\n")
    return path


def told(*paths: Path) -> list[tuple[type, int, FeedState | None]]:
    """Return kind, second and channel state of every quote, bar and word on the quotes, in feed order."""
    found = []
    for envelope, event in open_feed(list(paths)):
        about_quotes = isinstance(event, FeedStatus) and event.channel is Channel.QUOTES
        if about_quotes or isinstance(event, Quote | VenueBar):
            state = event.state if isinstance(event, FeedStatus) else None
            found.append((type(event), (envelope.ts_event - T) // 1_000_000, state))
    return found


def test_quotes_that_stop_while_bars_go_on_are_said_to_have_ended(tmp_path: Path) -> None:
    assert told(quotes(tmp_path, 10, 70), bars(tmp_path, 3)) == [
        (FeedStatus, 10, FeedState.OPEN),
        (Quote, 10, None),
        (VenueBar, 60, None),
        (Quote, 70, None),
        (FeedStatus, 70, FeedState.ENDED),
        (VenueBar, 120, None),
        (VenueBar, 180, None),
    ]


def test_the_end_of_the_feed_itself_is_not_the_end_of_a_channel(tmp_path: Path) -> None:
    states = [state for _, _, state in told(quotes(tmp_path, 10, 190), bars(tmp_path, 3)) if state]
    assert states == [FeedState.OPEN]


def test_it_is_a_tick_like_any_other(tmp_path: Path) -> None:
    paths = [quotes(tmp_path, 10), bars(tmp_path, 2)]
    first, again = list(open_feed(paths)), list(open_feed(paths))
    assert first == again
    (envelope, event) = next(t for t in first if isinstance(t[1], FeedStatus) and t[1].state is FeedState.ENDED)
    assert isinstance(event, FeedStatus)
    assert (event.instrument_id, event.source, envelope.ts_event) == (BTC, "quotes.csv", Micros(T + 10_000_000))
    feed = open_feed(paths)
    counted = len(list(feed))
    assert sum(feed.summary().ticks.values()) == counted
