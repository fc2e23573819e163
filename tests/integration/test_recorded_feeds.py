"""Every recorded market file imports whole: as many rows as the manifest counts, no line set aside, twice the same."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.events.market import (
    BookTop,
    Channel,
    FeedState,
    FeedStatus,
    InstrumentKind,
    LineQuarantined,
    MarkPrice,
    Quote,
    VenueBar,
)
from services.feeds import (
    Tick,
    default_feed,
    load_instruments,
    open_feed,
    shared_data_dir,
    shipped_instruments,
)
from services.feeds.lines import read_text

pytestmark = pytest.mark.recorded

DIGEST_TICKS = 10_000
"""Ticks of a file that the comparison of two imports covers."""

FUNDING_MISSING = {"BTC-USDT-SWAP_funding": 21, "ETH-USDT-SWAP_funding": 21}
MARKET = re.compile(r"(okx/(candles|mark|funding|raw_ws)|binance/(candles|mark|funding|raw_ws|tardis))/")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = shared_data_dir()
    if not (folder / "MANIFEST.md").is_file():
        said = f"NO RECORDED DATA: {folder} is missing (set TAPELINE_SHARED_DATA); recorded feeds are not tested"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(said)
        warnings.warn(said, stacklevel=1)
        pytest.skip(said)
    return folder


def manifest() -> list[tuple[str, int]]:
    """Return path and row count of every market file the manifest lists; none where there is no manifest."""
    path = shared_data_dir() / "MANIFEST.md"
    if not path.is_file():
        return [("okx/candles/none.csv.gz", 0)]
    rows = [line.split("|") for line in path.read_text().splitlines() if line.startswith("| ")]
    return [(row[1].strip(), int(row[3])) for row in rows if MARKET.match(row[1].strip())]


def digest(ticks: Iterable[Tick]) -> str:
    total = sha256()
    for envelope, event in islice(ticks, DIGEST_TICKS):
        total.update(encode(envelope, event))
    return total.hexdigest()


@pytest.mark.parametrize(("name", "rows"), manifest(), ids=lambda value: Path(str(value)).name)
def test_a_recorded_file_imports_whole_and_twice_the_same(data: Path, name: str, rows: int) -> None:
    feed = open_feed([data / name])
    first = digest(feed)
    late = Counter(type(event).__name__ for _, event in feed)
    summary = feed.summary()
    assert digest(open_feed([data / name])) == first
    assert summary.lines == rows
    assert summary.quarantined == late[LineQuarantined.__name__] == 0
    (count,) = summary.files
    assert count.ticks >= count.lines - sum(count.unused.values())
    for prefix, missing in FUNDING_MISSING.items():
        if Path(name).name.startswith(prefix):
            assert list(summary.funding_missing.values()) == [missing]


def test_the_default_feed_is_thirty_days_of_two_swaps_in_feed_order(data: Path) -> None:
    paths = default_feed(data)
    assert paths is not None
    feed = open_feed(paths)
    kinds: Counter[str] = Counter()
    last = (0, 0, "")
    for envelope, event in feed:
        kinds[type(event).__name__] += 1
        rank = {VenueBar: 1, MarkPrice: 2}.get(type(event), 3) if kinds["VenueBar"] else 0
        place = (envelope.ts_event, rank, event.instrument_id if rank else "")  # type: ignore[attr-defined]
        assert place >= last
        last = place
    summary = feed.summary()
    assert kinds["VenueBar"] == 2 * 43199
    assert summary.backfill_bars == 2 * 4320 - 1  # ETH's first bar opens a minute later
    assert summary.funding_missing == {"BTC-USDT-SWAP": 0, "ETH-USDT-SWAP": 0}
    assert summary.mark_cadence_us == {"BTC-USDT-SWAP": 3_600_000_000, "ETH-USDT-SWAP": 3_600_000_000}


def test_every_recorded_okx_book_message_matches_its_checksum(data: Path) -> None:
    (path,) = (data / "okx/raw_ws").glob("*.jsonl.gz")
    feed = open_feed([path])
    events = [event for _, event in feed]
    assert not [event for event in events if isinstance(event, FeedStatus) and event.state is not FeedState.OPEN]
    tops = sum(isinstance(event, BookTop) for event in events)
    assert tops + feed.summary().files[0].unused["channel books: nothing new"] == 191


def test_a_rebuilt_binance_book_agrees_with_the_recorded_best_bid_and_ask(data: Path) -> None:
    path = data / "binance/raw_ws/usdm-btcusdt_20230404.dat.gz"
    quotes: dict[int, tuple[str, str]] = {}
    for line in read_text(path):
        message = json.loads(line.split(" ", 1)[1])
        if message.get("stream", "").endswith("@bookTicker"):
            quotes[message["data"]["u"]] = (message["data"]["b"], message["data"]["a"])
    compared = 0
    for _, event in open_feed([path]):
        if isinstance(event, BookTop) and event.seq_id in quotes:
            compared += 1
            assert (str(event.bids[0].price), str(event.asks[0].price)) == quotes[event.seq_id]
    assert compared > 100


def test_the_book_of_one_day_goes_on_in_the_next_file(data: Path) -> None:
    paths = sorted((data / "binance/raw_ws").glob("cm-btcusd_perp_*.gz"))
    feed = open_feed(paths)
    last_book = 0
    for envelope, event in feed:
        assert not (isinstance(event, FeedStatus) and event.channel is Channel.BOOK and event.state is FeedState.LOST)
        if isinstance(event, BookTop):
            last_book = envelope.ts_event
    assert last_book > 1_723_161_600_000_000  # 2024-08-09 00:00:00 UTC
    assert [count.unused.get("book change before a snapshot", 0) for count in feed.summary().files] == [25, 0]


def test_recorded_venue_replies_load_and_agree_with_the_shipped_contract_values(data: Path) -> None:
    found = load_instruments(data / "okx/raw_rest/okx_instruments_spot_swap_20220513.jsonl.gz")
    assert len(found) == 513 + 166
    shipped = {name: row for name, row in shipped_instruments().items() if row.kind is InstrumentKind.SWAP}
    common = found.keys() & shipped.keys()
    assert len(common) >= 15
    assert {name: found[name].contract_value for name in common} == {
        name: shipped[name].contract_value for name in common
    }


def test_the_venues_reply_serves_its_own_recording(data: Path) -> None:
    (path,) = (data / "okx/raw_ws").glob("*.jsonl.gz")
    reply = data / "okx/raw_rest/okx_instruments_spot_swap_20220513.jsonl.gz"
    feed = open_feed([path], instruments_file=reply)
    assert sum(isinstance(event, Quote) for _, event in feed) == 26
    assert feed.summary().instruments == ("BTC-USDT", "UNI-USD-SWAP")
