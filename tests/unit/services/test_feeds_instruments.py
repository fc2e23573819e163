"""The shipped table says what the definitions say; the venue's own replies are read and win over it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from schemas.events.common import MarginMode
from schemas.events.market import NO_MAXIMUM, InstrumentDefined, InstrumentKind, InstrumentState
from services.feeds import FeedError, load_instruments, open_feed, shipped_instruments


def numbers(row: InstrumentDefined) -> tuple[str, ...]:
    values = (row.contract_value, row.lot_size, row.min_quantity, row.tick_size, row.market_quantity_max)
    return tuple(format(value, "f") for value in values)


def test_the_table_holds_the_values_of_the_definitions() -> None:
    table = shipped_instruments()
    assert numbers(table["BTC-USDT-SWAP"]) == ("0.01", "0.01", "0.01", "0.1", "12000")
    assert numbers(table["ETH-USDT-SWAP"]) == ("0.1", "0.01", "0.01", "0.01", "20000")
    assert numbers(table["BTC-USDT"])[:4] == ("1", "0.00000001", "0.00001", "0.1")
    tiers = [tier for tier in table["BTC-USDT-SWAP"].tiers if tier.margin_mode is MarginMode.ISOLATED]
    assert [(str(tier.quantity_max), str(tier.mmr), str(tier.margin_leverage_max)) for tier in tiers] == [
        ("1000", "0.004", "100"),
        ("5000", "0.005", "66.66"),
        ("20000", "0.0075", "50"),
    ]


def test_at_least_twenty_swaps_ship_each_with_its_spot_pair_and_tiers() -> None:
    table = shipped_instruments()
    swaps = [row for row in table.values() if row.kind is InstrumentKind.SWAP and row.quote_currency == "USDT"]
    assert len(swaps) >= 20
    for row in swaps:
        assert row.instrument_id.removesuffix("-SWAP") in table
        for mode in (MarginMode.ISOLATED, MarginMode.CROSS):
            bounds = [tier.quantity_max for tier in row.tiers if tier.margin_mode is mode]
            assert bounds
            assert bounds == sorted(bounds)
        assert row.min_quantity % row.lot_size == 0


def test_every_row_is_dated_and_inverse_swaps_are_not_tradable() -> None:
    for row in shipped_instruments().values():
        assert "2026-09" in row.source
        assert (row.state is InstrumentState.LIVE) == (row.quote_currency != "USD")


def row(instrument_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "instId": instrument_id,
        "instType": "SWAP",
        "ctVal": "0.02",
        "ctMult": "1",
        "ctType": "linear",
        "lotSz": "1",
        "minSz": "1",
        "tickSz": "0.5",
        "maxMktSz": "100",
        "maxLmtSz": "1000",
        "state": "live",
    } | changes


def reply(folder: Path, *rows: dict[str, Any], name: str = "reply.json", code: str = "0") -> Path:
    path = folder / name
    path.write_text(json.dumps({"code": code, "msg": "", "data": list(rows)}))
    return path


def test_the_venues_own_reply_wins_over_the_table(tmp_path: Path) -> None:
    bars = tmp_path / "BTC-USDT-SWAP_1m_x.csv"
    bars.write_text("ts_ms,open,high,low,close,volume_base\n1742400000000,1,2,1,2,1\n")
    feed = open_feed([bars], instruments_file=reply(tmp_path, row("BTC-USDT-SWAP")))
    defined = next(event for _, event in feed if isinstance(event, InstrumentDefined))
    assert numbers(defined) == ("0.02", "1", "1", "0.5", "100")
    assert defined.source == "OKX reply in reply.json"


def test_an_instrument_only_the_reply_knows_can_be_imported(tmp_path: Path) -> None:
    bars = tmp_path / "NOPE-USDT-SWAP_1m_x.csv"
    bars.write_text("ts_ms,open,high,low,close,volume_base\n1742400000000,1,2,1,2,1\n")
    assert len(list(open_feed([bars], instruments_file=reply(tmp_path, row("NOPE-USDT-SWAP"))))) == 3


def test_tiers_join_their_instrument(tmp_path: Path) -> None:
    tier = {"instFamily": "BTC-USDT", "tier": "1", "mmr": "0.004", "maxSz": "1000", "maxLever": "100"}
    path = tmp_path / "both.jsonl"
    replies = [
        {"code": "0", "data": [row("BTC-USDT-SWAP"), row("BTC-USDT", instType="SPOT", ctVal="", ctMult="")]},
        {"code": "0", "data": [tier | {"tdMode": "cross", "maxSz": "2000"}, tier | {"tdMode": "isolated"}]},
    ]
    path.write_text("\n".join(map(json.dumps, replies)))
    found = load_instruments(path)
    assert [(tier.margin_mode, tier.quantity_max) for tier in found["BTC-USDT-SWAP"].tiers] == [
        (MarginMode.CROSS, Decimal(2000)),
        (MarginMode.ISOLATED, Decimal(1000)),
    ]
    assert found["BTC-USDT"].tiers == ()


SPOT = {"instType": "SPOT", "ctVal": "", "ctMult": "", "lotSz": "0.00000001", "maxMktSz": "1000000"}


def test_the_most_a_spot_market_order_may_be_is_a_value(tmp_path: Path) -> None:
    spot = load_instruments(reply(tmp_path, row("BTC-USDT", **SPOT)))["BTC-USDT"]
    assert (spot.market_notional_max, spot.market_quantity_max) == (Decimal(1_000_000), Decimal(1000))
    assert spot.market_maximum(Decimal(80_000)) == Decimal("12.5")
    assert spot.market_maximum(Decimal(30_000)) == Decimal("33.33333333")  # whole lots
    assert spot.market_maximum(Decimal(1)) == Decimal(1000)  # the quantity binds
    swap = load_instruments(reply(tmp_path, row("BTC-USDT-SWAP")))["BTC-USDT-SWAP"]
    assert swap.market_maximum(Decimal(80_000)) == swap.market_quantity_max == Decimal(100)


@pytest.mark.parametrize("changes", [{}, SPOT])
def test_an_empty_maximum_is_none(tmp_path: Path, changes: dict[str, str]) -> None:
    told = row("BTC-USDT", **{**changes, "maxMktSz": "", "maxLmtSz": ""})
    found = load_instruments(reply(tmp_path, told))["BTC-USDT"]
    assert found.limit_quantity_max == found.market_maximum(Decimal(80_000)) == NO_MAXIMUM


def test_the_table_bounds_spot_market_orders_by_value() -> None:
    spots = [each for each in shipped_instruments().values() if each.kind is InstrumentKind.SPOT]
    assert {each.market_notional_max for each in spots} == {Decimal(1_000_000)}


@pytest.mark.parametrize(
    ("state", "kept"), [("live", InstrumentState.LIVE), ("suspend", InstrumentState.SUSPEND), ("rebase", "SUSPEND")]
)
def test_a_state_nobody_knows_is_not_tradable(tmp_path: Path, state: str, kept: str) -> None:
    assert load_instruments(reply(tmp_path, row("BTC-USDT-SWAP", state=state)))["BTC-USDT-SWAP"].state == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "neither one JSON reply nor one a line"),
        ('{"code": "50011", "data": []}', "code '50011'"),
        ('{"code": "0", "data": []}', "no spot or swap instrument"),
        ("[1]", "not a reply"),
        (json.dumps({"code": "0", "data": [row("BTC-USDT-SWAP", lotSz="x")]}), "BTC-USDT-SWAP: lotSz='x'"),
        (json.dumps({"code": "0", "data": [{"instId": "A-USDT", "instType": "SPOT"}]}), "A-USDT: 'tickSz'"),
    ],
)
def test_a_reply_that_is_none_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "reply.json"
    path.write_text(text)
    with pytest.raises(FeedError, match=f"(?s)reply.json.*{said}"):
        load_instruments(path)


def test_a_missing_instruments_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none.json: cannot be read"):
        load_instruments(tmp_path / "none.json")
