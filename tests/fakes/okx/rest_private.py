"""Private REST endpoints: account, orders, algo orders, fills, bills, settings."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tests.fakes.okx import account_rows
from tests.fakes.okx.asked import Asked, Endpoint
from tests.fakes.okx.auth import ApiKey
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.numbers import parse, text
from tests.fakes.okx.operations import Reply
from tests.fakes.okx.orders import Order
from tests.fakes.okx.push import Row
from tests.fakes.okx.rest_public import instruments

DAY_MS = 86_400_000
LEVER_MIN = Decimal("0.01")
ORDER_FILTERS = ("instType", "instId", "ordType", "state", "uly", "instFamily", "category")


# --- account


def balance(asked: Asked) -> list[Row]:
    """``/account/balance``."""
    return [account_rows.account_row(asked.venue, asked.get("ccy"))]


def positions(asked: Asked) -> list[Row]:
    """``/account/positions``: open ones."""
    rows = [account_rows.position_row(asked.venue, held) for held in asked.venue.account.open_positions()]
    return [row for row in rows if asked.matches(row, "instType", "instId", "posId")]


def positions_history(asked: Asked) -> list[Row]:
    """``/account/positions-history``: closed ones, newest first."""
    rows = [
        r for r in asked.venue.account.closed_positions if asked.matches(r, "instType", "instId", "mgnMode", "posId")
    ]
    return asked.page(rows, lambda row: int(str(row["uTime"])))


def config(asked: Asked) -> list[Row]:
    """``/account/config``, with the asking key's permissions and bound addresses."""
    key = _key(asked)
    return [account_rows.config_row(asked.venue, label=key.label, permissions=key.permissions, address=key.address)]


def _key(asked: Asked) -> ApiKey:
    if asked.key is None:
        raise VenueError("50103")
    return asked.key


def bills(asked: Asked) -> list[Row]:
    """``/account/bills``: seven days, newest first, paged by bill id."""
    return _bills(asked, 7)


def bills_archive(asked: Asked) -> list[Row]:
    """``/account/bills-archive``: three months."""
    return _bills(asked, 92)


def _bills(asked: Asked, days: int) -> list[Row]:
    since = asked.venue.clock.now_ms() - days * DAY_MS
    rows = [
        row
        for row in asked.venue.account.bills
        if int(row["ts"]) >= since
        and _in_time(asked, int(row["ts"]))
        and asked.matches(row, "instType", "instId", "ccy", "mgnMode", "type", "subType")
    ]
    return asked.page(rows, lambda row: int(str(row["billId"])))


def leverage_info(asked: Asked) -> list[Row]:
    """``/account/leverage-info``: one row in net mode and for cross margin, two for isolated long/short."""
    mode, hedged = asked.need("mgnMode"), asked.venue.account.position_mode == "long_short_mode"
    rows: list[Row] = []
    for inst_id in asked.need("instId").split(","):
        asked.venue.instrument(inst_id)
        for side in ("long", "short") if hedged else ("net",):
            lever = asked.venue.account.lever(inst_id, mode, side)
            rows.append({"ccy": "", "instId": inst_id, "lever": text(lever), "mgnMode": mode, "posSide": side})
    return rows


def set_leverage(asked: Asked) -> list[Row]:
    """``/account/set-leverage``; refused past what instrument and position allow, and while orders of it are open."""
    inst_id, mode, lever = asked.post("instId"), asked.post("mgnMode"), parse(asked.post("lever"))
    account = asked.venue.account
    asked.venue.instrument(inst_id)
    if mode not in {"cross", "isolated"}:
        raise VenueError("51000", "mgnMode")
    if lever is None:
        raise VenueError("51000", "lever")
    hedged = account.position_mode == "long_short_mode"
    named = str(asked.rows[0].get("posSide") or "")
    if hedged and mode == "isolated" and named not in {"long", "short"}:
        raise VenueError("51000", "posSide")
    sides = _sides(named, mode, hedged=hedged)
    if any(account.lever(inst_id, mode, side) != lever for side in sides):
        _check_leverage(asked, inst_id, mode, lever)
    for side in sides:
        account.leverage[inst_id, mode, side] = lever
        account.relever(inst_id, mode, side, lever)
    return [{"instId": inst_id, "lever": text(lever), "mgnMode": mode, "posSide": named if mode == "isolated" else ""}]


def _check_leverage(asked: Asked, inst_id: str, mode: str, lever: Decimal) -> None:
    instrument = asked.venue.instrument(inst_id)
    if lever < LEVER_MIN:
        raise VenueError("59105", LEVER_MIN)
    held = [p for p in asked.venue.account.open_positions(inst_id) if p.margin_mode == mode]
    if lever > instrument.lever_max or any(lever > instrument.tier_of(abs(p.size)).lever_max for p in held):
        raise VenueError("59102")
    if any(order.asked("tdMode") == mode for order in asked.venue.trading.open_orders(inst_id)):
        raise VenueError("59101" if mode == "isolated" else "59107")


def _sides(named: str, mode: str, *, hedged: bool) -> tuple[str, ...]:
    if not hedged:
        return ("net",)
    return (named,) if mode == "isolated" else ("long", "short")


def set_position_mode(asked: Asked) -> list[Row]:
    """``/account/set-position-mode``; refused while there are orders or positions."""
    mode, venue = asked.post("posMode"), asked.venue
    if mode not in {"net_mode", "long_short_mode"}:
        raise VenueError("51000", "posMode")
    if venue.account.level == "1":
        raise VenueError("51010")
    if venue.account.positions or venue.trading.open_orders() or venue.algos.open_algos():
        raise VenueError("59000")
    venue.account.position_mode = mode
    return [{"posMode": mode}]


def trade_fee(asked: Asked) -> list[Row]:
    """``/account/trade-fee``: rates by fee group; the fields of before are empty."""
    kind, account = asked.need("instType"), asked.venue.account
    groups = {"1": account.fees["SPOT" if kind in {"SPOT", "MARGIN"} else "SWAP"], **account.other_fees}
    rates = [{"groupId": name, "maker": text(maker), "taker": text(taker)} for name, (maker, taker) in groups.items()]
    blank = dict.fromkeys(("delivery", "exercise", "makerUSDC", "takerUSDC", "uly", "instFamily", "settle"), "")
    old = dict.fromkeys(("maker", "taker", "makerU", "takerU"), "")
    row = blank | old | {"category": "1", "instType": kind, "level": "Lv1", "ts": str(asked.venue.clock.now_ms())}
    return [row | {"feeGroup": rates}]


def currencies(asked: Asked) -> list[Row]:
    """``/asset/currencies``: the coins the instruments use."""
    names = {name for row in asked.venue.instruments.values() for name in (row.base, row.quote)}
    can = dict.fromkeys(("canDep", "canWd", "canInternal", "mainNet"), True)
    zero = dict.fromkeys(("minFee", "maxFee", "minDep", "minWd", "maxWd", "fee", "burningFeeRate", "usedWdQuota"), "0")
    blank = dict.fromkeys(("needTag", "logoLink", "depQuotaFixed", "ctAddr"), "")
    return [
        blank | zero | can | {"ccy": name, "chain": f"{name}-{name}", "name": name, "wdTickSz": "8", "needTag": False}
        for name in sorted(names)
    ]


# --- orders


def order(asked: Asked) -> list[Row]:
    """``GET /trade/order``: by id, else the latest holder of the client id."""
    asked.venue.instrument(asked.need("instId"))
    if not asked.get("ordId") and not asked.get("clOrdId"):
        raise VenueError("51003")
    found = asked.venue.trading.find(asked.get("ordId"), asked.get("clOrdId"))
    if found is None or found.instrument.inst_id != asked.get("instId"):
        raise VenueError("51603")
    return [found.row()]


def orders_pending(asked: Asked) -> list[Row]:
    """``/trade/orders-pending``."""
    return _orders(asked, asked.venue.trading.open_orders())


def orders_history(asked: Asked) -> list[Row]:
    """``/trade/orders-history``: ended in the last seven days; canceled ones without fills for two hours."""
    asked.need("instType")
    return _orders(asked, [order for order in _ended(asked, 7) if _in_time(asked, order.created_ms)])


def orders_archive(asked: Asked) -> list[Row]:
    """``/trade/orders-history-archive``: three months, without canceled orders that had no fill."""
    asked.need("instType")
    return _orders(asked, [order for order in _ended(asked, 92) if order.filled and _in_time(asked, order.created_ms)])


def _ended(asked: Asked, days: int) -> list[Order]:
    trading, since = asked.venue.trading, asked.venue.clock.now_ms() - days * DAY_MS
    return [o for o in trading.orders.values() if not o.is_open and not trading.forgotten(o) and o.updated_ms >= since]


def _in_time(asked: Asked, moment_ms: int) -> bool:
    return int(asked.get("begin", "0")) <= moment_ms <= int(asked.get("end", "9" * 15))


def _orders(asked: Asked, orders: Sequence[Order]) -> list[Row]:
    rows = [row for row in (order.row() for order in orders) if asked.matches(row, *ORDER_FILTERS)]
    return asked.page(rows, lambda row: int(str(row["ordId"])))


def fills(asked: Asked) -> list[Row]:
    """``/trade/fills``: three days, newest first, paged by bill id."""
    return _fills(asked, 3)


def fills_history(asked: Asked) -> list[Row]:
    """``/trade/fills-history``: three months."""
    asked.need("instType")
    return _fills(asked, 92)


def _fills(asked: Asked, days: int) -> list[Row]:
    since = asked.venue.clock.now_ms() - days * DAY_MS
    rows = [
        order.fill_row(fill)
        for order in asked.venue.trading.orders.values()
        for fill in order.fills
        if fill.ts_ms >= since and _in_time(asked, fill.ts_ms)
    ]
    kept = [row for row in rows if asked.matches(row, "instType", "instId", "ordId")]
    return asked.page(kept, lambda row: int(str(row["billId"])))


def cancel_all_after(asked: Asked) -> list[Row]:
    """``/trade/cancel-all-after``."""
    seconds, tag = asked.post("timeOut"), str(asked.rows[0].get("tag") or "")
    if not seconds.isdigit():
        raise VenueError("51000", "timeOut")
    asked.operations.limits.count("trade/cancel-all-after", tag)
    due = asked.venue.cancel_all_after(int(seconds), tag)
    return [{"triggerTime": str(due), "tag": tag, "ts": str(asked.venue.clock.now_ms())}]


def close_position(asked: Asked) -> list[Row]:
    """``/trade/close-position``: at market, the whole of it."""
    inst_id, mode = asked.post("instId"), asked.post("mgnMode")
    side = str(asked.rows[0].get("posSide") or "net")
    held = asked.venue.account.position(inst_id, mode, side)
    if held is None:
        raise VenueError("51023", message="Position doesn't exist.")
    request: Row = {"instId": inst_id, "tdMode": mode, "posSide": side, "ordType": "market", "sz": text(abs(held.size))}
    client_id = str(asked.rows[0].get("clOrdId") or "")
    asked.venue.trading.place(request | {"side": "sell" if held.direction > 0 else "buy", "clOrdId": client_id})
    return [{"instId": inst_id, "posSide": side, "clOrdId": client_id, "tag": ""}]


# --- algo orders


def algo_order(asked: Asked) -> list[Row]:
    """``GET /trade/order-algo``."""
    if not asked.get("algoId") and not asked.get("algoClOrdId"):
        raise VenueError("50015", "algoId", "algoClOrdId")
    found = asked.venue.algos.find(asked.get("algoId"), asked.get("algoClOrdId"))
    if found is None:
        raise VenueError("51603")
    return [asked.venue.algos.row(found)]


def algos_pending(asked: Asked) -> list[Row]:
    """``/trade/orders-algo-pending``: of the order types asked for."""
    return _algos(asked, open_ones=True)


def algos_history(asked: Asked) -> list[Row]:
    """``/trade/orders-algo-history``: by state or by id."""
    if not asked.get("state") and not asked.get("algoId"):
        raise VenueError("50015", "state", "algoId")
    return _algos(asked, open_ones=False)


def _algos(asked: Asked, *, open_ones: bool) -> list[Row]:
    asked.need("ordType")
    desk = asked.venue.algos
    rows = [desk.row(algo) for algo in desk.algos.values() if algo.is_open == open_ones]
    kept = [
        row for row in rows if asked.matches(row, "ordType", "instType", "instId", "algoId", "algoClOrdId", "state")
    ]
    return asked.page(kept, lambda row: int(str(row["algoId"])))


GET: dict[str, Endpoint] = {
    "account/instruments": instruments,
    "account/balance": balance,
    "account/positions": positions,
    "account/positions-history": positions_history,
    "account/config": config,
    "account/bills": bills,
    "account/bills-archive": bills_archive,
    "account/leverage-info": leverage_info,
    "account/trade-fee": trade_fee,
    "asset/currencies": currencies,
    "trade/order": order,
    "trade/orders-pending": orders_pending,
    "trade/orders-history": orders_history,
    "trade/orders-history-archive": orders_archive,
    "trade/fills": fills,
    "trade/fills-history": fills_history,
    "trade/order-algo": algo_order,
    "trade/orders-algo-pending": algos_pending,
    "trade/orders-algo-history": algos_history,
}


def _trade(action: str, *, single: bool) -> Endpoint:
    def endpoint(asked: Asked) -> Reply:
        return asked.operations.run(action, asked.rows, single=single, deadline=asked.deadline)

    return endpoint


def _algo(action: str) -> Endpoint:
    def endpoint(asked: Asked) -> Reply:
        return asked.operations.algo(action, asked.rows)

    return endpoint


POST: dict[str, Endpoint] = {
    "account/set-leverage": set_leverage,
    "account/set-position-mode": set_position_mode,
    "trade/order": _trade("order", single=True),
    "trade/batch-orders": _trade("batch-orders", single=False),
    "trade/cancel-order": _trade("cancel-order", single=True),
    "trade/cancel-batch-orders": _trade("cancel-batch-orders", single=False),
    "trade/amend-order": _trade("amend-order", single=True),
    "trade/amend-batch-orders": _trade("amend-batch-orders", single=False),
    "trade/order-algo": _algo("order-algo"),
    "trade/cancel-algos": _algo("cancel-algos"),
    "trade/amend-algos": _algo("amend-algos"),
    "trade/cancel-all-after": cancel_all_after,
    "trade/close-position": close_position,
}
