"""CSV files of trades and quotes become ticks, plain, gzipped or zipped."""

from __future__ import annotations

import gzip
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events.common import Side
from schemas.events.market import LineQuarantined, Quote, Trade
from services.feeds import FeedError, open_feed

OKX = "instrument_name,trade_id,side,price,size,created_time"
ROWS = "BTC-USDT-SWAP,11,buy,80000.1,3.5,1742400000123\nBTC-USDT-SWAP,12,sell,80000.0,1,1742400000124\n"
BTC = "BTC-USDT-SWAP"


def ticks(path: Path, *kinds: type) -> list[Any]:
    return [event for _, event in open_feed([path]) if isinstance(event, kinds)]


def pack(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner.csv", text)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["trades.csv", "trades.csv.gz", "trades.zip"])
@pytest.mark.parametrize("source", ["", ",source"])
def test_okx_published_trades_in_contracts(tmp_path: Path, name: str, source: str) -> None:
    rows = ROWS.replace("\n", ",0\n") if source else ROWS
    found = ticks(pack(tmp_path, name, f"{OKX}{source}\n{rows}"), Trade, LineQuarantined)
    assert found == [
        Trade(BTC, "11", Side.BUY, Decimal("80000.1"), Decimal("0.035")),
        Trade(BTC, "12", Side.SELL, Decimal("80000.0"), Decimal("0.01")),
    ]


def test_okx_published_trades_of_2021_take_the_instrument_from_the_file_name(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT-SWAP-trades-2021-10-01.csv"
    header = "trade_id/撮合id,side/交易方向,size/数量,price/价格,created_time/成交时间"
    path.write_bytes(f"{header}\n1,BUY,2.0,43800.1,1633017600000\n".encode("gbk"))
    assert ticks(path, Trade) == [Trade(BTC, "1", Side.BUY, Decimal("43800.1"), Decimal("0.020"))]


def test_the_same_trade_has_one_id_from_a_daily_file_and_from_a_recording(tmp_path: Path) -> None:
    daily = pack(tmp_path, "t.csv", f"{OKX}\n{ROWS}")
    raw = tmp_path / "r.jsonl"
    row = '{"tradeId":"11","px":"80000.1","sz":"3.5","side":"buy","ts":"1742400000123"}'
    raw.write_text('{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[' + row + "]}\n")
    first = next(tick for tick in open_feed([daily]) if isinstance(tick[1], Trade))
    other = next(tick for tick in open_feed([raw]) if isinstance(tick[1], Trade))
    assert first == other


def test_a_bad_trade_is_kept(tmp_path: Path) -> None:
    bad = "BTC-USDT-SWAP,13,up,1,1,1742400000125\nBTC-USDT-SWAP,,buy,1,1,1742400000125\n"
    found = ticks(pack(tmp_path, "t.csv", f"{OKX}\n{ROWS}{bad}"), LineQuarantined)
    assert [event.reason for event in found] == ["side='up' is neither buy nor sell", "no trade id"]


def test_an_unknown_instrument_in_a_row_ends_the_import(tmp_path: Path) -> None:
    path = pack(tmp_path, "t.csv", f"{OKX}\nNOPE-USDT,11,buy,1,1,1742400000123\n")
    with pytest.raises(FeedError, match="instrument NOPE-USDT is not in"):
        list(open_feed([path]))


def test_tardis_trades_and_quotes(tmp_path: Path) -> None:
    stamps = "1582329602111000,1582329602418379"
    trades = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
    path = pack(tmp_path, "a.csv.gz", f"{trades}binance-futures,BTCUSDT,{stamps},42,buy,9682,0.132\n")
    (tick,) = [tick for tick in open_feed([path]) if isinstance(tick[1], Trade)]
    assert tick[1] == Trade(BTC, "42", Side.BUY, Decimal(9682), Decimal("0.132"))
    assert (tick[0].ts_event, tick[0].ts_ingest) == (1582329602111000, 1582329602418379)
    quotes = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
    path = pack(tmp_path, "b.csv", f"{quotes}okex-swap,BTC-USDT-SWAP,{stamps},84,9682,9681.9,67\n")
    assert ticks(path, Quote) == [Quote(BTC, Decimal("9681.9"), Decimal("0.67"), Decimal(9682), Decimal("0.84"))]


def test_bare_trades_are_numbered_inside_their_second(tmp_path: Path) -> None:
    rows = "1605499846,15993.5,0.026472,ANY\n1605499846,15993.5,0.026472,ANY\n1605499847,15994,1,SELL\n"
    found = ticks(pack(tmp_path, "BTCUSDT_trades_x.csv", rows), Trade)
    assert [(trade.trade_id, trade.side) for trade in found] == [
        ("1605499846-0", Side.UNKNOWN),
        ("1605499846-1", Side.UNKNOWN),
        ("1605499847-0", Side.SELL),
    ]
    assert found[0].instrument_id == "BTC-USDT"


def test_a_damaged_zip_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path, "t.zip", f"{OKX}\n{ROWS}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FeedError, match=r"t.zip: damaged after line 0"):
        open_feed([path])
