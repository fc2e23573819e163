"""Our intents in OKX's words: the parameters of a request, every number exact text. Pure; decides nothing.

An order that cannot be written exactly (a size that is no multiple of the lot, a price between two ticks, a unit that
does not belong to the product) is refused here, before anything is sent: rounding was the business of others.

Source: OKX v5, place / amend / cancel order and algo order; ``okx.md`` sections 1 to 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from schemas.events.common import (
    MarginMode,
    OrderPurpose,
    OrderType,
    PositionSide,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.events.market import InstrumentDefined, InstrumentKind
from schemas.events.orders import AmendIntended, OrderIntended
from schemas.values import plain
from services.gateways.okx.facts import PositionMode
from services.gateways.okx.venue import is_algo

Parameters = dict[str, Any]

ENTRY_TAG = "tapelineentry"
"""Tag of resting entries: the dead man's switch cancels what carries it. At most 16 characters."""
AT_MARKET = "-1"
"""OKX's price of an order that an algo order sends at market."""
SPOT_SLIPPAGE_MAX = "0.02"
"""How far a spot market buy may go from the best price, as a fraction: what `collar_pct` lets a plan be off by default.

Source: OKX v5, place order, ``slippagePct``: 0 to 0.05, of market orders sized in the currency they receive; left out
it is 0, and what would go further is refused (54084).
"""

_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_MARGIN = {MarginMode.ISOLATED: "isolated", MarginMode.CROSS: "cross", MarginMode.CASH: "cash"}
_TRIGGER = {TriggerPriceType.LAST: "last", TriggerPriceType.MARK: "mark", TriggerPriceType.INDEX: "index"}


class NotSendable(ValueError):
    """An intent that OKX's terms cannot express exactly; nothing was sent. Names the field."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to send where: ``path`` below ``/api/v5/``; cancels of algo orders travel as a list."""

    path: str
    parameters: Parameters | list[Parameters]
    algo: bool


def place(order: OrderIntended, instrument: InstrumentDefined, mode: PositionMode) -> Request:
    """Return the request that places an order. Raises NotSendable."""
    _check(order, instrument)
    common = {
        "instId": order.instrument_id,
        "tdMode": _MARGIN[order.margin_mode],
        "side": order.side.value.lower(),
        "sz": _size(order.quantity, instrument),
        **_position(order, instrument, mode),
        **_quote_currency(instrument),
    }
    if is_algo(order):
        return Request("trade/order-algo", {**common, **_algo(order, instrument)}, algo=True)
    return Request("trade/order", {**common, **_regular(order, instrument)}, algo=False)


def amend(change: AmendIntended, order: OrderIntended, instrument: InstrumentDefined) -> Request:
    """Return the request that changes an order: total size and, of a stop, its trigger. Raises NotSendable."""
    if change.client_order_id != order.client_order_id:
        raise NotSendable(f"client_order_id: the change is for {change.client_order_id}")
    if change.quantity is None and change.trigger_price is None:
        raise NotSendable("quantity, trigger_price: nothing to change")
    wanted: Parameters = {"instId": order.instrument_id}
    if change.quantity is not None:
        wanted["newSz"] = _size(change.quantity, instrument)
    if not is_algo(order):
        if change.trigger_price is not None:
            raise NotSendable("trigger_price: only a stop has one")
        return Request("trade/amend-order", {**wanted, "clOrdId": order.client_order_id}, algo=False)
    if change.trigger_price is not None:
        trigger = _price("trigger_price", change.trigger_price, instrument)
        wanted.update(_new_trigger(order, instrument, trigger))
    return Request("trade/amend-algos", {**wanted, "algoClOrdId": order.client_order_id}, algo=True)


def cancel(order: OrderIntended) -> Request:
    """Return the request that takes an order away."""
    if is_algo(order):
        row = {"instId": order.instrument_id, "algoClOrdId": order.client_order_id}
        return Request("trade/cancel-algos", [row], algo=True)
    return Request("trade/cancel-order", {"instId": order.instrument_id, "clOrdId": order.client_order_id}, algo=False)


def _regular(order: OrderIntended, instrument: InstrumentDefined) -> Parameters:
    wanted: Parameters = {"clOrdId": order.client_order_id}
    if order.purpose is OrderPurpose.ENTRY:
        wanted["tag"] = ENTRY_TAG
    if order.type is OrderType.MARKET:
        if order.post_only:
            raise NotSendable("post_only: a market order takes")
        spot = _spot_market(order) if instrument.kind is InstrumentKind.SPOT else {}
        return {**wanted, "ordType": "market", **spot}
    price = _price("limit_price", order.limit_price, instrument)
    return {**wanted, "ordType": "post_only" if order.post_only else "limit", "px": price}


def _spot_market(order: OrderIntended) -> Parameters:
    """Return what a spot market order adds: its size is base, and a buy is as large as approved or not at all.

    OKX would cut a size to the balance. A sale may be cut: it closes what there is.
    """
    if order.side is not Side.BUY:
        return {"tgtCcy": "base_ccy"}
    return {"tgtCcy": "base_ccy", "banAmend": True, "slippagePct": SPOT_SLIPPAGE_MAX}


def _algo(order: OrderIntended, instrument: InstrumentDefined) -> Parameters:
    """Return what makes it a stop. ``clOrdId`` repeats the id: ccxt would put a broker's random one there."""
    trigger = _price("trigger_price", order.trigger_price, instrument)
    if order.trigger_price_type is None:
        raise NotSendable("trigger_price_type: a stop must say what it watches")
    if instrument.kind is InstrumentKind.SPOT and order.trigger_price_type is not TriggerPriceType.LAST:
        raise NotSendable(f"trigger_price_type={order.trigger_price_type}: spot has LAST only")
    watched = _TRIGGER[order.trigger_price_type]
    ids = {"algoClOrdId": order.client_order_id, "clOrdId": order.client_order_id}
    if _is_trigger(order, instrument):
        return {
            **ids, "ordType": "trigger", "triggerPx": trigger, "triggerPxType": watched, "orderPx": AT_MARKET
        }  # fmt: skip
    # OKX: only of a spot market buy; a sell counts base anyway.
    buys_spot = instrument.kind is InstrumentKind.SPOT and order.side is Side.BUY
    spot = {"tgtCcy": "base_ccy"} if buys_spot else {}
    stop = {"slTriggerPx": trigger, "slTriggerPxType": watched, "slOrdPx": AT_MARKET}
    return {**ids, "ordType": "conditional", **stop, **spot}


def _is_trigger(order: OrderIntended, instrument: InstrumentDefined) -> bool:
    """Return whether a stop is a trigger order: an entry into a swap (in net mode too; some accounts answer 51298).

    A spot entry is a conditional order: there alone OKX takes the unit of a market buy (51281: not of a trigger order).
    """
    return order.purpose is OrderPurpose.ENTRY and instrument.kind is InstrumentKind.SWAP


def _new_trigger(order: OrderIntended, instrument: InstrumentDefined, trigger: str) -> Parameters:
    """Return a new trigger, whole: what is left out of it OKX may set to its default, which watches the last price."""
    watched = {} if order.trigger_price_type is None else {"Type": _TRIGGER[order.trigger_price_type]}
    price, at = ("newTriggerPx", "newOrdPx") if _is_trigger(order, instrument) else ("newSlTriggerPx", "newSlOrdPx")
    return {price: trigger, **{price + name: value for name, value in watched.items()}, at: AT_MARKET}


def _position(order: OrderIntended, instrument: InstrumentDefined, mode: PositionMode) -> Parameters:
    """Return which position is meant. Long/short mode knows no reduce-only: side and position side say it."""
    if instrument.kind is InstrumentKind.SPOT:
        return {}
    if mode is PositionMode.LONG_SHORT:
        _check_direction(order)
        return {"posSide": order.position_side.value.lower()}
    return {"posSide": "net", "reduceOnly": True} if order.reduce_only else {"posSide": "net"}


def _quote_currency(instrument: InstrumentDefined) -> Parameters:
    """Return what a spot pair is paid in, said aloud: it is the default, and mandatory where an account has several."""
    return {"tradeQuoteCcy": instrument.quote_currency} if instrument.kind is InstrumentKind.SPOT else {}


def _check_direction(order: OrderIntended) -> None:
    """Refuse an order that in long/short mode would open where it should reduce, or the other way round."""
    opens = (order.side.value == "BUY") == (order.position_side is PositionSide.LONG)
    if opens == order.reduce_only:
        what = "opens" if opens else "reduces"
        raise NotSendable(
            f"side={order.side}: {what} a {order.position_side} position, but reduce_only={order.reduce_only}"
        )


def _check(order: OrderIntended, instrument: InstrumentDefined) -> None:
    if order.instrument_id != instrument.instrument_id:
        raise NotSendable(f"instrument_id={order.instrument_id}: the instrument given is {instrument.instrument_id}")
    if _ID.fullmatch(order.client_order_id) is None:
        raise NotSendable(f"client_order_id={order.client_order_id!r}: 1 to 32 letters and digits")
    spot = instrument.kind is InstrumentKind.SPOT
    unit = QuantityUnit.BASE if spot else QuantityUnit.CONTRACT
    if order.quantity_unit is not unit:
        raise NotSendable(f"quantity_unit={order.quantity_unit}: {instrument.instrument_id} counts {unit}")
    if spot != (order.margin_mode is MarginMode.CASH):
        raise NotSendable(f"margin_mode={order.margin_mode}: not for {instrument.kind} {instrument.instrument_id}")
    if order.side.value not in ("BUY", "SELL"):
        raise NotSendable(f"side={order.side}: BUY or SELL")


def _size(quantity: Decimal, instrument: InstrumentDefined) -> str:
    if quantity <= 0 or quantity % instrument.lot_size:
        raise NotSendable(f"quantity={plain(quantity)}: no positive multiple of the lot {plain(instrument.lot_size)}")
    if quantity < instrument.min_quantity:
        raise NotSendable(f"quantity={plain(quantity)}: below the minimum {plain(instrument.min_quantity)}")
    return plain(quantity)


def _price(name: str, price: Decimal | None, instrument: InstrumentDefined) -> str:
    if price is None or price <= 0 or price % instrument.tick_size:
        shown = "missing" if price is None else plain(price)
        raise NotSendable(f"{name}={shown}: no positive multiple of the tick {plain(instrument.tick_size)}")
    return plain(price)
