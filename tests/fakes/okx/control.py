"""What the venue or a human does to the account behind the client's back."""

from __future__ import annotations

from decimal import Decimal

from tests.fakes.okx.account import Position
from tests.fakes.okx.account_rows import maintenance, unrealised
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.numbers import text
from tests.fakes.okx.orders import Order
from tests.fakes.okx.push import Push, Row
from tests.fakes.okx.trading import RISK
from tests.fakes.okx.venue import Venue


class Control:
    """Funding, liquidation, ADL, a hand on the account, maintenance, instrument changes."""

    def __init__(self, venue: Venue) -> None:
        """Act on this venue."""
        self.venue = venue

    def settle_funding(self, inst_id: str) -> Decimal:
        """Settle the running period at its forecast rate; returns the account's cash change (negative: paid)."""
        venue, market = self.venue, self.venue.market(inst_id)
        _, rate = market.settle_funding()
        held = venue.account.open_positions(inst_id)
        moved = sum((venue.account.book_funding(position, market.mark, rate) for position in held), Decimal(0))
        if held:
            for position in held:
                venue.tell_position(position)
            venue.tell_account("funding_fee")
        return moved

    def liquidate(self, inst_id: str, price: str, *, margin_mode: str = "isolated", side: str = "net") -> Order:
        """Liquidate a position whole at a price: its orders are canceled, a fee is charged; ``full_liquidation``."""
        held = self._held(inst_id, margin_mode, side)
        for order in self.venue.trading.open_orders(inst_id):
            self.venue.trading.end(order, RISK)
        return self._force(held, abs(held.size), price, "full_liquidation")

    def liquidate_due(self) -> list[Order]:
        """Liquidate every position whose margin is down to maintenance at the mark price, at that price."""
        due = [held for held in self.venue.account.open_positions() if self._is_due(held)]
        return [self._liquidate_at_mark(held) for held in due]

    def _liquidate_at_mark(self, held: Position) -> Order:
        price = text(self.venue.market(held.instrument.inst_id).mark)
        return self.liquidate(held.instrument.inst_id, price, margin_mode=held.margin_mode, side=held.side)

    def _is_due(self, held: Position) -> bool:
        venue, currency = self.venue, held.instrument.settle
        if held.margin_mode == "isolated":
            return held.margin + unrealised(venue, held) <= maintenance(venue, held)
        crossed = [p for p in venue.account.open_positions() if p.margin_mode == "cross"]
        worth = venue.account.cash.get(currency, Decimal(0)) + sum(unrealised(venue, p) for p in crossed)
        return worth <= sum(maintenance(venue, p) for p in crossed)

    def deleverage(
        self, inst_id: str, size: str, price: str, *, margin_mode: str = "isolated", side: str = "net"
    ) -> Order:
        """Auto-deleverage part of a position at a price: ``category`` adl."""
        return self._force(self._held(inst_id, margin_mode, side), Decimal(size), price, "adl")

    def _held(self, inst_id: str, margin_mode: str, side: str) -> Position:
        held = self.venue.account.position(inst_id, margin_mode, side)
        if held is None:
            raise VenueError("51023", message=f"There is no {margin_mode} {side} position in {inst_id} to act on.")
        return held

    def _force(self, held: Position, size: Decimal, price: str, category: str) -> Order:
        venue, now = self.venue, self.venue.clock.now_ms()
        request = {
            "instId": held.instrument.inst_id,
            "tdMode": held.margin_mode,
            "posSide": held.side,
            "side": "sell" if held.direction > 0 else "buy",
            "ordType": "market",
        }
        order = Order(venue.next_id(), held.instrument, request, size, None, held.lever, now, now, category=category)
        venue.trading.orders[order.ord_id] = order
        if category == "full_liquidation":
            charge = held.instrument.notional(size, Decimal(price)) * venue.rules.liquidation_fee
            venue.account.book_penalty(held, order.row(), charge)
        venue.trading.fill(order, size, Decimal(price), taker=True)
        return order

    def trade_by_hand(
        self,
        inst_id: str,
        side: str,
        size: str,
        price: str,
        *,
        margin_mode: str = "isolated",
        position_side: str = "net",
    ) -> Order:
        """Somebody trades on the same account in the app: an order without client id, filled whole at a price."""
        request: Row = {"instId": inst_id, "tdMode": margin_mode, "posSide": position_side, "side": side, "sz": size}
        swap = self.venue.instrument(inst_id).is_swap
        if not swap:
            request |= {"tdMode": "cash", "posSide": "", "tgtCcy": "base_ccy"}
        matching, self.venue.rules.matching = self.venue.rules.matching, False
        try:
            order = self.venue.trading.place(request | {"ordType": "market"})
        finally:
            self.venue.rules.matching = matching
        self.venue.trading.fill(order, Decimal(size), Decimal(price), taker=True)
        return order

    def forget(self, ord_id: str) -> None:
        """Let an order vanish: the venue has never heard of it."""
        self.venue.trading.orders.pop(ord_id)

    def transfer(self, currency: str, amount: str) -> None:
        """Move coins in or out."""
        self.venue.account.transfer(currency, amount)
        self.venue.tell_account("transferred")

    def charge(self, currency: str, amount: str, kind: str = "7", sub_type: str = "9") -> None:
        """Charge (negative) or credit the account outside of any trade; ``kind``: the bill's type, else interest."""
        self.venue.account.charge(currency, amount, kind, sub_type)
        self.venue.tell_account("interest_deduction")

    def set_instrument(self, inst_id: str, **changes: object) -> None:
        """Change an instrument (``state``, ``tick``, ``lot``, ...) and announce it."""
        instrument = self.venue.instrument(inst_id)
        for name, value in changes.items():
            if name not in type(instrument).__slots__:
                raise AttributeError(f"an instrument has no {name!r}; it has {', '.join(type(instrument).__slots__)}")
            setattr(instrument, name, value)
        self.venue.tell(Push("instruments", [instrument.row()], inst_id, instrument.inst_type))

    def start_maintenance(self, title: str = "Trading account WebSocket system upgrade", minutes: int = 30) -> None:
        """Begin a maintenance: trading answers 50001, status says ongoing."""
        now = self.venue.clock.now_ms()
        self.venue.maintenance = True
        self._tell_status(title, "ongoing", now, now + minutes * 60_000)

    def end_maintenance(self) -> None:
        """End it; status says completed."""
        self.venue.maintenance = False
        for row in self.venue.status_rows:
            row["state"] = "completed"
        self.venue.tell(Push("status", [dict(row) for row in self.venue.status_rows]))

    def announce_maintenance(self, title: str, in_minutes: int, minutes: int) -> None:
        """Announce one: status says scheduled."""
        begin = self.venue.clock.now_ms() + in_minutes * 60_000
        self._tell_status(title, "scheduled", begin, begin + minutes * 60_000)

    def _tell_status(self, title: str, state: str, begin: int, end: int) -> None:
        row: Row = dict.fromkeys(("href", "preOpenBegin", "scheDesc"), "") | {
            "begin": str(begin),
            "end": str(end),
            "env": "1",
            "maintType": "1",
            "serviceType": "5",
            "state": state,
            "system": "unified",
            "title": title,
            "ts": text(Decimal(self.venue.clock.now_ms())),
        }
        self.venue.status_rows = [row]
        self.venue.tell(Push("status", [row]))
