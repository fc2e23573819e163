"""Read OKX's own replies: instruments and position tiers, as one reply, one a line, or recorded REST lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.events.common import MarginMode
from schemas.events.market import NO_MAXIMUM, InstrumentDefined, InstrumentKind, InstrumentState, MarginTier
from schemas.values import Money, Price, Quantity, Rate, Ratio
from services.feeds.model import BadLine, FeedError
from services.feeds.numbers import number, positive

INVERSE_NOTE = "; inverse contract, market data only: contract value in quote currency"
"""Ends the source of an inverse swap; its state is SUSPEND, so that nothing trades it."""

_STATES = {
    "live": InstrumentState.LIVE,
    "suspend": InstrumentState.SUSPEND,
    "preopen": InstrumentState.PREOPEN,
    "expired": InstrumentState.EXPIRED,
    "test": InstrumentState.TEST,
}
_MODES = {"isolated": MarginMode.ISOLATED, "cross": MarginMode.CROSS}


def load_instruments(path: Path) -> dict[str, InstrumentDefined]:
    """Return the spot pairs and swaps of a file of OKX replies, by id; later replies win.

    The file holds ``{"code": "0", "data": [...]}`` once, once a line, or inside recorded REST lines
    (``{"url": ..., "data": "<reply>"}``). Rows with ``mmr`` are position tiers and join their instrument; a row without
    ``tdMode`` counts for both margin modes. Other products are passed over. Raises FeedError naming file and row.
    """
    found: dict[str, InstrumentDefined] = {}
    tiers: dict[str, list[MarginTier]] = {}
    for row in _rows(path):
        name = str(row.get("instId") or row.get("instFamily") or row.get("uly") or "?")
        try:
            if "mmr" in row:
                tiers.setdefault(name, []).extend(parse_tiers(row))
            elif row.get("instType") in ("SPOT", "SWAP"):
                found[name] = parse_instrument(row, f"OKX reply in {path.name}")
        except (BadLine, KeyError) as error:
            raise FeedError(f"{path.name}: {name}: {error}") from error
    if not found:
        raise FeedError(f"{path.name}: no spot or swap instrument in it; expected OKX's GET /api/v5/public/instruments")
    return {name: replace(row, tiers=_tiers_of(row, tiers)) for name, row in found.items()}


def _tiers_of(row: InstrumentDefined, tiers: dict[str, list[MarginTier]]) -> tuple[MarginTier, ...]:
    if row.kind is InstrumentKind.SPOT:
        return ()
    family = f"{row.base_currency}-{row.quote_currency}"
    known = tiers.get(row.instrument_id) or tiers.get(family) or []
    return tuple(sorted(known, key=lambda tier: (tier.margin_mode.value, tier.tier)))


def parse_instrument(row: dict[str, Any], source: str) -> InstrumentDefined:
    """Return the instrument of one row of ``/api/v5/public/instruments``. Raises BadLine or KeyError.

    An inverse swap is kept as market data only: its contract value counts quote currency and its state is SUSPEND, so
    that nothing trades it. Source: OKX v5, instruments: ``maxMktSz`` counts contracts, but of spot USDT.
    """
    swap = row["instType"] == "SWAP"
    inverse = swap and row.get("ctType") == "inverse"
    base, quote = str(row["instId"]).split("-")[:2]
    return InstrumentDefined(
        instrument_id=row["instId"],
        kind=InstrumentKind.SWAP if swap else InstrumentKind.SPOT,
        base_currency=base,
        quote_currency=quote,
        contract_value=Quantity(positive(row["ctVal"] if swap else "1", "ctVal", "Quantity")),
        contract_multiplier=Quantity(positive((row.get("ctMult") or "1") if swap else "1", "ctMult", "Quantity")),
        tick_size=Price(positive(row["tickSz"], "tickSz", "Price")),
        lot_size=Quantity(positive(row["lotSz"], "lotSz", "Quantity")),
        min_quantity=Quantity(positive(row["minSz"], "minSz", "Quantity")),
        market_quantity_max=_maximum(row, "maxMktSz" if swap else "maxLmtSz"),
        limit_quantity_max=_maximum(row, "maxLmtSz"),
        state=InstrumentState.SUSPEND if inverse else parse_state(row),
        tiers=(),
        source=source + (INVERSE_NOTE if inverse else ""),
        market_notional_max=None
        if swap or not row["maxMktSz"]
        else Money(positive(row["maxMktSz"], "maxMktSz", "Money")),
    )


def _maximum(row: dict[str, Any], name: str) -> Quantity:
    """Return a maximum; OKX leaves it empty where it has none."""
    return Quantity(positive(row[name], name, "Quantity")) if row[name] else NO_MAXIMUM


def parse_state(row: dict[str, Any]) -> InstrumentState:
    """Return the state of a row; one that is not known is SUSPEND, so that nothing trades it. Raises KeyError."""
    return _STATES.get(row["state"], InstrumentState.SUSPEND)


def is_inverse(instrument: InstrumentDefined) -> bool:
    """Return whether the contract value counts quote currency (``BTC-USD-SWAP``)."""
    return instrument.kind is InstrumentKind.SWAP and instrument.quote_currency == "USD"


def base_quantity(instrument: InstrumentDefined, contracts: Decimal, price: Decimal) -> Quantity:
    """Return a recorded size in base currency; for spot the size already is.

    Source: domain definitions, section 1: linear ``contracts * ctVal * ctMult``, inverse ``contracts * ctVal / price``.
    """
    if instrument.kind is InstrumentKind.SPOT:
        return Quantity(contracts)
    value = contracts * instrument.contract_value * instrument.contract_multiplier
    return Quantity((value / price).quantize(_PLACES) if is_inverse(instrument) else value)


ToBase = Callable[[Decimal, Decimal], Quantity]
"""Turns a recorded size, at its price, into base currency."""

_PLACES = Decimal("1e-12")


def contracts_to_base(instrument: InstrumentDefined) -> ToBase:
    """Return the conversion of sizes the way OKX counts them."""
    return lambda size, price: base_quantity(instrument, size, price)


def already_base(size: Decimal, price: Decimal) -> Quantity:
    """Return a size that is recorded in base currency as it is."""
    return Quantity(size)


def parse_tiers(row: dict[str, Any]) -> list[MarginTier]:
    """Return a row of ``/api/v5/public/position-tiers``: for its ``tdMode``, or for both. Raises BadLine, KeyError."""
    modes = [_MODES[row["tdMode"]]] if row.get("tdMode") in _MODES else list(_MODES.values())
    return [
        MarginTier(
            mode,
            int(row["tier"]),
            Quantity(positive(row["maxSz"], "maxSz", "Quantity")),
            Rate(number(row["mmr"], "mmr", "Rate")),
            Ratio(positive(row["maxLever"], "maxLever", "Ratio")),
        )
        for mode in modes
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for reply in _replies(_text(path), path.name):
        if reply.get("code") not in ("0", None) or not isinstance(reply.get("data"), list):
            raise FeedError(
                f"{path.name}: not a reply of OKX's public API: code {reply.get('code')!r}, no list in data"
            )
        yield from (row for row in reply["data"] if isinstance(row, dict))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise FeedError(f"{path}: cannot be read: {error}") from error


def _replies(text: str, name: str) -> Iterator[dict[str, Any]]:
    try:
        whole = [json.loads(text)]
    except ValueError:
        try:
            whole = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise FeedError(f"{name}: neither one JSON reply nor one a line: {error}") from error
    for entry in whole:
        inner = json.loads(entry["data"]) if isinstance(entry, dict) and isinstance(entry.get("data"), str) else entry
        if not isinstance(inner, dict):
            raise FeedError(f"{name}: not a reply of OKX's public API")
        yield inner
