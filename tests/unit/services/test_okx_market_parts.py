"""What is subscribed, which channel delivers, what is written once, and when a connection is dialled again."""

from __future__ import annotations

import pytest

from schemas.events.market import Channel, FeedState, FeedStatus
from schemas.settings import SettingsError
from services.feeds.instruments import shipped_instruments
from services.feeds.model import Parsed
from services.gateways.okx.market.board import ChannelBoard
from services.gateways.okx.market.ledger import TRADE_IDS_KEPT, BarLedger, Hole, Place, TradeLedger
from services.gateways.okx.market.link import Patience
from services.gateways.okx.market.subscriptions import LinkName, parse_channels, plan_subscriptions
from tests.okx_market import BTC, MINUTE, NOW, SPOT, Desk

ETH = "ETH-USDT-SWAP"


def keys(channels: str, *names: str) -> dict[tuple[str, str], LinkName]:
    table = shipped_instruments()
    found = plan_subscriptions([table[name] for name in names], parse_channels(channels))
    return {each.key: each.link for each in found}


def test_only_what_the_settings_name_is_subscribed_and_the_instruments_themselves() -> None:
    assert keys("trades,bars", BTC) == {
        ("instruments", "SWAP"): LinkName.PUBLIC,
        ("trades", BTC): LinkName.PUBLIC,
        ("candle1m", BTC): LinkName.BUSINESS,
    }


def test_spot_has_no_mark_index_or_funding() -> None:
    assert keys("trades,mark,index,funding,bars", SPOT) == {
        ("instruments", "SPOT"): LinkName.PUBLIC,
        ("trades", SPOT): LinkName.PUBLIC,
        ("candle1m", SPOT): LinkName.BUSINESS,
    }


def test_an_index_is_subscribed_by_its_own_name() -> None:
    assert ("index-tickers", "BTC-USDT") in keys("index,bars", BTC)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trades,tades,bars", "unknown channel tades; known: trades, trades_all, quotes"),
        ("book,book5,bars", "book5 and book say the same twice"),
        ("trades,trades_all,bars", "trades and trades_all say the same twice"),
        ("trades", "bars must be among the channels"),
        ("", "bars must be among the channels"),
    ],
)
def test_channels_that_make_no_sense_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        parse_channels(text)


def test_more_book_channels_than_the_venue_allows_are_refused() -> None:
    table = [row for row in shipped_instruments().values() if row.instrument_id.endswith("-USDT-SWAP")][:16]
    assert len(plan_subscriptions(table[:15], parse_channels("quotes,book5,bars"))) == 46
    with pytest.raises(SettingsError, match="32 book channels for 16 instruments: OKX allows 30 a connection"):
        plan_subscriptions(table, parse_channels("quotes,book5,bars"))


def said(ticks: list[Parsed]) -> list[tuple[Channel, FeedState, int | None, str]]:
    events = [parsed.event for parsed in ticks]
    return [(e.channel, e.state, e.lost_us, e.detail) for e in events if isinstance(e, FeedStatus)]


def test_a_channel_opens_once_is_lost_once_and_comes_back_with_the_time_it_was_lost() -> None:
    board, trades = ChannelBoard(), Desk().subscription("trades")
    lane = (BTC, Channel.TRADES)
    assert said(board.opened(trades, 100, 100)) == [(Channel.TRADES, FeedState.OPEN, None, "")]
    assert board.opened(trades, 200, 200) == []
    assert said(board.lost([lane], 300, 300, "cut")) == [(Channel.TRADES, FeedState.LOST, None, "cut")]
    assert board.lost([lane], 400, 400, "cut again") == []
    assert said(board.opened(trades, 1_300, 1_300)) == [(Channel.TRADES, FeedState.RESYNCED, 1_000, "")]


def test_a_cadence_is_declared_with_the_opening_and_the_return() -> None:
    board, mark = ChannelBoard(), Desk().subscription("mark-price")
    (opened,) = board.opened(mark, 100, 100)
    board.lost([(BTC, Channel.MARK)], 200, 200, "cut")
    (back,) = board.opened(mark, 300, 300)
    assert [event.cadence_us for event in (opened.event, back.event) if isinstance(event, FeedStatus)] == [10**7, 10**7]


def test_a_lost_book_is_not_whole_when_its_subscription_is_acknowledged() -> None:
    board, books = ChannelBoard(), Desk().subscription("books")
    assert len(board.opened(books, 100, 100)) == 1
    board.lost([(BTC, Channel.BOOK)], 200, 200, "cut")
    assert board.opened(books, 300, 300) == []
    assert board.state((BTC, Channel.BOOK)) is FeedState.LOST


def test_a_refused_channel_has_ended_even_if_it_never_opened() -> None:
    board = ChannelBoard()
    found = said(board.ended([(BTC, Channel.INDEX)], 100, 100, "no such channel"))
    assert found == [(Channel.INDEX, FeedState.ENDED, None, "no such channel")]
    assert board.ended([(BTC, Channel.INDEX)], 100, 100, "no such channel") == []


def test_a_bar_is_next_known_or_behind_a_hole() -> None:
    bars = BarLedger(60 * MINUTE)
    assert bars.place(BTC, NOW) is Place.BEHIND_A_HOLE  # nothing is known yet
    assert bars.take(BTC, NOW)
    assert bars.place(BTC, NOW) is Place.KNOWN
    assert bars.place(BTC, NOW + MINUTE) is Place.NEXT
    assert bars.place(BTC, NOW + 2 * MINUTE) is Place.BEHIND_A_HOLE
    assert bars.place(ETH, NOW) is Place.BEHIND_A_HOLE
    assert not bars.take(BTC, NOW)


def test_a_hole_is_what_has_closed_since_the_newest_bar_or_the_warm_up() -> None:
    bars = BarLedger(60 * MINUTE)
    half_past = NOW + 30 * 1_000_000
    assert bars.hole(BTC, half_past) == Hole(BTC, NOW - 60 * MINUTE, NOW)
    bars.take(BTC, NOW - 3 * MINUTE)
    assert bars.hole(BTC, half_past) == Hole(BTC, NOW - 2 * MINUTE, NOW)
    bars.take(BTC, NOW - MINUTE)
    assert bars.hole(BTC, half_past) is None
    assert bars.hole(BTC, NOW + 500 * MINUTE) == Hole(BTC, NOW + 440 * MINUTE, NOW + 500 * MINUTE)


def test_trade_ids_are_remembered_up_to_a_bound() -> None:
    trades = TradeLedger()
    assert all(trades.take(BTC, str(number)) for number in range(TRADE_IDS_KEPT + 1))
    assert not trades.take(BTC, "1")
    assert trades.take(ETH, "1")
    assert trades.take(BTC, "0")  # the oldest was forgotten


def test_the_wait_before_a_dial_doubles_up_to_a_bound_and_half_of_it_is_chance() -> None:
    patience = Patience(first_wait=0.5, longest_wait=60)
    assert [patience.wait_before(attempt, 1.0) for attempt in (1, 2, 3, 8, 9, 100)] == [0.5, 1, 2, 60, 60, 60]
    assert [patience.wait_before(attempt, 0.0) for attempt in (1, 2, 5_000)] == [0.25, 0.5, 30]
