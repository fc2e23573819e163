"""Frames of OKX's public WebSocket become ticks and things to do."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from schemas.events.common import Side
from schemas.events.market import (
    BookTop,
    Channel,
    FeedOrigin,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    LineQuarantined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from services.feeds.lines import BAD_LINES_MAX
from services.gateways.okx.market.errors import TooManyBadFrames
from services.gateways.okx.market.translate import (
    Acknowledged,
    BarWaits,
    BookBroken,
    ConnectionEnding,
    InstrumentsTold,
    SubscriptionRefused,
)
from tests.okx_market import BTC, MINUTE, NOW, SPOT, Desk, T, book, candle, frame

TS = str(T)
BIDS, ASKS = [("10", "1"), ("9", "2")], [("11", "3"), ("12", "4")]


def test_every_channel_becomes_its_tick_with_the_venues_time_and_ours() -> None:
    desk = Desk()
    trade = {"instId": BTC, "tradeId": "7", "px": "80000.1", "sz": "3.5", "side": "sell", "ts": TS, "count": "1"}
    (parsed,), _ = desk.read(frame("trades", trade))
    assert parsed.event == Trade(BTC, "7", Side.SELL, Decimal("80000.1"), Decimal("0.035"))
    assert (parsed.ts_event, parsed.ts_ingest) == (NOW, NOW + 4_000)
    best = {"bids": [["10", "100", "0", "1"]], "asks": [["11", "200", "0", "1"]], "ts": TS, "seqId": 5}
    assert desk.ticks(frame("bbo-tbt", best)) == [Quote(BTC, Decimal(10), Decimal(1), Decimal(11), Decimal(2))]
    assert desk.ticks(frame("mark-price", {"markPx": "10.5", "ts": TS})) == [MarkPrice(BTC, Decimal("10.5"))]


def test_an_index_is_filed_under_the_swap_that_rests_on_it() -> None:
    found = Desk().ticks(frame("index-tickers", {"idxPx": "10.6", "ts": TS}, instrument_id=SPOT))
    assert found == [IndexPrice(BTC, Decimal("10.6"))]


def test_a_settlement_is_told_once_and_a_forecast_every_time() -> None:
    row = {
        "fundingRate": "0.0001", "fundingTime": str(T + 1000), "nextFundingTime": str(T + 2000), "ts": TS,
        "settState": "settled", "settFundingRate": "0.0003", "prevFundingTime": str(T - 1000),
    }  # fmt: skip
    desk = Desk()
    first, second = desk.ticks(frame("funding-rate", row)), desk.ticks(frame("funding-rate", row))
    assert [type(event) for event in first] == [FundingSettled, FundingRate]
    assert [type(event) for event in second] == [FundingRate]


def test_a_settlement_fetched_over_rest_is_not_told_again() -> None:
    row = {
        "fundingRate": "0.0001", "fundingTime": str(T + 1000), "nextFundingTime": "", "ts": TS,
        "settState": "settled", "settFundingRate": "0.0003", "prevFundingTime": str(T - 1000),
    }  # fmt: skip
    desk = Desk()
    assert desk.translator.take_settlement(BTC, (T - 1000) * 1000)
    assert [type(event) for event in desk.ticks(frame("funding-rate", row))] == [FundingRate]


def test_only_closed_bars_pass_and_each_once() -> None:
    desk = Desk()
    desk.bars.take(BTC, NOW - MINUTE)
    assert desk.ticks(frame("candle1m", candle(0, confirm="0"))) == []
    (bar,) = desk.ticks(frame("candle1m", candle(0)))
    assert isinstance(bar, VenueBar)
    assert (bar.ts_open, bar.close_price, bar.base_volume, bar.backfill) == (NOW, Decimal(101), Decimal(7), False)
    assert desk.read(frame("candle1m", candle(0))) == ([], [])
    assert desk.counters.repeats == 1


def test_a_bar_behind_a_hole_waits() -> None:
    desk = Desk()
    desk.bars.take(BTC, NOW - MINUTE)
    ticks, actions = desk.read(frame("candle1m", candle(2)))
    assert ticks == []
    assert isinstance(actions[0], BarWaits)
    assert actions[0].bar.ts_event == NOW + 3 * MINUTE  # its close


def test_a_trade_that_repeats_by_id_is_dropped_and_counted() -> None:
    desk = Desk()
    text = frame("trades", {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": TS})
    assert len(desk.ticks(text)) == 1
    assert desk.ticks(text) == []
    assert desk.counters.repeats == 1


def test_a_book_keeps_its_chain_through_keep_alive_and_maintenance_reset() -> None:
    """The venue's own example: 10, 15, 15 (nothing new), 3 (reset, chain intact), 5."""
    desk = Desk()
    rows = [
        ("snapshot", book(BIDS, ASKS, prev=-1, seq=10)),
        ("update", book([("10", "5")], [], prev=10, seq=15, ms=1)),
        ("update", book([], [], prev=15, seq=15, ms=2)),
        ("update", book([("10", "6")], [], prev=15, seq=3, ms=3)),
        ("update", book([("10", "7")], [], prev=3, seq=5, ms=4)),
    ]
    found = [desk.read(frame("books", row, action=action)) for action, row in rows]
    tops = [parsed.event for ticks, _ in found for parsed in ticks]
    assert [actions for _, actions in found] == [[]] * 5
    assert all(isinstance(top, BookTop) for top in tops)
    assert [str(top.bids[0].base_quantity) for top in tops if isinstance(top, BookTop)] == [
        "0.01",
        "0.05",
        "0.06",
        "0.07",
    ]
    assert [top.seq_id for top in tops if isinstance(top, BookTop)] == [10, 15, 3, 5]


def test_a_gap_loses_the_book_first_and_nothing_is_believed_until_the_snapshot() -> None:
    desk = Desk()
    desk.board.opened(desk.subscription("books"), NOW, NOW)
    desk.read(frame("books", book(BIDS, ASKS, prev=-1, seq=10), action="snapshot"))
    ticks, actions = desk.read(frame("books", book([("10", "5")], [], prev=11, seq=12, ms=100), action="update"))
    (lost,) = [parsed.event for parsed in ticks]
    assert isinstance(lost, FeedStatus)
    assert (lost.state, lost.origin, lost.detail) == (
        FeedState.LOST, FeedOrigin.LIVE, "sequence gap: prevSeqId 11 after seqId 10",
    )  # fmt: skip
    assert actions == [BookBroken(BTC)]
    assert desk.board.state((BTC, Channel.BOOK)) is FeedState.LOST
    assert desk.read(frame("books", book([("10", "6")], [], prev=12, seq=13, ms=200), action="update")) == ([], [])
    back, top = desk.ticks(frame("books", book(BIDS, ASKS, prev=-1, seq=90, ms=350), action="snapshot"))
    assert isinstance(back, FeedStatus)
    assert (back.state, back.lost_us) == (FeedState.RESYNCED, 250_000)
    assert isinstance(top, BookTop)
    assert (desk.counters.gaps, desk.counters.resyncs) == (1, 1)


def test_a_book_of_a_broken_connection_waits_for_its_snapshot() -> None:
    desk = Desk()
    desk.read(frame("books", book(BIDS, ASKS, prev=-1, seq=10), action="snapshot"))
    desk.translator.parser.lose_books([BTC], NOW + 1_000_000)
    assert desk.ticks(frame("books", book([("10", "6")], [], prev=10, seq=11, ms=2_000), action="update")) == []
    back = desk.ticks(frame("books", book(BIDS, ASKS, prev=-1, seq=70, ms=3_000), action="snapshot"))[0]
    assert isinstance(back, FeedStatus)
    assert (back.state, back.lost_us) == (FeedState.RESYNCED, 2_000_000)


def test_acknowledgements_refusals_and_notices_are_things_to_do() -> None:
    desk = Desk()
    trades = desk.subscription("trades")
    acknowledged = {"event": "subscribe", "arg": {"channel": "trades", "instId": BTC}, "connId": "a4d3ae55"}
    assert desk.actions(json.dumps(acknowledged)) == [Acknowledged(trades)]
    refused = {"event": "error", "code": "60018", "msg": f"Wrong URL or channel:trades,instId:{BTC} doesn't exist."}
    (action,) = desk.actions(json.dumps(refused))
    assert isinstance(action, SubscriptionRefused)
    assert action.subscription == trades
    (action,) = desk.actions('{"event":"error","code":"60014","msg":"Requests too frequent"}')
    assert action == SubscriptionRefused(None, "60014 Requests too frequent")
    upgrade = {"event": "notice", "code": "64008", "msg": "The connection will soon be closed for a service upgrade."}
    assert isinstance(desk.actions(json.dumps(upgrade))[0], ConnectionEnding)


def test_rows_of_other_instruments_are_not_ours() -> None:
    desk = Desk()
    rows = [{"instId": BTC, "instType": "SWAP"}, {"instId": "DOGE-USDT-SWAP", "instType": "SWAP"}]
    told = json.dumps({"arg": {"channel": "instruments", "instType": "SWAP"}, "data": rows})
    assert desk.actions(told) == [InstrumentsTold((rows[0],))]
    other = json.dumps({"arg": {"channel": "instruments", "instType": "SWAP"}, "data": rows[1:]})
    assert desk.read(other) == ([], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html>", "Expecting value"),
        ("[1]", "not a JSON object"),
        (frame("trades", {"tradeId": "7", "px": "-1", "sz": "1", "side": "buy", "ts": TS}), "px='-1' is not"),
        (frame("trades", {"px": "1", "sz": "1", "side": "buy", "ts": TS}), "tradeId"),
        (frame("candle1m", [TS, "1"]), "index out of range"),
        (frame("mark-price", {"markPx": "1", "ts": "12"}), "ts='12' is not a time"),
        ('{"event":"subscribe"}', "arg"),
        ('{"arg":5,"data":[]}', "int"),
        (frame("mark-price", {"markPx": "1", "ts": TS}, instrument_id="NOT-OURS-SWAP"), "NOT-OURS-SWAP"),
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_read_is_kept_with_its_reason(text: str, reason: str) -> None:
    desk = Desk()
    (bad,) = desk.ticks(text)
    assert isinstance(bad, LineQuarantined)
    assert reason in bad.reason
    assert bad.raw == text
    assert desk.counters.quarantined == 1


def test_too_many_bad_frames_stop_the_gateway() -> None:
    desk = Desk()
    for _ in range(BAD_LINES_MAX):
        desk.read("<html>")
    with pytest.raises(TooManyBadFrames, match="more than 50 of 1000 frames cannot be read"):
        desk.read("<html>")
