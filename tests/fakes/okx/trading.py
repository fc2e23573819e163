"""The order book side of trading: place, amend, cancel, match, fill, and what a fill sets off."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.fakes.okx import checks
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.instruments import Instrument
from tests.fakes.okx.numbers import ZERO, parse, round_to, text
from tests.fakes.okx.orders import Algo, Fill, Order
from tests.fakes.okx.push import Push, Row

if TYPE_CHECKING:
    from tests.fakes.okx.venue import Venue

FORGET_MS = 2 * 3_600_000
"""A canceled order without fills is forgotten after two hours. Source: "Get order history" of the documentation."""
BY_USER, BY_SYSTEM, RISK, NOT_WHOLE, NOT_AT_ONCE = "1", "0", "3", "13", "14"
NOTHING_TO_CLOSE, DEAD_MANS_SWITCH, NOTHING_TO_REDUCE, WOULD_TAKE = "17", "20", "23", "31"
"""``cancelSource`` values. Source: "Get order details" of the documentation."""


class Trading:
    """Orders of one account, by id; the venue owns it."""

    def __init__(self, venue: Venue) -> None:
        """Start with no orders."""
        self.venue = venue
        self.orders: dict[str, Order] = {}

    # --- look up

    def find(self, ord_id: str = "", client_id: str = "") -> Order | None:
        """Return the order by ``ordId``, else the latest with that ``clOrdId``; None if unknown or forgotten."""
        if ord_id:
            found = self.orders.get(ord_id)
        else:
            found = next((o for o in reversed(self.orders.values()) if o.asked("clOrdId") == client_id), None)
        return None if found is None or self.forgotten(found) else found

    def forgotten(self, order: Order) -> bool:
        """Has the venue dropped it: canceled without a fill, two hours ago?"""
        quiet = order.state == "canceled" and not order.filled
        return quiet and self.venue.clock.now_ms() - order.updated_ms > FORGET_MS

    def open_orders(self, inst_id: str = "") -> list[Order]:
        """Return live and partially filled orders, oldest first."""
        orders = self.orders.values()
        return [order for order in orders if order.is_open and (not inst_id or order.instrument.inst_id == inst_id)]

    # --- place

    def place(self, raw: Row, *, source: str = "", category: str = "normal", algo: Algo | None = None) -> Order:
        """Accept an order and let it trade; raises what the venue refuses. ``algo`` is the one that placed it."""
        request = checks.flatten(raw)
        order = self._accept(request, [dict(row) for row in _attached(raw)])
        order.source, order.category = source, category
        if algo is not None:
            order.algo_id, order.algo_client_id = algo.algo_id, algo.asked("algoClOrdId")
            algo.order_ids.append(order.ord_id)
        self.orders[order.ord_id] = order
        self._tell(order)
        if self.venue.rules.matching:
            self._match(order)
        return order

    def _accept(self, request: dict[str, str], attached: list[Row]) -> Order:
        venue = self.venue
        checks.require(request, "instId", "tdMode", "side", "ordType", "sz")
        instrument = venue.instrument(request["instId"])
        self._check_request(instrument, request)
        market = request["ordType"] in {"market", "optimal_limit_ioc"}
        now = venue.clock.now_ms()
        mode, side = request["tdMode"], request.get("posSide", "net")
        lever = venue.account.lever(instrument.inst_id, mode, side)
        order = Order(venue.next_id(), instrument, request, ZERO, None, lever, now, now)
        best = venue.market(instrument.inst_id).best(request["side"])
        order.size = checks.read_size(
            instrument, request, in_quote=order.in_quote, market_price=best if market else None
        )
        if not market:
            order.price = checks.read_price(venue, instrument, request)
        reference = order.price or best
        if attached and (order.closes or order.reduce_only):
            raise VenueError("51333")
        checks.check_attached(attached, request["side"], reference, market=market)
        if market and order.receives:
            checks.check_slippage(venue, order)
        order.attached = [self._attach(row) for row in attached]
        self._check_room(order, reference)
        return order

    def _check_request(self, instrument: Instrument, request: dict[str, str]) -> None:
        if request["side"] not in {"buy", "sell"}:
            raise VenueError("51000", "side")
        if request["ordType"] not in checks.ORDER_TYPES:
            raise VenueError("51000", "ordType")
        checks.check_ids(request, "clOrdId")
        checks.check_trading(instrument, request["ordType"])
        checks.check_mode(self.venue, instrument, request)
        checks.check_quote_currency(self.venue, instrument, request)
        self._check_duplicate(request.get("clOrdId", ""))

    def _check_duplicate(self, client_id: str) -> None:
        if not client_id:
            return
        ever = self.venue.rules.duplicate_ids_forever
        if any(order.asked("clOrdId") == client_id and (ever or order.is_open) for order in self.orders.values()):
            raise VenueError("51016")

    def _attach(self, row: Row) -> Row:
        names = "tpTriggerPx tpOrdPx tpTriggerPxType slTriggerPx slOrdPx slTriggerPxType sz attachAlgoClOrdId tpOrdKind"
        flat = checks.flatten(row)
        checks.check_ids(flat, "attachAlgoClOrdId")
        client_id = flat.get("attachAlgoClOrdId", "")
        waiting = (other["attachAlgoClOrdId"] for order in self.open_orders() for other in order.attached)
        if client_id and (client_id in waiting or self.venue.algos.holds(client_id)):
            raise VenueError("51068", client_id)
        kept: Row = {name: flat.get(name, "") for name in names.split()}
        for kind in ("tp", "sl"):
            if kept[f"{kind}TriggerPx"]:
                kept[f"{kind}TriggerPxType"] = kept[f"{kind}TriggerPxType"] or "last"
        rest = {"attachAlgoId": self.venue.next_id(), "failCode": "", "failReason": "", "amendPxOnTriggerType": "0"}
        return kept | rest | {"tpOrdKind": kept["tpOrdKind"] or "condition"}

    def _check_room(self, order: Order, price: Decimal) -> None:
        # Positions to close, margin to open, coins to spend.
        venue, instrument = self.venue, order.instrument
        if not instrument.is_swap:
            self._check_coins(order, price)
            return
        closable = self.closable(order)
        if order.closes and order.size > closable:
            raise VenueError("51112" if closable else "51169")
        if order.reduce_only and not closable:
            raise VenueError("51170" if venue.account.position(*self._key(order)) else "51169")
        if order.closes or order.reduce_only:
            return
        held = venue.account.position(*self._key(order))
        opening = max(order.size - closable, ZERO)
        total = opening if closable else opening + (abs(held.size) if held else ZERO)
        if order.lever > instrument.tier_of(total).lever_max:
            raise VenueError("51004")
        if instrument.notional(opening, price) / order.lever > venue.available(instrument.settle):
            raise VenueError("51008", instrument.settle)

    def _check_coins(self, order: Order, price: Decimal) -> None:
        buy = order.side == "buy"
        currency = order.instrument.quote if buy else order.instrument.base
        need = order.size if order.in_quote == buy else (order.size * price if buy else order.size / price)
        free = self.venue.available(currency)
        if need <= free:
            return
        cut = round_to(order.size * free / need, order.instrument.lot)  # the size a market order has without banAmend
        if order.asked("ordType") != "market" or order.asked("banAmend") == "true" or cut < order.instrument.min_size:
            raise VenueError("51008", currency)
        order.size = cut

    @staticmethod
    def _key(order: Order) -> tuple[str, str, str]:
        return order.instrument.inst_id, order.asked("tdMode"), order.asked("posSide", "net")

    def closable(self, order: Order) -> Decimal:
        """Return how much of the position the order's side can close."""
        held = self.venue.account.position(*self._key(order))
        if held is None:
            return ZERO
        opposite = held.direction == (-1 if order.side == "buy" else 1)
        return abs(held.size) if opposite else ZERO

    # --- match and fill

    def _match(self, order: Order) -> None:
        kind, market = order.asked("ordType"), self.venue.market(order.instrument.inst_id)
        if kind == "post_only" and order.price is not None and market.crosses(order.side, order.price):
            self.end(order, WOULD_TAKE, "The post-only order will take liquidity in taker orders")
            return
        if kind == "fok" and not self._fills_whole(order):
            self.end(order, NOT_WHOLE)
            return
        size = self._base_size(order, market.last)
        for price, part in market.take(order.side, size, order.price):
            if order.is_open:
                self.fill(order, part, price, taker=True)
        if order.is_open and kind in {"market", "ioc", "optimal_limit_ioc"}:
            self._finish_immediate(order, market.last)

    def _base_size(self, order: Order, last: Decimal) -> Decimal:
        return round_to(order.size / last, order.instrument.lot) if order.in_quote else order.size

    def _finish_immediate(self, order: Order, last: Decimal) -> None:
        # A quote-sized order is done when the rest buys less than a lot.
        if order.in_quote and order.leaves < order.instrument.lot * last * 2 and order.filled:
            order.state = "filled"
            self._tell(order)
        else:
            self.end(order, NOT_AT_ONCE)

    def _fills_whole(self, order: Order) -> bool:
        market = self.venue.market(order.instrument.inst_id)
        book, limit = (market.asks if order.side == "buy" else market.bids), order.price or ZERO
        good = (size for price, size in book.items() if (price <= limit if order.side == "buy" else price >= limit))
        return sum(good, ZERO) >= order.size

    def fill(
        self, order: Order, size: Decimal, price: Decimal, *, taker: bool = False, trade_id: str = ""
    ) -> Fill | None:
        """Execute part of an order; None if a reducing order has nothing left to reduce (it is canceled then).

        A canceled order may fill too: the venue matched it before the cancel took effect.
        """
        if order.instrument.is_swap and (order.reduce_only or order.closes):
            size = min(size, self.closable(order))
            if not size:
                self.end(order, NOTHING_TO_REDUCE if order.reduce_only else NOTHING_TO_CLOSE)
                return None
        market = self.venue.market(order.instrument.inst_id)
        if not trade_id:
            trade_id = str(market.print_trade(price, size, order.side if taker else _other(order.side))["tradeId"])
        done = self._execute(order, size, price, trade_id, "T" if taker else "M")
        self._after_fill(order, done)
        return done

    def _execute(self, order: Order, size: Decimal, price: Decimal, trade_id: str, exec_type: str) -> Fill:
        account, now = self.venue.account, self.venue.clock.now_ms()
        rate = account.fees_of(order.instrument)[exec_type == "T"]
        source = order.row() | {"tradeId": trade_id, "execType": exec_type}
        book = account.book_swap if order.instrument.is_swap else account.book_spot
        change = book(source, order.instrument, size, price, rate)
        if change.position is not None:
            change.position.trade_id = trade_id
        bill_id = str(account.bills[-1]["billId"])
        done = Fill(trade_id, bill_id, price, size, exec_type, change.fee, change.fee_currency, change.pnl, now)
        order.fills.append(done)
        order.filled += size
        order.value += size * price
        order.fee += change.fee
        order.fee_currency = change.fee_currency
        order.pnl += change.pnl
        order.updated_ms = now
        if order.leaves <= 0:
            order.state = "filled"
        elif order.is_open:
            order.state = "partially_filled"
        return done

    def _after_fill(self, order: Order, done: Fill) -> None:
        self._tell(order, done)
        instrument = order.instrument
        self.venue.tell(Push("fills", [_fill_push(order, done)], instrument.inst_id, instrument.inst_type))
        self.venue.tell_account("filled", [order])
        if order.state == "filled":
            self.venue.algos.attach(order)
        self.venue.algos.sweep(instrument.inst_id)

    # --- amend and cancel

    def amend(self, raw: Row) -> Order:
        """Change price and size of an open order; ``newSz`` counts what is filled already."""
        request = checks.flatten(raw)
        checks.require(request, "instId")
        order = self._addressed(request, "51503")
        if not (request.get("newSz") or request.get("newPx")):
            raise VenueError("51500")
        try:
            size, price = self._amended(order, request)
        except VenueError:
            if request.get("cxlOnFail") == "true":
                self.end(order, BY_USER, amendResult="-1", reqId=request.get("reqId", ""))
            raise
        order.size, order.price, order.updated_ms = size, price, self.venue.clock.now_ms()
        if order.leaves <= 0:
            order.state = "filled"
        self._tell(order, amendResult="0", amendSource="1", reqId=request.get("reqId", ""))
        if self.venue.rules.matching and order.is_open and price is not None:
            for level, part in self.venue.market(order.instrument.inst_id).take(order.side, order.leaves, price):
                self.fill(order, part, level, taker=True)
        return order

    def _amended(self, order: Order, request: dict[str, str]) -> tuple[Decimal, Decimal | None]:
        wanted = request | {"sz": request.get("newSz") or text(order.size), "side": order.side}
        size = checks.read_size(order.instrument, wanted)
        if size < order.filled:
            raise VenueError("51000", "newSz")
        if not request.get("newPx"):
            return size, order.price
        return size, checks.read_price(self.venue, order.instrument, wanted, "newPx")

    def cancel(self, raw: Row) -> Order:
        """Cancel an open order."""
        request = checks.flatten(raw)
        checks.require(request, "instId")
        order = self._addressed(request, "51400")
        self.end(order, BY_USER)
        return order

    def _addressed(self, request: dict[str, str], otherwise: str) -> Order:
        ord_id, client_id = request.get("ordId", ""), request.get("clOrdId", "")
        if not ord_id and not client_id:
            raise VenueError("51003")
        self.venue.instrument(request["instId"])
        order = self.find(ord_id, client_id)
        if order is None or not order.is_open or order.instrument.inst_id != request["instId"]:
            raise VenueError(otherwise)
        return order

    def end(self, order: Order, cancel_source: str, reason: str = "", **extra: str) -> None:
        """Cancel what is left of an order."""
        order.state, order.cancel_source, order.cancel_reason = "canceled", cancel_source, reason
        order.updated_ms = self.venue.clock.now_ms()
        self._tell(order, None, **extra)
        self.venue.tell_account("canceled")
        if order.filled and self.venue.rules.attach_after_partial_fill:
            self.venue.algos.attach(order)

    def traded_through(self, inst_id: str, price: Decimal, size: Decimal, taker_side: str, trade_id: str) -> None:
        """Fill resting orders a public trade reached: the maker's side is the other one; better prices first.

        The print may stand for several matches: the first order gets its id, every further one an id of its own.
        """
        resting = [o for o in self.open_orders(inst_id) if o.price is not None and o.side == _other(taker_side)]
        buys = taker_side == "sell"
        for order in sorted(resting, key=lambda o: o.price or ZERO, reverse=buys):
            reached = (order.price or ZERO) >= price if buys else (order.price or ZERO) <= price
            part = min(size, order.leaves)
            if reached and part > 0:
                size -= part
                self.fill(order, part, order.price or price, trade_id=trade_id)
                trade_id = self.venue.market(inst_id).new_trade_id()

    def _tell(self, order: Order, done: Fill | None = None, **extra: str) -> None:
        rows = [order.push_row(done, **extra)]
        self.venue.tell(Push("orders", rows, order.instrument.inst_id, order.instrument.inst_type))


def _attached(raw: Row) -> list[Row]:
    # The list, or the older flat fields, which the venue still takes.
    rows = raw.get("attachAlgoOrds")
    if isinstance(rows, list):
        return rows
    flat = {name: raw[name] for name in ("tpTriggerPx", "tpOrdPx", "slTriggerPx", "slOrdPx") if raw.get(name)}
    return [flat] if flat and parse(flat.get("tpTriggerPx") or flat.get("slTriggerPx")) is not None else []


def _other(side: str) -> str:
    return "sell" if side == "buy" else "buy"


def _fill_push(order: Order, done: Fill) -> Row:
    names = ("instId", "ordId", "clOrdId", "tradeId", "side", "fillSz", "fillPx", "execType", "ts")
    row = order.fill_row(done)
    return {name: row[name] for name in names} | {"count": "1"}
