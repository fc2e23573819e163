"""Every field of every recorded private payload, against the text OKX wrote: read here a second time, in its words.

The tables say how each field of ours follows from the raw row. A field that is in no table fails, so none is unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.gateways.okx import replies
from tests.okx_payloads import PRIVATE, Recorded

pytestmark = pytest.mark.recorded
Row = Mapping[str, Any]
Field = Callable[[Row], Any]


def number(name: str, sign: int = 1) -> Field:
    """Return the number in a field; empty or absent is zero."""
    return lambda row: sign * Decimal(row.get(name) or 0)


def price(name: str) -> Field:
    """Return the price in a field; OKX writes none as empty text, 0 or -1."""
    return lambda row: Decimal(row[name]) if Decimal(row.get(name) or 0) > 0 else None


def words(name: str, empty: str | None = "") -> Field:
    """Return the text in a field, or what stands for an empty one."""
    return lambda row: row.get(name) or empty


def micros(*names: str) -> Field:
    """Return the first time there is, of milliseconds, in microseconds."""
    return lambda row: next(int(row[name]) * 1000 for name in names if row.get(name, "0") not in ("", "0"))


def coded(name: str, table: Mapping[str, str | None]) -> Field:
    """Return what a code of OKX's stands for."""
    return lambda row: table[row.get(name, "")]


def always(value: object) -> Field:
    """Return a value whatever the row says."""
    return lambda _: value


SIDE = coded("side", {"buy": "BUY", "sell": "SELL"})
POSITION_SIDE = coded("posSide", {"long": "LONG", "short": "SHORT", "net": None, "": None})
CATEGORY = {"normal": "NORMAL", "": "NORMAL", "full_liquidation": "LIQUIDATION", "adl": "ADL"}


def instrument(row: Row) -> str:
    """A spread is traded like an instrument."""
    found: str = row["sprdId"] if "sprdId" in row else row["instId"]
    return found


def at_market(row: Row) -> bool:
    return row["ordType"] in ("market", "optimal_limit_ioc") or not row["px"]


def size_unit(row: Row) -> str:
    """Contracts; on spot (or by cash) the base currency, but what a market order says with ``tgtCcy`` is quote."""
    if row.get("instType") not in ("SPOT", "MARGIN"):
        return "CONTRACT"
    return "QUOTE" if at_market(row) and row["tgtCcy"] == "quote_ccy" else "BASE"


ORDER: dict[str, Field] = {
    "client_order_id": words("clOrdId", None),
    "venue_order_id": words("ordId"),
    "instrument_id": instrument,
    "is_algo": always(False),
    "side": SIDE,
    "position_side": POSITION_SIDE,
    "type": lambda row: "MARKET" if at_market(row) else "LIMIT",
    "status": coded("state", {"live": "RESTING", "partially_filled": "PARTIALLY_FILLED", "filled": "FILLED"}),
    "quantity": number("sz"),
    "quantity_unit": size_unit,
    "filled_quantity": number("accFillSz"),
    "avg_price": price("avgPx"),
    "limit_price": lambda row: None if at_market(row) else price("px")(row),
    "trigger_price": always(None),
    "trigger_price_type": always(None),
    "post_only": lambda row: row["ordType"] == "post_only",
    "reduce_only": lambda row: row.get("reduceOnly") == "true",
    "category": coded("category", CATEGORY),
    "tag": words("tag"),
    "ts_created": micros("cTime"),
    "ts_updated": micros("uTime", "cTime"),
    "cancel_code": words("cancelSource"),
    "amend_result": coded("amendResult", {"": None}),
    "child_order_ids": always(()),
}


def trigger(*names: str) -> Field:
    """Return a field of the trigger there is; of a stop and a target the stop's."""
    return lambda row: next((row[name] for name in names if row.get(name)), "")


def of_trigger(name: str) -> Field:
    return trigger(*(f"{prefix}{name}" for prefix in ("sl", "tp")), name[0].lower() + name[1:])


ALGO_ORDER: dict[str, Field] = {
    **ORDER,
    "client_order_id": words("algoClOrdId", None),
    "venue_order_id": words("algoId"),
    "is_algo": always(True),
    "type": always("STOP"),
    "status": coded(
        "state",
        {"live": "RESTING", "effective": "TRIGGERED", "canceled": "CANCELED", "filled": "FILLED"}
        | {"order_placed": "TRIGGERED"},
    ),
    "quantity_unit": always("CONTRACT"),
    "filled_quantity": always(0),
    "avg_price": always(None),
    "limit_price": lambda row: price("of")({"of": of_trigger("OrdPx")(row)}),
    "trigger_price": lambda row: Decimal(of_trigger("TriggerPx")(row)),
    "trigger_price_type": lambda row: of_trigger("TriggerPxType")(row).upper(),
    "category": always("NORMAL"),
    "cancel_code": words("failCode"),
    "child_order_ids": lambda row: tuple(row.get("ordIdList") or filter(None, [row.get("ordId")])),
}
EXECUTION: dict[str, Field] = {
    "client_order_id": words("clOrdId", None),
    "venue_order_id": words("ordId"),
    "instrument_id": instrument,
    "trade_id": words("tradeId"),
    "side": SIDE,
    "position_side": POSITION_SIDE,
    "last_quantity": number("fillSz"),
    "last_price": price("fillPx"),
    "liquidity": coded("execType", {"M": "MAKER", "T": "TAKER", "": "TAKER"}),
    "fee": number("fee", -1),
    "fee_currency": words("feeCcy"),
    "category": coded("category", CATEGORY),
    "ts_event": micros("fillTime", "ts"),
}
EXECUTION_OF_UPDATE: dict[str, Field] = {
    **EXECUTION,
    "fee": lambda row: number("fillFee" if row.get("fillFee") else "fee", -1)(row),
    "fee_currency": lambda row: row["fillFeeCcy"] if row.get("fillFee") else row["feeCcy"],
}
HOLDING: dict[str, Field] = {
    "instrument_id": instrument,
    "position_side": POSITION_SIDE,
    "quantity": lambda row: number("pos", -1 if row["posSide"] == "short" else 1)(row),
    "avg_entry_price": price("avgPx"),
    "margin_mode": coded("mgnMode", {"isolated": "ISOLATED", "cross": "CROSS"}),
    "margin_leverage": number("lever"),
    "margin": lambda row: number("margin")(row) if row["mgnMode"] == "isolated" else None,
    "mark_price": price("markPx"),
    "liquidation_price": price("liqPx"),
    "unrealized_pnl": number("upl"),
    "ts_updated": micros("uTime"),
}


def wire(name: str) -> Field:
    """Return an amount rounded to the twelve places of the wire; OKX computes with more."""
    return lambda row: Decimal(row.get(name) or 0).quantize(Decimal(1).scaleb(-12))


BALANCE: dict[str, Field] = {
    "currency": words("ccy"),
    "cash": wire("cashBal"),
    "available": wire("availBal"),
    "frozen": wire("frozenBal"),
    "equity": wire("eq"),
    "ts_updated": micros("uTime"),
}
CLOSED_POSITION: dict[str, Field] = {
    "position_id": words("posId"),
    "instrument_id": instrument,
    "direction": lambda row: row["direction"].upper(),
    "closed_quantity": number("closeTotalPos"),
    "avg_entry_price": price("openAvgPx"),
    "avg_exit_price": price("closeAvgPx"),
    "realized_pnl": number("realizedPnl"),
    "gross_pnl": number("pnl"),
    "fees": number("fee", -1),
    "funding": number("fundingFee"),
    "liquidation_penalty": number("liqPenalty", -1),
    "settled_pnl": number("settledPnl"),
    "ts_opened": micros("cTime"),
    "ts_updated": micros("uTime"),
}
FEE_RATES: dict[str, Field] = {
    "maker": lambda row: number("makerU" if row["makerU"] else "maker", -1)(row),
    "taker": lambda row: number("takerU" if row["takerU"] else "taker", -1)(row),
}
MEANS: dict[str, dict[str, Field]] = {
    "order": ORDER,
    "algo_order": ALGO_ORDER,
    "execution": EXECUTION,
    "execution_of_update": EXECUTION_OF_UPDATE,
    "holding": HOLDING,
    "closed_position": CLOSED_POSITION,
    "balance": BALANCE,
    "fee_rates": FEE_RATES,
}


@pytest.fixture
def recorded(shared_data: Path) -> Recorded:
    return Recorded(shared_data / "okx" / "payloads")


def differences(found: Any, row: Row, means: Mapping[str, Field]) -> dict[str, tuple[object, object]]:
    """Return the fields that do not say what the row says: ours, and what it should be."""
    assert means.keys() == {field.name for field in fields(found)}
    said = {name: (getattr(found, name), means[name](row)) for name in means}
    return {name: pair for name, pair in said.items() if pair[0] != pair[1]}


@pytest.mark.parametrize(("reader", "name"), [(reader, name) for reader, names in PRIVATE.items() for name in names])
def test_every_field_of_every_private_payload_says_what_okx_wrote(recorded: Recorded, reader: str, name: str) -> None:
    rows = recorded.rows(name)
    assert rows
    for row in rows:
        found = getattr(replies, reader)(row)
        if reader == "position_mode":
            assert (found, row) == ("LONG_SHORT", {"posMode": "long_short_mode"})
        elif reader == "balances":
            assert len(found) == len(row["details"])
            assert [differences(one, detail, BALANCE) for one, detail in zip(found, row["details"], strict=True)] == [
                {} for _ in found
            ]
        else:
            assert differences(found, row, MEANS[reader]) == {}
        if reader == "order" and "/ws" in name:  # asked for, the fills are in the transaction details
            filled = row.get("tradeId") not in (None, "", "0") and Decimal(row["fillSz"] or 0) > 0
            assert replies.has_execution(row) == filled
            if filled:
                assert differences(replies.execution_of_update(row), row, EXECUTION_OF_UPDATE) == {}
