"""Raw WebSocket recordings become ticks: sizes in base currency, books checked by checksum and sequence."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from schemas.events.common import Side
from schemas.events.market import (
    BookTop,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentDefined,
    InstrumentState,
    LineQuarantined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from services.feeds import Feed, FeedError, open_feed
from services.feeds.okx_raw import CHECKSUM_UNTIL

T = 1_742_400_000_000
BTC = "BTC-USDT-SWAP"


def okx(channel: str, *rows: Any, instrument_id: str = BTC, **more: Any) -> str:
    return json.dumps({"arg": {"channel": channel, "instId": instrument_id}, **more, "data": list(rows)})


def book_row(bids: list[list[str]], asks: list[list[str]], ts: int = T, **more: Any) -> dict[str, Any]:
    return {"asks": asks, "bids": bids, "ts": str(ts), **more}


def recorded(folder: Path, *lines: str, name: str = "recording.jsonl") -> Feed:
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines))
    return open_feed([path])


def of(feed: Feed, *kinds: type) -> list[Any]:
    return [event for _, event in feed if isinstance(event, kinds)]


def test_okx_contracts_become_base_currency(tmp_path: Path) -> None:
    trade = {"instId": BTC, "tradeId": "7", "px": "80000.1", "sz": "3.5", "side": "sell", "ts": str(T)}
    (found,) = of(recorded(tmp_path, okx("trades", trade)), Trade)
    assert found == Trade(BTC, "7", Side.SELL, Decimal("80000.1"), Decimal("0.035"))


def test_okx_inverse_contracts_become_base_currency_and_are_not_tradable(tmp_path: Path) -> None:
    trade = {"tradeId": "7", "px": "80000", "sz": "4", "side": "buy", "ts": str(T)}
    defined, found = of(
        recorded(tmp_path, okx("trades", trade, instrument_id="BTC-USD-SWAP")), InstrumentDefined, Trade
    )
    assert found.base_quantity == Decimal("0.005")  # 4 contracts of 100 USD at 80000
    assert defined.state is InstrumentState.SUSPEND


def test_okx_spot_sizes_stay(tmp_path: Path) -> None:
    trade = {"tradeId": "7", "px": "80000", "sz": "0.25", "side": "buy", "ts": str(T)}
    (found,) = of(recorded(tmp_path, okx("trades", trade, instrument_id="BTC-USDT")), Trade)
    assert found.base_quantity == Decimal("0.25")


def test_the_local_receive_time_is_kept(tmp_path: Path) -> None:
    trade = {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": str(T)}
    wrapped = json.dumps({"t": "recv", "conn": "x", "ts": 1742400000.1234567, "data": okx("trades", trade)})
    feed = recorded(tmp_path, json.dumps({"t": "header"}), wrapped)
    envelope = next(envelope for envelope, event in feed if isinstance(event, Trade))
    assert (envelope.ts_event, envelope.ts_ingest) == (T * 1000, 1_742_400_000_123_456)


TS = str(T)
FUNDING = {
    "fundingRate": "0.0001",
    "fundingTime": str(T + 1),
    "nextFundingTime": str(T + 2),
    "ts": TS,
    "settState": "settled",
    "settFundingRate": "0.0003",
    "prevFundingTime": str(T - 1),
}
CANDLE = [TS, "10", "12", "9", "11", "700", "7", "77000"]


def test_okx_quotes_and_five_level_books(tmp_path: Path) -> None:
    lines = [
        okx("tickers", {"bidPx": "10", "bidSz": "200", "askPx": "11", "askSz": "300", "ts": TS}),
        okx("bbo-tbt", {"bids": [["10", "1", "0", "1"]], "asks": [["11", "2", "0", "1"]], "ts": TS, "seqId": 5}),
        okx("books5", book_row([["10", "1", "0", "1"]], [["11", "2", "0", "1"]], seqId=6)),
    ]
    found = of(recorded(tmp_path, *lines), Quote, BookTop)
    assert found[0] == Quote(BTC, Decimal(10), Decimal("2.00"), Decimal(11), Decimal("3.00"))
    assert [type(event) for event in found] == [Quote, Quote, BookTop]


def test_okx_marks_indexes_and_funding_with_each_settlement_once(tmp_path: Path) -> None:
    lines = [
        okx("mark-price", {"markPx": "10.5", "ts": TS}),
        okx("index-tickers", {"idxPx": "10.6", "ts": TS}, instrument_id="BTC-USDT"),
        okx("funding-rate", FUNDING),
        okx("funding-rate", FUNDING),
    ]
    found = of(recorded(tmp_path, *lines), MarkPrice, IndexPrice, FundingRate, FundingSettled)
    assert [type(event) for event in found] == [MarkPrice, IndexPrice, FundingSettled, FundingRate, FundingRate]
    assert (found[2].funding_rate, found[2].ts_funding) == (Decimal("0.0003"), (T - 1) * 1000)
    assert (found[3].funding_rate, found[3].ts_funding) == (Decimal("0.0001"), (T + 1) * 1000)


def funding_row(ms: int, due: int, after: int, state: str = "settled", rate: str = "0.0003") -> str:
    """Return a row of the channel, which need not say which settlement was the last; times in ms after T."""
    times = {"ts": str(T + ms), "fundingTime": str(T + due), "nextFundingTime": str(T + after)}
    return okx("funding-rate", {"fundingRate": "0.0001", "settState": state, "settFundingRate": rate, **times})


def settlements(tmp_path: Path, *lines: str) -> list[tuple[str, int]]:
    found = of(recorded(tmp_path, *lines), FundingSettled)
    return [(str(event.funding_rate), event.ts_funding // 1000 - T) for event in found]


def test_a_settlement_is_the_one_that_was_awaited_until_the_next_one_is(tmp_path: Path) -> None:
    rows = [funding_row(0, 80, 160, rate="0.0009"), funding_row(80, 80, 160, "processing"),
            funding_row(81, 160, 240, "processing"), funding_row(82, 160, 240), funding_row(83, 160, 240),
            funding_row(161, 200, 240, rate="-0.0002")]  # fmt: skip
    assert settlements(tmp_path, *rows) == [("0.0003", 80), ("-0.0002", 160)]


def test_a_settlement_put_off_or_brought_forward_is_none(tmp_path: Path) -> None:
    assert settlements(tmp_path, funding_row(0, 80, 160), funding_row(10, 90, 160), funding_row(20, 40, 80)) == []


def test_after_more_than_one_interval_the_rate_is_of_another_settlement(tmp_path: Path) -> None:
    rows = [funding_row(0, 80, 160), funding_row(170, 240, 320), funding_row(241, 320, 400, rate="0.0004")]
    assert settlements(tmp_path, *rows) == [("0.0004", 240)]


def test_only_closed_okx_bars_count_and_what_is_not_read_is_counted(tmp_path: Path) -> None:
    lines = [
        okx("candle1m", [*CANDLE, "0"]),
        okx("candle1m", [*CANDLE, "1"]),
        okx("candle1M", [*CANDLE, "1"]),
        okx("open-interest", {"oi": "1", "ts": TS}),
        json.dumps({"event": "subscribe", "arg": {"channel": "tickers", "instId": BTC}}),
    ]
    feed = recorded(tmp_path, *lines)
    (bar,) = of(feed, VenueBar, LineQuarantined)
    assert (bar.timeframe, bar.base_volume) == ("1m", Decimal(7))
    assert feed.summary().files[0].unused == {
        "channel candle1m: nothing new": 1,
        "channel candle1M": 1,
        "channel open-interest": 1,
        "message without data (subscribe)": 1,
    }


def test_equal_times_in_a_recording_put_trades_before_marks(tmp_path: Path) -> None:
    trade = {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": str(T)}
    feed = recorded(tmp_path, okx("mark-price", {"markPx": "10.5", "ts": str(T)}), okx("trades", trade))
    assert [type(event) for event in of(feed, Trade, MarkPrice)] == [Trade, MarkPrice]


def test_a_late_tick_keeps_its_time_and_its_place(tmp_path: Path) -> None:
    def trade(number: int, ts: int) -> str:
        return okx("trades", {"tradeId": str(number), "px": "1", "sz": "1", "side": "buy", "ts": str(ts)})

    feed = recorded(tmp_path, trade(1, T), trade(2, T + 5), trade(3, T + 2), trade(4, T + 6))
    found = [(event.trade_id, envelope.ts_event // 1000 - T) for envelope, event in feed if isinstance(event, Trade)]
    assert found == [("1", 0), ("2", 5), ("3", 2), ("4", 6)]


def crc(*parts: str) -> int:
    value = crc32(":".join(parts).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


BIDS = [["10", "1", "0", "1"], ["9", "2", "0", "1"]]
ASKS = [["11", "3", "0", "1"]]


def test_an_okx_book_is_rebuilt_and_tells_when_its_top_changes(tmp_path: Path) -> None:
    lines = [
        okx("books", book_row(BIDS, ASKS, seqId=10, prevSeqId=-1, checksum=0), action="snapshot"),
        okx("books", book_row([], [], T + 1, seqId=10, prevSeqId=10), action="update"),
        okx("books", book_row([["10", "0", "0", "0"]], [["11", "4", "0", "1"]], T + 2, seqId=15, prevSeqId=10)),
        okx("books", book_row([["8", "1", "0", "1"]], [], T + 3, seqId=3, prevSeqId=15), action="update"),
    ]
    tops = of(recorded(tmp_path, *lines), BookTop, FeedStatus)[1:]
    assert [(str(top.bids[0].price), str(top.asks[0].base_quantity), top.seq_id) for top in tops] == [
        ("10", "0.03", 10),
        ("9", "0.04", 15),
        ("9", "0.04", 3),
    ]


def test_an_okx_checksum_is_checked_and_a_wrong_one_loses_the_book_until_the_next_snapshot(tmp_path: Path) -> None:
    whole = crc("10", "1", "11", "3", "9", "2")
    after = crc("10", "1", "11", "3")
    lines = [
        okx("books", book_row(BIDS, ASKS, checksum=whole), action="snapshot"),
        okx("books", book_row([["9", "0", "0", "0"]], [], T + 1, checksum=after), action="update"),
        okx("books", book_row([["9", "7", "0", "1"]], [], T + 2, checksum=1), action="update"),
        okx("books", book_row([["9", "8", "0", "1"]], [], T + 3, checksum=1), action="update"),
        okx("books", book_row(BIDS, ASKS, T + 4, checksum=whole), action="snapshot"),
    ]
    found = of(recorded(tmp_path, *lines), BookTop, FeedStatus)
    states = [event.state for event in found if isinstance(event, FeedStatus)]
    assert states == [FeedState.OPEN, FeedState.LOST, FeedState.RESYNCED]
    assert sum(isinstance(event, BookTop) for event in found) == 3
    lost = next(event for event in found if isinstance(event, FeedStatus) and event.state is FeedState.LOST)
    assert lost.detail == f"checksum 1, the book has {crc('10', '1', '11', '3', '9', '7')}"
    assert found[-2].lost_us == 2_000  # lost at T + 2 ms, back at T + 4 ms


def test_a_checksum_after_its_end_of_life_means_nothing(tmp_path: Path) -> None:
    later = CHECKSUM_UNTIL // 1000
    lines = [
        okx("books", book_row(BIDS, ASKS, later - 1, checksum=1), action="snapshot"),
        okx("books", book_row(BIDS, ASKS, later, checksum=1), action="snapshot"),
    ]
    found = of(recorded(tmp_path, *lines), BookTop, FeedStatus)
    states = [event.state for event in found if isinstance(event, FeedStatus)]
    assert states == [FeedState.LOST, FeedState.RESYNCED, FeedState.OPEN]  # the importer announces its first BookTop
    assert sum(isinstance(event, BookTop) for event in found) == 1


def test_an_okx_sequence_gap_loses_the_book(tmp_path: Path) -> None:
    lines = [
        okx("books", book_row(BIDS, ASKS, seqId=10, prevSeqId=-1), action="snapshot"),
        okx("books", book_row([["9", "0", "0", "0"]], [], T + 1, seqId=12, prevSeqId=11), action="update"),
    ]
    lost = of(recorded(tmp_path, *lines), FeedStatus)[-1]
    assert (lost.state, lost.detail) == (FeedState.LOST, "sequence gap: prevSeqId 11 after seqId 10")


def test_an_unknown_instrument_inside_a_recording_is_named(tmp_path: Path) -> None:
    trade = {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": str(T)}
    feed = recorded(tmp_path, okx("trades", trade, instrument_id="NOPE-USDT"))
    with pytest.raises(FeedError, match=r"recording.jsonl: instrument NOPE-USDT .*--instruments"):
        list(feed)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        okx("trades", {"tradeId": "8", "px": "-1", "sz": "1", "side": "buy", "ts": str(T)}),
        okx("trades", {"tradeId": "8", "px": "1", "sz": "1", "side": "up", "ts": str(T)}),
        okx("trades", {"tradeId": "8", "px": "1", "sz": "1", "side": "buy", "ts": "soon"}),
        okx("books", book_row([["x", "1", "0", "1"]], []), action="snapshot"),
    ],
)
def test_a_bad_raw_line_is_kept(tmp_path: Path, line: str) -> None:
    trade = {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": str(T)}
    found = of(recorded(tmp_path, okx("trades", trade), line), Trade, LineQuarantined)
    assert [type(event) for event in found] == [Trade, LineQuarantined]
    assert (found[1].line_number, found[1].raw) == (2, line)


def binance(stream: str, ts: int = T, symbol: str = "BTCUSDT", **data: Any) -> str:
    body = {"stream": f"{symbol.lower()}@{stream}", "data": {"e": "x", "E": ts, "T": ts, "s": symbol, **data}}
    return f"{ts}000000 {json.dumps(body, separators=(',', ':'))}"


def depth(first: int, final: int, pu: int, bids: list[list[str]], asks: list[list[str]], ts: int = T) -> str:
    return binance("depth@0ms", ts, U=first, u=final, pu=pu, b=bids, a=asks)


def snapshot(last: int, bids: list[list[str]], asks: list[list[str]], ts: int = T) -> str:
    return f"{ts}000000 {json.dumps({'lastUpdateId': last, 'bids': bids, 'asks': asks})}"


def test_binance_trades_quotes_and_marks(tmp_path: Path) -> None:
    lines = [
        binance("trade", t=1, p="80000.10", q="0.5", X="MARKET", m=True),
        binance("trade", t=2, p="80000.10", q="0.5", X="INSURANCE_FUND", m=False),
        binance("bookTicker", u=9, b="80000.0", B="1", a="80000.1", A="2"),
        binance("markPrice@1s", p="80001", i="80002", r="0.0001", T=T + 1),
        binance("markPrice@1s", T + 1000, p="80003", i="80002", r="0.0001", T=T + 1),
    ]
    feed = recorded(tmp_path, *lines)
    found = of(feed, Trade, Quote, MarkPrice, IndexPrice, FundingRate)
    assert [type(event).__name__ for event in found] == [
        "Trade",
        "Quote",
        "MarkPrice",
        "IndexPrice",
        "FundingRate",
        "MarkPrice",
        "IndexPrice",
    ]
    assert found[0] == Trade(BTC, "1", Side.SELL, Decimal("80000.10"), Decimal("0.5"))
    assert found[4].ts_funding == (T + 1) * 1000
    assert feed.summary().files[0].unused == {"trade of type INSURANCE_FUND: not a trade of the market": 1}


def test_a_binance_book_starts_from_its_snapshot_and_the_changes_before_it(tmp_path: Path) -> None:
    bids, asks = [["10", "1"]], [["11", "1"]]
    lines = [
        depth(1, 5, 0, [["7", "1"]], []),
        depth(6, 9, 5, [["10", "2"]], []),
        snapshot(7, bids, asks),
        depth(10, 12, 9, [], [["11", "0"], ["12", "3"]], T + 1),
        depth(13, 14, 12, [["1", "1"]], [], T + 2),
    ]
    feed = recorded(tmp_path, *lines)
    tops = of(feed, BookTop)
    assert [(str(top.bids[0].base_quantity), str(top.asks[0].price), top.seq_id) for top in tops] == [
        ("2", "11", 9),
        ("2", "12", 12),
        ("2", "12", 14),
    ]


def test_a_binance_sequence_gap_loses_the_book_until_the_next_snapshot(tmp_path: Path) -> None:
    lines = [
        depth(1, 5, 0, [["7", "1"]], []),
        snapshot(5, [["10", "1"]], [["11", "1"]]),
        depth(8, 9, 7, [["10", "2"]], [], T + 1),
        depth(10, 11, 9, [["10", "3"]], [], T + 2),
        snapshot(11, [["10", "4"]], [["11", "1"]], T + 3),
        depth(12, 13, 11, [["10", "5"]], [], T + 4),
    ]
    found = of(recorded(tmp_path, *lines), FeedStatus, BookTop)
    assert [event.state if isinstance(event, FeedStatus) else event.seq_id for event in found] == [
        FeedState.OPEN,
        5,
        FeedState.LOST,
        FeedState.RESYNCED,
        11,
        13,
    ]


def test_binance_spot_books_chain_by_the_next_number(tmp_path: Path) -> None:
    def change(first: int, final: int, ts: int) -> str:
        body = {"e": "depthUpdate", "E": ts, "s": "BTCUSDT", "U": first, "u": final, "b": [["10", str(final)]], "a": []}
        return f"{ts}000000 " + json.dumps({"stream": "btcusdt@depth@100ms", "data": body}, separators=(",", ":"))

    feed = recorded(
        tmp_path,
        change(1, 4, T),
        snapshot(5, [["10", "1"]], [["11", "1"]]),
        change(5, 7, T + 1),
        change(8, 8, T + 2),
        change(10, 11, T + 3),
    )
    found = of(feed, BookTop, FeedStatus)
    assert [getattr(event, "seq_id", None) for event in found] == [None, 5, 7, 8, None]
    assert feed.summary().instruments == ("BTC-USDT",)


def test_the_files_of_one_binance_stream_are_one_recording(tmp_path: Path) -> None:
    later, earlier = tmp_path / "a.gz.txt", tmp_path / "b.txt"
    later.write_text(depth(6, 7, 5, [["10", "2"]], [], T + 1) + "\n")
    first = depth(1, 5, 0, [["7", "1"]], [])
    earlier.write_text(first + "\n" + snapshot(5, [["10", "1"]], [["11", "1"]]) + "\n")
    tops = [event for _, event in open_feed([later, earlier]) if isinstance(event, BookTop)]
    assert [top.seq_id for top in tops] == [5, 7]


def test_coin_margined_contracts_become_base_currency(tmp_path: Path) -> None:
    line = binance("trade", symbol="BTCUSD_PERP", t=1, p="80000", q="4", X="MARKET", m=False)
    (found,) = of(recorded(tmp_path, line), Trade)
    assert (found.instrument_id, found.base_quantity) == ("BTC-USD-SWAP", Decimal("0.005"))
