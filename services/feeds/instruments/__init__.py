"""Instrument metadata for recorded runs: a dated table that ships, and the venue's own replies where they are given."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from schemas.events.common import MarginMode
from schemas.events.market import InstrumentDefined, InstrumentKind, InstrumentState, MarginTier
from schemas.values import Money, Price, Quantity, Rate, Ratio
from services.feeds.instruments.okx import INVERSE_NOTE, load_instruments
from services.feeds.numbers import positive

__all__ = ["TABLE_FILE", "load_instruments", "shipped_instruments"]

TABLE_FILE = Path(__file__).parent / "okx-2026-09.json"
"""The dated table: the most traded USDT swaps of OKX and their spot pairs."""


@cache
def _table() -> tuple[InstrumentDefined, ...]:
    table = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    tiers = {name: _tiers(modes) for name, modes in table["tiers"].items()}
    swaps = [_defined(row, InstrumentKind.SWAP, tiers[row["tiers"]], table["source"]) for row in table["swaps"]]
    spots = [_defined(row, InstrumentKind.SPOT, (), table["source"]) for row in table["spots"]]
    source = table["source"] + INVERSE_NOTE
    inverse = [
        replace(_defined(row, InstrumentKind.SWAP, (), source), state=InstrumentState.SUSPEND)
        for row in table["inverse"]
    ]
    return (*swaps, *spots, *inverse)


def shipped_instruments() -> dict[str, InstrumentDefined]:
    """Return the instruments of the table that ships with Tapeline, by id."""
    return {row.instrument_id: row for row in _table()}


def _tiers(modes: dict[str, list[list[str]]]) -> tuple[MarginTier, ...]:
    return tuple(
        MarginTier(
            MarginMode(mode),
            index,
            Quantity(positive(quantity_max, "quantity_max", "Quantity")),
            Rate(positive(mmr, "mmr", "Rate")),
            Ratio(positive(leverage_max, "margin_leverage_max", "Ratio")),
        )
        for mode, rows in modes.items()
        for index, (quantity_max, mmr, leverage_max) in enumerate(rows, 1)
    )


def _defined(
    row: dict[str, Any], kind: InstrumentKind, tiers: tuple[MarginTier, ...], source: str
) -> InstrumentDefined:
    base, quote = row["instrument_id"].split("-")[:2]
    largest, value = row.get("market_quantity_max", row["limit_quantity_max"]), row.get("market_notional_max")
    return InstrumentDefined(
        instrument_id=row["instrument_id"],
        kind=kind,
        base_currency=base,
        quote_currency=quote,
        contract_value=Quantity(positive(row.get("contract_value", "1"), "contract_value", "Quantity")),
        contract_multiplier=Quantity(positive("1", "contract_multiplier", "Quantity")),
        tick_size=Price(positive(row["tick_size"], "tick_size", "Price")),
        lot_size=Quantity(positive(row["lot_size"], "lot_size", "Quantity")),
        min_quantity=Quantity(positive(row["min_quantity"], "min_quantity", "Quantity")),
        market_quantity_max=Quantity(positive(largest, "market_quantity_max", "Quantity")),
        limit_quantity_max=Quantity(positive(row["limit_quantity_max"], "limit_quantity_max", "Quantity")),
        state=InstrumentState.LIVE,
        tiers=tiers,
        source=source,
        market_notional_max=None if value is None else Money(positive(value, "market_notional_max", "Money")),
    )
