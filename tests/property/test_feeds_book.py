"""A rebuilt book equals the plain one, and merged files never go back in time, whatever they hold."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events.market import VenueBar
from services.feeds import open_feed
from services.feeds.book import DEPTH, Book
from services.feeds.instruments.okx import already_base

LEVEL = st.tuples(st.integers(1, 30).map(str), st.integers(0, 3).map(str))
CHANGES = st.lists(st.tuples(st.lists(LEVEL, max_size=6), st.lists(LEVEL, max_size=6)), max_size=20)
TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True).map(sorted)
T = 1_742_400_000_000


@given(CHANGES)
@settings(max_examples=200, deadline=None)
def test_a_book_equals_a_plain_dictionary_of_its_levels(
    changes: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]],
) -> None:
    book = Book("X", already_base)
    bids: dict[Decimal, str] = {}
    asks: dict[Decimal, str] = {}
    for bid_rows, ask_rows in changes:
        book.apply(bid_rows, ask_rows)
        for side, rows in ((bids, bid_rows), (asks, ask_rows)):
            for price, size in rows:
                side[Decimal(price)] = size
    best_bids = sorted((price for price, size in bids.items() if size != "0"), reverse=True)[:DEPTH]
    best_asks = sorted(price for price, size in asks.items() if size != "0")[:DEPTH]
    assert [level[0] for level in book.bids.best(DEPTH)] == [str(price) for price in best_bids]
    assert [level[0] for level in book.asks.best(DEPTH)] == [str(price) for price in best_asks]
    assert [level[1] for level in book.asks.best(DEPTH)] == [asks[price] for price in best_asks]


@given(TIMES, TIMES)
@settings(max_examples=50, deadline=None)
def test_merged_files_never_go_back_and_lose_nothing(first: list[int], second: list[int]) -> None:
    with TemporaryDirectory() as folder:
        paths = []
        for name, minutes in (("BTC", first), ("ETH", second)):
            path = Path(folder) / f"{name}-USDT-SWAP_1m_x.csv"
            rows = [f"{T + minute * 60_000},1,2,1,2,{minute}" for minute in minutes]
            path.write_text("\n".join(["ts_ms,open,high,low,close,volume_base", *rows]))
            paths.append(path)
        ticks = list(open_feed(paths))
    bars = [(envelope.ts_event, event.instrument_id) for envelope, event in ticks if isinstance(event, VenueBar)]
    assert bars == sorted(bars)
    assert len(bars) == len(first) + len(second)
    assert len({envelope.event_id for envelope, _ in ticks}) == len(ticks)
