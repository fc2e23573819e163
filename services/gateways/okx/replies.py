"""OKX's rows in our words: orders, algo orders, fills, positions, balances, ledger lines, account. Pure.

What is not known is refused (``PayloadError``), never guessed: a state, a side or a category that is new must be looked
at. Signs: OKX's fees are negative when paid and ours positive; a short position is negative in either position mode.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal

from schemas.events.common import Liquidity, MarginMode, OrderType, PositionSide, QuantityUnit, Side, TriggerPriceType
from schemas.values import Micros, Money, Price, Quantity, Rate, quantity
from services.gateways.okx import fields
from services.gateways.okx.facts import (
    AccountConfig,
    AmendResult,
    BillKind,
    Category,
    ClosedPosition,
    FeeRates,
    OrderStatus,
    PositionMode,
    VenueBalance,
    VenueBill,
    VenueExecution,
    VenueHolding,
    VenueOrder,
)
from services.gateways.okx.fields import PayloadError, Row

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
POSITION_SIDES = {"long": PositionSide.LONG, "short": PositionSide.SHORT, "net": None, "": None}
LIQUIDITIES = {"M": Liquidity.MAKER, "T": Liquidity.TAKER, "": Liquidity.TAKER}
"""Left out: a forced close, which takes; the fee is the venue's own either way."""
MARGIN_MODES = {"isolated": MarginMode.ISOLATED, "cross": MarginMode.CROSS, "cash": MarginMode.CASH}
TRIGGERS = {"last": TriggerPriceType.LAST, "mark": TriggerPriceType.MARK, "index": TriggerPriceType.INDEX}
POSITION_MODES = {"net_mode": PositionMode.NET, "long_short_mode": PositionMode.LONG_SHORT}
ORDER_STATES = {
    "live": OrderStatus.RESTING,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "mmp_canceled": OrderStatus.CANCELED,
}
ALGO_STATES = {
    "live": OrderStatus.RESTING,
    "pause": OrderStatus.RESTING,
    "partially_effective": OrderStatus.TRIGGERED,
    "effective": OrderStatus.TRIGGERED,
    "order_placed": OrderStatus.TRIGGERED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "order_failed": OrderStatus.FAILED,
    "partially_failed": OrderStatus.FAILED,
}
"""Source: OKX v5, algo order details and channel; ``order_placed`` and ``filled`` are in recorded messages only."""
CATEGORIES = {
    "normal": Category.NORMAL,
    "full_liquidation": Category.LIQUIDATION,
    "partial_liquidation": Category.LIQUIDATION,
    "adl": Category.ADL,
    "": Category.NORMAL,
}
"""Every other one is OTHER: twap, delivery, ddh, auto_conversion."""
AMEND_RESULTS = {"0": AmendResult.DONE, "1": AmendResult.CANCELED, "-1": AmendResult.REVERTED}
"""Source: OKX v5, order channel: -1 failure, 0 success, 1 canceled because the amendment failed."""
MARKET_TYPES = ("market", "optimal_limit_ioc")
LIQUIDATION_SUBTYPES = frozenset(map(str, range(100, 108)))
"""Not 110 and 111: they turn one currency into another while an account is liquidated, and close no position."""
ADL_SUBTYPES = frozenset({"125", "126", "127", "128"})
BILL_KINDS = {
    "1": BillKind.TRANSFER,
    "2": BillKind.TRADE,
    "5": BillKind.LIQUIDATION,
    "7": BillKind.INTEREST,
    "8": BillKind.FUNDING,
    "9": BillKind.ADL,
    "10": BillKind.CLAWBACK,
}
"""Source: OKX v5, bill types."""

Owner = Callable[[str], str | None]
"""Returns our client order id of an algo order by the venue's ``algoId``, where it is known."""


def nobody(algo_id: str) -> str | None:
    """Return None: no algo order is known."""
    return None


def order(row: Row, owner: Owner = nobody) -> VenueOrder:
    """Return an order of the order book. Raises PayloadError."""
    limit_price = fields.exact_price(row, "px")
    order_type = fields.required(row, "ordType")
    at_market = order_type in MARKET_TYPES or limit_price is None
    return VenueOrder(
        client_order_id=client_order_id(row, owner),
        venue_order_id=fields.required(row, "ordId"),
        instrument_id=_instrument(row),
        is_algo=False,
        side=fields.one_of(row, "side", SIDES),
        position_side=fields.one_of(row, "posSide", POSITION_SIDES),
        type=OrderType.MARKET if at_market else OrderType.LIMIT,
        status=fields.one_of(row, "state", ORDER_STATES),
        quantity=fields.exact_quantity(row, "sz"),
        quantity_unit=_unit(row, at_market=at_market),
        filled_quantity=fields.exact_quantity(row, "accFillSz"),
        avg_price=fields.average_price(row, "avgPx"),
        limit_price=None if at_market else limit_price,
        trigger_price=None,
        trigger_price_type=None,
        post_only=order_type in ("post_only", "mmp_and_post_only"),
        reduce_only=fields.flag(row, "reduceOnly"),
        category=CATEGORIES.get(fields.text(row, "category"), Category.OTHER),
        tag=fields.text(row, "tag"),
        ts_created=fields.first_moment(row, "cTime"),
        ts_updated=fields.first_moment(row, "uTime", "cTime"),
        cancel_code=fields.text(row, "cancelSource"),
        amend_result=AMEND_RESULTS.get(fields.text(row, "amendResult")),
    )


def client_order_id(row: Row, owner: Owner) -> str | None:
    """Return our id of an order: the algo order's where it came from one, else its own."""
    named = fields.text(row, "algoClOrdId")
    if named:
        return named
    linked = row.get("linkedAlgoOrd")
    algo_id = fields.text(row, "algoId") or (fields.text(linked, "algoId") if isinstance(linked, dict) else "")
    known = owner(algo_id) if algo_id else None
    return known or fields.text(row, "clOrdId") or None


def algo_order(row: Row) -> VenueOrder:
    """Return an algo order. quantity 0: it closes whatever is held (``closeFraction``). Raises PayloadError."""
    trigger, source, order_price = _trigger(row)
    children = row.get("ordIdList") or [fields.text(row, "ordId")]
    return VenueOrder(
        client_order_id=fields.text(row, "algoClOrdId") or None,
        venue_order_id=fields.required(row, "algoId"),
        instrument_id=_instrument(row),
        is_algo=True,
        side=fields.one_of(row, "side", SIDES),
        position_side=fields.one_of(row, "posSide", POSITION_SIDES),
        type=OrderType.STOP,
        status=fields.one_of(row, "state", ALGO_STATES),
        quantity=fields.exact_quantity(row, "sz"),
        quantity_unit=_unit(row, at_market=order_price is None),
        filled_quantity=Quantity(Decimal(0)),
        avg_price=None,
        limit_price=order_price,
        trigger_price=trigger,
        trigger_price_type=source,
        post_only=False,
        reduce_only=fields.flag(row, "reduceOnly"),
        category=Category.NORMAL,
        tag=fields.text(row, "tag"),
        ts_created=fields.first_moment(row, "cTime"),
        ts_updated=fields.first_moment(row, "uTime", "cTime"),
        cancel_code=fields.text(row, "failCode"),
        amend_result=AMEND_RESULTS.get(fields.text(row, "amendResult")),
        child_order_ids=tuple(child for child in children if child),
    )


def _trigger(row: Row) -> tuple[Price | None, TriggerPriceType | None, Price | None]:
    """Return trigger price, what it watches and the price of the order it becomes; a stop before a target (OCO)."""
    for prefix, order_price in (("sl", "slOrdPx"), ("tp", "tpOrdPx"), ("", "ordPx")):
        name = f"{prefix}TriggerPx" if prefix else "triggerPx"
        value = fields.exact_price(row, name)
        if value is not None:
            source = fields.text(row, name + "Type")
            return value, TRIGGERS.get(source, TriggerPriceType.LAST), fields.exact_price(row, order_price)
    return None, None, None


def _unit(row: Row, *, at_market: bool) -> QuantityUnit:
    """Return what ``sz`` counts. Source: OKX v5: contracts, but of spot base; a market buy's default is quote."""
    product = fields.text(row, "instType") or ("SPOT" if fields.text(row, "tdMode") == "cash" else "")
    if product not in ("SPOT", "MARGIN"):
        return QuantityUnit.CONTRACT
    target = fields.text(row, "tgtCcy") or ("quote_ccy" if row.get("side") == "buy" else "base_ccy")
    return QuantityUnit.QUOTE if at_market and target == "quote_ccy" else QuantityUnit.BASE


def _instrument(row: Row) -> str:
    """Return the instrument, or the spread that OKX trades like one."""
    return fields.text(row, "sprdId") or fields.required(row, "instId")


def has_execution(row: Row) -> bool:
    """Return whether an order's update carries a fill: the venue names the trade and its size is not zero."""
    return bool(fields.text(row, "tradeId") not in ("", "0") and fields.decimal(row, "fillSz"))


def execution_of_update(row: Row, owner: Owner = nobody) -> VenueExecution:
    """Return the fill an order's update carries. Raises PayloadError, also where its own fee cannot be told."""
    fee, currency = _fee_of_update(row)
    return _execution(row, owner, fee, currency, CATEGORIES.get(fields.text(row, "category"), Category.OTHER))


def execution(row: Row, owner: Owner = nobody) -> VenueExecution:
    """Return a fill of the transaction details; its order's ``category`` may be joined. Raises PayloadError."""
    subtype = fields.text(row, "subType")
    category = CATEGORIES.get(fields.text(row, "category"), Category.OTHER)
    if subtype in LIQUIDATION_SUBTYPES:
        category = Category.LIQUIDATION
    elif subtype in ADL_SUBTYPES:
        category = Category.ADL
    return _execution(row, owner, _paid(row, "fee"), fields.text(row, "feeCcy"), category)


def _execution(row: Row, owner: Owner, fee: Quantity, currency: str, category: Category) -> VenueExecution:
    last_price = fields.exact_price(row, "fillPx")
    if last_price is None:
        raise PayloadError("fillPx is missing")
    return VenueExecution(
        client_order_id=client_order_id(row, owner),
        venue_order_id=fields.required(row, "ordId"),
        instrument_id=_instrument(row),
        trade_id=fields.required(row, "tradeId"),
        side=fields.one_of(row, "side", SIDES),
        position_side=fields.one_of(row, "posSide", POSITION_SIDES),
        last_quantity=fields.exact_quantity(row, "fillSz"),
        last_price=last_price,
        liquidity=fields.one_of(row, "execType", LIQUIDITIES),
        fee=fee,
        fee_currency=currency,
        category=category,
        ts_event=fields.first_moment(row, "fillTime", "ts"),
    )


def _fee_of_update(row: Row) -> tuple[Quantity, str]:
    """Return this fill's fee; the order's fee so far stands in only while this is its first fill."""
    if fields.text(row, "fillFee"):
        return _paid(row, "fillFee"), fields.text(row, "fillFeeCcy")
    if fields.exact_quantity(row, "fillSz") != fields.exact_quantity(row, "accFillSz"):
        raise PayloadError("fillFee is missing and the fee so far covers several fills")
    return _paid(row, "fee"), fields.text(row, "feeCcy")


def _paid(row: Row, name: str) -> Quantity:
    """Return a fee, positive = paid; OKX writes what was paid as negative."""
    return quantity(-(fields.decimal(row, name) or Decimal(0)))


def holding(row: Row) -> VenueHolding:
    """Return a position. Raises PayloadError."""
    side = fields.one_of(row, "posSide", POSITION_SIDES)
    size = fields.exact_quantity(row, "pos")
    signed = -abs(size) if side is PositionSide.SHORT else abs(size) if side is PositionSide.LONG else size
    mode = fields.one_of(row, "mgnMode", MARGIN_MODES)
    leverage = fields.decimal(row, "lever")
    return VenueHolding(
        instrument_id=_instrument(row),
        position_side=side,
        quantity=Quantity(signed),
        avg_entry_price=fields.average_price(row, "avgPx"),
        margin_mode=mode,
        margin_leverage=None if leverage is None else Quantity(leverage),
        margin=fields.cash(row, "margin") if mode is MarginMode.ISOLATED else None,
        mark_price=fields.average_price(row, "markPx"),
        liquidation_price=fields.average_price(row, "liqPx"),
        unrealized_pnl=fields.cash(row, "upl"),
        ts_updated=fields.first_moment(row, "uTime", "pTime"),
    )


def balance(row: Row) -> VenueBalance:
    """Return one currency of the balance's ``details``. Raises PayloadError."""
    return VenueBalance(
        currency=fields.required(row, "ccy"),
        cash=fields.amount(row, "cashBal"),
        available=fields.amount(row, "availBal"),
        frozen=fields.amount(row, "frozenBal"),
        equity=fields.amount(row, "eq"),
        ts_updated=fields.first_moment(row, "uTime"),
    )


def balances(row: Row) -> list[VenueBalance]:
    """Return the currencies of an account's balance or of its update. Raises PayloadError."""
    details = row.get("details")
    if not isinstance(details, list):
        raise PayloadError("details is missing")
    return [balance(detail) for detail in details]


def bill(row: Row) -> VenueBill:
    """Return a line of the ledger. Raises PayloadError."""
    kind, subtype = fields.required(row, "type"), fields.text(row, "subType")
    change = (fields.decimal(row, "balChg") or Decimal(0)) + (fields.decimal(row, "posBalChg") or Decimal(0))
    return VenueBill(
        bill_id=fields.required(row, "billId"),
        kind=BILL_KINDS.get(kind, BillKind.OTHER),
        venue_type=f"{kind}/{subtype}",
        instrument_id=fields.text(row, "instId") or None,
        currency=fields.required(row, "ccy"),
        amount=quantity(change),
        fee=_paid(row, "fee"),
        pnl=fields.amount(row, "pnl"),
        quantity=Quantity(abs(fields.decimal(row, "sz") or Decimal(0))),
        price=fields.average_price(row, "px"),
        client_order_id=fields.text(row, "clOrdId") or None,
        venue_order_id=fields.text(row, "ordId") or None,
        trade_id=fields.text(row, "tradeId") or None,
        ts_event=fields.first_moment(row, "ts"),
    )


def account_config(row: Row) -> AccountConfig:
    """Return the account's modes and the key's permissions. Raises PayloadError."""
    level = fields.required(row, "acctLv")
    if not level.isdecimal():
        raise PayloadError(f"acctLv={level!r}: not a number")
    return AccountConfig(
        uid=fields.required(row, "uid"),
        account_level=int(level),
        position_mode=position_mode(row),
        permissions=frozenset(_listed(row, "perm")),
        ip_addresses=tuple(_listed(row, "ip")),
    )


def position_mode(row: Row) -> PositionMode:
    """Return the position mode a reply names. Raises PayloadError."""
    return fields.one_of(row, "posMode", POSITION_MODES)


def switch_time(row: Row) -> Micros | None:
    """Return when the dead man's switch fires; OKX's examples are in seconds, others in milliseconds; 0: disarmed."""
    value = fields.required(row, "triggerTime")
    return fields.moment({"triggerTime": value + "000" if len(value) == 10 else value}, "triggerTime")


def fee_rates(row: Row, groups: Collection[str] = ()) -> FeeRates:
    """Return the worst maker and the worst taker fee of these fee groups; of all of them where one is not known.

    The fields of before (2026-07: struck out), in which USDT swaps had names of their own (``makerU``), count where
    there is no group. Raises PayloadError.
    """
    listed = row.get("feeGroup") or []
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise PayloadError(f"feeGroup={str(listed)[:40]!r}: expected a list of groups")
    suffix = "U" if fields.text(row, "makerU") and fields.text(row, "takerU") else ""
    known = {fields.required(entry, "groupId"): _rates(entry) for entry in listed} or {"": _rates(row, suffix)}
    wanted = [known[name] for name in groups if name in known]
    worst = wanted if wanted and len(wanted) == len(groups) else list(known.values())
    return FeeRates(max(rates.maker for rates in worst), max(rates.taker for rates in worst))


def _rates(row: Row, suffix: str = "") -> FeeRates:
    maker, taker = fields.decimal(row, "maker" + suffix), fields.decimal(row, "taker" + suffix)
    if maker is None or taker is None:
        raise PayloadError("maker or taker is missing")
    return FeeRates(Rate(-maker), Rate(-taker))


def closed_position(row: Row) -> ClosedPosition:
    """Return a closed position. Raises PayloadError."""
    direction = fields.one_of(row, "direction", {"long": PositionSide.LONG, "short": PositionSide.SHORT})
    return ClosedPosition(
        position_id=fields.required(row, "posId"),
        instrument_id=_instrument(row),
        direction=direction,
        closed_quantity=fields.exact_quantity(row, "closeTotalPos"),
        avg_entry_price=fields.average_price(row, "openAvgPx"),
        avg_exit_price=fields.average_price(row, "closeAvgPx"),
        realized_pnl=fields.cash(row, "realizedPnl"),
        gross_pnl=fields.cash(row, "pnl"),
        fees=Money(-fields.cash(row, "fee")),
        funding=fields.cash(row, "fundingFee"),
        liquidation_penalty=Money(-fields.cash(row, "liqPenalty")),
        settled_pnl=fields.cash(row, "settledPnl"),
        ts_opened=fields.first_moment(row, "cTime"),
        ts_updated=fields.first_moment(row, "uTime"),
    )


def _listed(row: Row, name: str) -> list[str]:
    return [part.strip() for part in fields.text(row, name).split(",") if part.strip()]
