"""Bar, mark and funding files become ticks in feed order; what is wrong with a file is said, counted and kept."""

from __future__ import annotations

import gzip
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.codec import decode, encode
from schemas.events.market import (
    Channel,
    FeedOrigin,
    FeedStatus,
    FundingSettled,
    InstrumentDefined,
    LineQuarantined,
    MarkPrice,
    VenueBar,
)
from services.feeds import Feed, FeedError, default_feed, open_feed

T = 1_742_400_000_000
"""2025-03-19 16:00:00 UTC in milliseconds."""
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
BARS = "ts_ms,open,high,low,close,volume_base"


def bar_rows(count: int, start: int = T, step: int = MINUTE_MS) -> list[str]:
    return [f"{start + index * step},100.0,101.5,99.5,100.5,{index}.25" for index in range(count)]


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    text = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    return path


def events(feed: Feed) -> list[object]:
    return [event for _, event in feed]


def test_a_bar_is_known_at_its_close_and_carries_its_open(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv.gz", BARS, f"{T},81607.9,81608.0,81537.6,81556.8,94.6529")
    ticks = list(open_feed([path], warmup=timedelta(0)))
    envelope, bar = ticks[-1]
    assert isinstance(bar, VenueBar)
    assert bar.ts_open == T * 1000
    assert envelope.ts_event == envelope.ts_ingest == (T + MINUTE_MS) * 1000
    assert (bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.base_volume) == tuple(
        map(Decimal, ("81607.9", "81608.0", "81537.6", "81556.8", "94.6529"))
    )
    assert (bar.timeframe, bar.backfill) == ("1m", False)
    assert (envelope.correlation_id, envelope.causation_id, envelope.stage) == (envelope.event_id, "", "import")


def test_an_instrument_and_its_channels_are_announced_before_its_first_tick(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(1))
    ticks = list(open_feed([path]))
    assert [type(event) for _, event in ticks] == [InstrumentDefined, FeedStatus, VenueBar]
    status = ticks[1][1]
    assert isinstance(status, FeedStatus)
    assert (status.channel, status.cadence_us, status.origin) == (Channel.BARS, 60_000_000, FeedOrigin.RECORDED)
    assert len({envelope.ts_event for envelope, _ in ticks}) == 1


def test_equal_times_go_short_bar_long_bar_mark_funding_then_by_instrument(tmp_path: Path) -> None:
    hour = "ts_ms,open,high,low,close"
    paths = [
        write(tmp_path, "BTC-USDT-SWAP_funding_8h_x.csv", "ts_ms,funding_rate", f"{T + HOUR_MS},4.14245554449e-05"),
        write(tmp_path, "BTC-USDT-SWAP_mark_1h_x.csv", hour, f"{T},1,2,1,2"),
        write(tmp_path, "BTC-USDT-SWAP_1h_x.csv", BARS, *bar_rows(1)),
        write(tmp_path, "ETH-USDT-SWAP_1m_x.csv", BARS, *bar_rows(1, T + HOUR_MS - MINUTE_MS)),
        write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(1, T + HOUR_MS - MINUTE_MS)),
    ]
    found = [
        (type(event).__name__, event.instrument_id, getattr(event, "timeframe", ""))
        for event in events(open_feed(paths))
        if isinstance(event, (VenueBar, MarkPrice, FundingSettled))
    ]
    btc, eth = "BTC-USDT-SWAP", "ETH-USDT-SWAP"
    assert found == [
        ("VenueBar", btc, "1m"),
        ("VenueBar", eth, "1m"),
        ("VenueBar", btc, "1h"),
        ("MarkPrice", btc, ""),
        ("FundingSettled", btc, ""),
    ]


def test_the_order_the_files_are_named_in_changes_nothing(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "ETH-USDT-SWAP_1m_x.csv", BARS, *bar_rows(3)),
        write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(3)),
    ]
    assert list(open_feed(paths)) == list(open_feed(paths[::-1]))


def test_the_same_record_has_the_same_id_in_another_file(tmp_path: Path) -> None:
    one = list(open_feed([write(tmp_path, "BTC-USDT-SWAP_1m_a.csv", BARS, *bar_rows(2))]))
    two = list(open_feed([write(tmp_path, "BTC-USDT-SWAP_1m_b.csv.gz", BARS, *bar_rows(2))]))
    assert [envelope.event_id for envelope, event in one if isinstance(event, VenueBar)] == [
        envelope.event_id for envelope, event in two if isinstance(event, VenueBar)
    ]


def test_bars_that_close_inside_the_warm_up_are_history(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(4))
    feed = open_feed([path], warmup=timedelta(minutes=2))
    assert [event.backfill for event in events(feed) if isinstance(event, VenueBar)] == [True, True, False, False]
    assert feed.summary().backfill_bars == 2


def test_marks_and_funding_are_clipped_to_the_bars(tmp_path: Path) -> None:
    marks = [f"{T + hour * HOUR_MS},1,2,1,2" for hour in range(-5, 5)]
    paths = [
        write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(90)),
        write(tmp_path, "BTC-USDT-SWAP_mark_1h_x.csv", "ts_ms,open,high,low,close", *marks),
    ]
    ticks = list(open_feed(paths))
    found = [envelope.ts_event // 1000 - T for envelope, event in ticks if isinstance(event, MarkPrice)]
    assert found == [0, HOUR_MS]


def test_a_settlement_knows_the_next_one_only_where_the_spacing_is_regular(tmp_path: Path) -> None:
    eight = 8 * HOUR_MS
    rows = [f"{ts},0.0001" for ts in (T, T + eight + 1, T + 4 * eight, T + 5 * eight)]
    feed = open_feed([write(tmp_path, "BTC-USDT-SWAP_funding_8h_x.csv", "ts_ms,funding_rate", *rows)])
    settled = [event for event in events(feed) if isinstance(event, FundingSettled)]
    assert [event.ts_next_funding for event in settled] == [
        (T + eight + 1) * 1000,
        None,
        (T + 5 * eight) * 1000,
        None,
    ]
    assert feed.summary().funding_missing == {"BTC-USDT-SWAP": 2}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{T},100,101", "3 fields instead of 6"),
        (f"{T},100,99,98,100,1", "are not a bar"),
        (f"{T},NaN,101,99,100,1", "open='NaN' is out of range"),
        (f"{T},100,Infinity,99,100,1", "high='Infinity' is out of range"),
        (f"{T},100,101,-1,100,1", "low='-1' is not above zero"),
        (f"{T},100,101,99,100,-1", "volume_base='-1' is negative"),
        (f"{T},100,101,99,1e-13,1", "close='1e-13' has more than 12 decimal places"),
        (f"{T},100,101,99,x,1", "close='x' is not a number"),
        ("soon,100,101,99,100,1", "ts_ms='soon' is not a whole number"),
        ("1742400000,100,101,99,100,1", "is not a time in epoch milliseconds"),
        (f"{T + 1},100,101,99,100,1", "is not the open of a 1m bar"),
        ("�", "1 fields instead of 6"),
    ],
)
def test_a_bad_line_is_kept_with_its_number_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    good = bar_rows(2)
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, good[0], row, good[1])
    feed = open_feed([path])
    found = [event for event in events(feed) if not isinstance(event, (InstrumentDefined, FeedStatus))]
    assert [type(event) for event in found] == [VenueBar, LineQuarantined, VenueBar]
    bad = found[1]
    assert isinstance(bad, LineQuarantined)
    assert (bad.source, bad.line_number, bad.raw) == (path.name, 3, row)
    assert reason in bad.reason
    assert feed.summary().quarantined == 1


def test_every_quarantined_line_fits_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT-SWAP_1m_x.csv"
    path.write_bytes(f"{BARS}\n{bar_rows(1)[0]}\n".encode() + b"\xff\xfe\x00 broken\n" + b"x" * 5000 + b"\n")
    ticks = list(open_feed([path]))
    bad = [event for _, event in ticks if isinstance(event, LineQuarantined)]
    assert [len(event.raw) for event in bad] == [10, 2000]
    assert all(decode(encode(envelope, event)) == (envelope, event) for envelope, event in ticks)


def test_too_many_bad_lines_end_the_import(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(5), *["bad"] * 51)
    with pytest.raises(FeedError, match=r"BTC-USDT-SWAP_1m_x.csv: line 57: more than 50 of 1000 lines"):
        list(open_feed([path]))


def test_a_file_without_one_good_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no line could be read"):
        list(open_feed([write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, "bad")]))


def test_a_truncated_gzip_gives_what_it_holds_and_then_says_where_it_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv.gz", BARS, *bar_rows(20_000))
    path.write_bytes(path.read_bytes()[:-3000])
    feed, found = open_feed([path]), []
    with pytest.raises(FeedError, match=r"BTC-USDT-SWAP_1m_x.csv.gz: damaged after line \d+.*truncated or corrupt"):
        found.extend(feed)
    bars = sum(isinstance(event, VenueBar) for _, event in found)
    assert 1000 < bars < 20_000
    assert feed.summary().ticks["VenueBar"] == bars


def test_an_unknown_file_is_refused_with_the_known_formats(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"notes.txt: not a file of market data"):
        open_feed([write(tmp_path, "notes.txt", "hello")])


def test_a_wrong_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="line 1: the name says bars, so the header must be ts_ms,open"):
        open_feed([write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", "time,o,h,l,c,v")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"BTC-USDT-SWAP_1m_x.csv: cannot be read: No such file"):
        open_feed([tmp_path / "BTC-USDT-SWAP_1m_x.csv"])


def test_an_unknown_instrument_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, "NOPE-USDT-SWAP_1m_x.csv", BARS, *bar_rows(1))
    with pytest.raises(FeedError, match=r"instrument NOPE-USDT-SWAP is not in .*--instruments FILE"):
        open_feed([path])


def test_binance_names_are_read_as_their_okx_counterparts(tmp_path: Path) -> None:
    perp = write(tmp_path, "BTCUSDT-perp_1m_x.csv", BARS, *bar_rows(1))
    spot = write(tmp_path, "ETHUSDT_1m_x.csv", BARS, *bar_rows(1))
    feed = open_feed([perp, spot])
    list(feed)
    assert feed.summary().instruments == ("BTC-USDT-SWAP", "ETH-USDT")
    assert feed.summary().venues == ("BINANCE",)


def test_start_end_and_instruments_narrow_the_feed(tmp_path: Path) -> None:
    paths = [
        write(tmp_path, "ETH-USDT-SWAP_1m_x.csv", BARS, *bar_rows(5)),
        write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(5)),
    ]
    start, end = (T + 2 * MINUTE_MS) * 1000, (T + 4 * MINUTE_MS) * 1000
    feed = open_feed(paths, instruments={"BTC-USDT-SWAP"}, start=start, end=end)
    found = [(event.instrument_id, event.ts_open // 1000 - T) for event in events(feed) if isinstance(event, VenueBar)]
    assert found == [("BTC-USDT-SWAP", MINUTE_MS), ("BTC-USDT-SWAP", 2 * MINUTE_MS)]


def test_a_timeframe_nobody_works_with_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="bars of 3m; Tapeline works with 1m, 5m"):
        open_feed([write(tmp_path, "BTC-USDT-SWAP_3m_x.csv", BARS, *bar_rows(1))])


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT-SWAP_1m_x.csv"
    path.write_bytes(f"\ufeff{BARS}\r\n{bar_rows(1)[0]}\r\n\r\n".encode())
    assert [type(event) for event in events(open_feed([path]))] == [InstrumentDefined, FeedStatus, VenueBar]


def test_a_folder_stands_for_its_files_and_says_what_it_passes_over(tmp_path: Path) -> None:
    write(tmp_path, "BTC-USDT-SWAP_1m_x.csv", BARS, *bar_rows(1))
    (tmp_path / "more").mkdir()
    write(tmp_path / "more", "ETH-USDT-SWAP_1m_x.csv.gz", BARS, *bar_rows(1))
    write(tmp_path, "notes.txt", "hello")
    feed = open_feed([tmp_path])
    list(feed)
    assert feed.summary().instruments == ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
    assert feed.summary().passed_over == ("notes.txt",)
    with pytest.raises(FeedError, match="no file of market data named"):
        open_feed([])


def test_a_bad_line_right_before_a_damaged_end_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, "BTC-USDT-SWAP_1m_x.csv.gz", BARS, *bar_rows(3), "bad")
    path.write_bytes(path.read_bytes()[:-8])
    found: list[object] = []
    with pytest.raises(FeedError, match="damaged after line 5"):
        found.extend(event for _, event in open_feed([path]))
    assert [type(event) for event in found[2:]] == [VenueBar, VenueBar, VenueBar, LineQuarantined]


def test_a_settlement_right_before_a_damaged_end_is_kept(tmp_path: Path) -> None:
    path = write(
        tmp_path, "BTC-USDT-SWAP_funding_8h_x.csv.gz", "ts_ms,funding_rate", f"{T},0.1", f"{T + 8 * HOUR_MS},0.2"
    )
    path.write_bytes(path.read_bytes()[:-8])
    found: list[object] = []
    with pytest.raises(FeedError, match="damaged after line 3"):
        found.extend(event for _, event in open_feed([path]))
    assert sum(isinstance(event, FundingSettled) for event in found) == 2


def test_the_default_feed_is_whole_or_none(tmp_path: Path) -> None:
    names = [
        f"okx/{name.format(instrument)}"
        for instrument in ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
        for name in (
            "candles/{}_1m_20250318-20250417.csv.gz",
            "mark/{}_mark_1h_20250301-20250527.csv.gz",
            "funding/{}_funding_8h_20240820-20250527.csv.gz",
        )
    ]
    for name in names:
        assert default_feed(tmp_path) is None
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert default_feed(tmp_path) == [tmp_path / name for name in names]
