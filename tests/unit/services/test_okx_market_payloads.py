"""Recorded OKX payloads of the public side parse, every one, and mean what the venue meant."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events.common import MarginMode, Side
from schemas.events.market import (
    Channel,
    FeedState,
    FeedStatus,
    FundingRate,
    FundingSettled,
    IndexPrice,
    InstrumentKind,
    InstrumentState,
    MarginTier,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.values import Micros, Rate
from services.feeds.instruments import load_instruments
from services.feeds.instruments.okx import INVERSE_NOTE, parse_instrument, parse_tiers
from services.gateways.okx.market.history import missing_settlements
from services.gateways.okx.market.translate import InstrumentsTold
from tests.okx_market import BTC, NOW, SPOT, Desk, frame
from tests.unit.services.test_okx_market_history import Exchange, api

pytestmark = pytest.mark.recorded

D = Decimal


@pytest.fixture
def payloads(shared_data: Path) -> Path:
    return shared_data / "okx/payloads/nautilus"


def text(payloads: Path, name: str) -> str:
    return (payloads / f"{name}.json").read_text()


def rows(payloads: Path, name: str) -> list[Any]:
    reply = json.loads(text(payloads, name))
    assert reply["code"] == "0"
    return list(reply["data"])


def desk() -> Desk:
    return Desk(instruments=(BTC, SPOT))


def test_a_best_bid_and_ask(payloads: Path) -> None:
    (parsed,), _ = desk().read(text(payloads, "ws_bbo_tbt"))
    assert parsed.event == Quote(SPOT, D("8476.97"), D(256), D("8476.98"), D(415))
    assert parsed.ts_event == 1_597_026_383_085_000


def test_a_ticker_gives_its_best_bid_and_ask(payloads: Path) -> None:
    assert desk().ticks(text(payloads, "ws_tickers")) == [Quote(SPOT, D("8888.88"), D(5), D("9999.99"), D(11))]


def test_trades_of_the_venue_and_of_another_adapters_recording(payloads: Path) -> None:
    found = desk()
    told = text(payloads, "ws_trades").replace('"BTC-USD"', '"BTC-USDT"')  # a pair of the shipped table
    assert found.ticks(told) == [Trade(SPOT, "130639474", Side.BUY, D("42219.9"), D("0.12060306"))]
    lines = (payloads.parent / "gocryptotrader/wsAllTrades.json").read_text().splitlines()
    assert [event for line in lines for event in found.ticks(line)] == [
        Trade(SPOT, "674510826", Side.BUY, D("95634.9"), D("0.00011186")),
        Trade(SPOT, "674510827", Side.SELL, D("95635.3"), D("0.00011194")),
    ]


def test_trades_asked_for_have_the_form_of_trades_pushed(payloads: Path) -> None:
    told = rows(payloads, "http_get_trades")
    assert desk().ticks(frame("trades", *told, instrument_id=SPOT)) == [
        Trade(SPOT, "734864333", Side.SELL, D("102537.9"), D("0.00013669")),
        Trade(SPOT, "734864332", Side.BUY, D("102537.9"), D("0.0000125")),
    ]


def test_a_book_whose_levels_were_cut_fails_its_checksum_of_2020_and_its_update_is_not_believed(payloads: Path) -> None:
    """The documentation's own example shows eight of its levels; the checksum is of all of them."""
    found = desk()
    (lost,) = found.ticks(text(payloads, "ws_books_snapshot"))
    assert isinstance(lost, FeedStatus)
    assert (lost.channel, lost.state) == (Channel.BOOK, FeedState.LOST)
    assert lost.detail.startswith("checksum -855196043, the book has")
    assert found.ticks(text(payloads, "ws_books_update")) == []


def test_the_same_book_without_its_dead_checksum_follows_its_sequence(payloads: Path) -> None:
    found = desk()
    snapshot, update = (json.loads(text(payloads, name)) for name in ("ws_books_snapshot", "ws_books_update"))
    for message in (snapshot, update):
        message["data"][0]["checksum"] = 0
    (top,) = found.ticks(json.dumps(snapshot))
    assert [str(level.price) for level in top.bids] == ["8476.97", "8475.55", "8475.54", "8475.3", "8447.32"]  # type: ignore[attr-defined]
    assert top.seq_id == 123456  # type: ignore[attr-defined]
    assert found.ticks(json.dumps(update)) == []  # 123456 to 123457, the same levels: whole, and nothing new
    assert found.counters.gaps == 0


def test_a_book_asked_for_has_the_form_of_five_levels(payloads: Path) -> None:
    (row,) = rows(payloads, "http_get_order_book")
    (top,) = Desk("book5,bars", (SPOT,)).ticks(frame("books5", row, instrument_id=SPOT))
    assert [str(level.price) for level in top.asks] == ["41006.8", "41006.9", "41007.0"]  # type: ignore[attr-defined]
    assert str(top.bids[0].base_quantity) == "0.48792100"  # type: ignore[attr-defined]


def test_a_daily_candle_is_no_bar_of_ours(payloads: Path) -> None:
    found = desk()
    assert found.ticks(text(payloads, "ws_candle")) == []
    assert found.translator.unused == {"channel candle1D": 1}


def test_closed_candles_become_bars_and_running_ones_do_not(payloads: Path) -> None:
    parser = desk().translator.parser
    found = [parser.closed_bar(row, BTC, "1m", NOW) for row in rows(payloads, "http_get_candlesticks_full")]
    bars = [parsed.event for parsed in found if parsed is not None and isinstance(parsed.event, VenueBar)]
    assert [bar.ts_open for bar in bars] == [1_747_094_040_000_000, 1_747_093_980_000_000]
    assert [(bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.base_volume) for bar in bars] == [
        (D("102806.1"), D("102820.4"), D("102806.1"), D("102820.4"), D("10.4037")),
        (D(102806), D("102820.5"), D("102783.1"), D("102806.1"), D("71.6404")),
    ]
    running = rows(payloads, "http_get_candlesticks")
    assert [parser.closed_bar(row, BTC, "1m", NOW) for row in running] == [None, None]


def test_mark_index_and_funding(payloads: Path) -> None:
    found = desk()
    assert found.ticks(frame("mark-price", *rows(payloads, "http_get_mark_price"))) == [MarkPrice(BTC, D("84660.1"))]
    index = frame("index-tickers", *rows(payloads, "http_get_index_price"), instrument_id=SPOT)
    assert found.ticks(index) == [IndexPrice(BTC, D(103895))]
    assert found.ticks(text(payloads, "ws_funding_rate")) == [
        FundingRate(BTC, D("0.0001"), 1_744_590_349_506_000, 1_744_619_149_506_000)  # type: ignore[arg-type]
    ]


def test_instruments_pushed_and_asked_for(payloads: Path) -> None:
    (told,) = desk().actions(text(payloads, "ws_instruments"))
    assert isinstance(told, InstrumentsTold)
    pushed = parse_instrument(told.rows[0], "test")
    assert (pushed.instrument_id, pushed.contract_value, pushed.tick_size) == (BTC, D("0.01"), D("0.1"))
    assert (pushed.lot_size, pushed.market_quantity_max, pushed.state) == (D(1), D(30000), InstrumentState.LIVE)
    for product in ("swap", "spot"):
        table = load_instruments(payloads / f"http_get_instruments_{product}.json")
        asked = rows(payloads, f"http_get_instruments_{product}")
        assert table.keys() == {row["instId"] for row in asked}
        for row in asked:
            found = table[row["instId"]]
            sizes = (found.lot_size, found.min_quantity, found.limit_quantity_max)
            assert sizes == tuple(D(row[name]) for name in ("lotSz", "minSz", "maxLmtSz"))
            at_market = found.market_quantity_max if product == "swap" else found.market_notional_max
            assert at_market == D(row["maxMktSz"])
            assert (found.tick_size, found.contract_value) == (D(row["tickSz"]), D(row["ctVal"] or 1))
            live = row["state"] == "live" and row.get("ctType") != "inverse"
            assert (found.state is InstrumentState.LIVE) == live
            assert found.instrument_id.startswith(f"{found.base_currency}-{found.quote_currency}")
    swaps = load_instruments(payloads / "http_get_instruments_swap.json")
    assert swaps["ETH-USDT-SWAP"].contract_value == D("0.1")
    assert swaps["BTC-USD-SWAP"].source.endswith(INVERSE_NOTE)
    spots = load_instruments(payloads / "http_get_instruments_spot.json")
    assert {each.kind for each in spots.values()} == {InstrumentKind.SPOT}
    assert spots["BTC-USD"].min_quantity == D("0.00001")


@pytest.mark.parametrize("product", ["FUTURES", "MARGIN", "OPTION"])
def test_products_that_are_not_traded_are_told_apart_by_their_type(payloads: Path, product: str) -> None:
    told = rows(payloads, f"http_get_instruments_{product.lower()}")
    assert {row["instType"] for row in told} == {product}
    pushed = json.dumps({"arg": {"channel": "instruments", "instType": product}, "data": told})
    assert desk().read(pushed) == ([], [])


def test_a_position_tier_counts_for_the_margin_mode_it_was_asked_for(payloads: Path) -> None:
    (row,) = rows(payloads, "http_get_position_tiers")
    expected = MarginTier(MarginMode.CROSS, 1, D(50), D("0.03"), D(10))  # type: ignore[arg-type]
    assert parse_tiers({**row, "tdMode": "cross"}) == [expected]


@pytest.mark.parametrize("name", ["ws_orders", "ws_orders_algo", "ws_account", "ws_sprd_orders"])
def test_private_frames_are_nothing_to_the_market_side(payloads: Path, name: str) -> None:
    found = desk()
    assert found.read(text(payloads, name)) == ([], [])
    assert found.counters.quarantined == 0


def test_settled_funding_is_what_was_paid_not_what_was_forecast(payloads: Path) -> None:
    exchange, start = Exchange(), 1_704_038_400_000_000
    exchange.answers["public_funding_rate_history"] = [json.loads(text(payloads, "http_get_funding_rate_history"))]
    found = asyncio.run(missing_settlements(api(exchange), BTC, start - 1, NOW))
    assert [parsed.event for parsed in found] == [
        FundingSettled(BTC, Rate(D("-0.00002")), Micros(start)),
        FundingSettled(BTC, Rate(D("0.00015")), Micros(1_704_067_200_000_000)),
    ]


def test_what_is_told_of_options_and_spreads_is_nothing_that_is_traded(payloads: Path) -> None:
    summary, spreads = rows(payloads, "http_get_option_summary"), rows(payloads, "http_get_spreads")
    assert {(row["instType"], row["instId"][:15]) for row in summary} == {("OPTION", "BTC-USD-241217-")}
    assert [row["sprdId"] for row in spreads] == ["ETH-USD-SWAP_ETH-USD-231229", "BTC-USDT_BTC-USDT-SWAP"]
    for channel, told in (("opt-summary", summary), ("sprd-public-trades", spreads)):
        found = desk()
        pushed = json.dumps({"arg": {"channel": channel, "instFamily": "BTC-USD"}, "data": told})
        assert found.read(pushed) == ([], [])
        assert (found.translator.unused, found.counters.quarantined) == ({f"channel {channel}": 1}, 0)
    with pytest.raises(KeyError):
        parse_instrument(spreads[0], "a spread is no instrument")


def test_option_greeks_recorded_without_their_frame_are_set_aside(payloads: Path) -> None:
    found = desk()
    found.read(text(payloads, "ws_opt_summary"))
    assert found.counters.quarantined == 1
