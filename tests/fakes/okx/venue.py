"""The venue itself: instruments, markets, one account and its orders; no network; a test drives clock and prices.

Everything the venue would say on a WebSocket goes to ``listeners`` as a ``Push``. The class is not thread-safe: use
it in the loop of its server (``FakeOkx.run``).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tests.fakes.okx import account_rows
from tests.fakes.okx.account import Account, Position
from tests.fakes.okx.algos import Algos
from tests.fakes.okx.clock import Clock
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.instruments import Instrument, default_instruments
from tests.fakes.okx.market import Levels, Market
from tests.fakes.okx.numbers import ZERO
from tests.fakes.okx.orders import Order
from tests.fakes.okx.push import Listener, Push, Row
from tests.fakes.okx.rules import Rules
from tests.fakes.okx.trading import DEAD_MANS_SWITCH, Trading

PRICES = {"BTC-USDT-SWAP": 50_000, "ETH-USDT-SWAP": 2_500, "SOL-USDT-SWAP": 150, "BTC-USDT": 50_000, "ETH-USDT": 2_500}
UPDATE: Row = {"eventType": "event_update", "curPage": 1, "lastPage": True}
TIMERS_MAX = 20
"""Dead man's switches by tag at the same time."""
FIRST_ID = 2_500_000_000_000_000_000


class Venue:
    """One OKX with one account: what the REST and WebSocket sides ask, and what a test does to it."""

    def __init__(self, clock: Clock | None = None, rules: Rules | None = None) -> None:
        """Start with BTC, ETH and SOL markets (50,000, 2,500 and 150) and 10,000 USDT."""
        self.clock = clock or Clock()
        self.rules = rules or Rules()
        self.listeners: list[Listener] = []
        self.instruments = default_instruments()
        self.markets = {
            inst_id: Market(row, self.clock, self.tell, Decimal(PRICES[inst_id]))
            for inst_id, row in self.instruments.items()
        }
        self.account = Account(self.clock)
        self.account.transfer("USDT", "10000")
        self.trading = Trading(self)
        self.algos = Algos(self)
        self.status_rows: list[Row] = []
        self.maintenance = False
        self._deadlines: dict[str, int] = {}
        self._serial = FIRST_ID

    def tell(self, push: Push) -> None:
        """Hand a push to everybody who listens."""
        for listener in self.listeners:
            listener(push)

    def next_id(self) -> str:
        """Return the next order or algo id."""
        self._serial += 1
        return str(self._serial)

    def instrument(self, inst_id: str) -> Instrument:
        """Return the instrument; refuses an unknown one."""
        if inst_id not in self.instruments:
            raise VenueError("51001")
        return self.instruments[inst_id]

    def market(self, inst_id: str) -> Market:
        """Return its market."""
        return self.markets[inst_id]

    # --- what the account can spend

    def frozen(self, currency: str) -> Decimal:
        """Return what resting orders hold back: margin of opening swap orders, coins of spot orders."""
        return sum((self._held_back(order, currency) for order in self.trading.open_orders()), ZERO)

    def _held_back(self, order: Order, currency: str) -> Decimal:
        instrument, price = order.instrument, order.price or self.market(order.instrument.inst_id).last
        if instrument.is_swap:
            opening = max(order.leaves - self.trading.closable(order), ZERO)
            wants = instrument.settle == currency and not (order.closes or order.reduce_only)
            return instrument.notional(opening, price) / order.lever if wants else ZERO
        if order.side == "buy":
            return (order.leaves if order.in_quote else order.leaves * price) if currency == instrument.quote else ZERO
        return order.leaves if currency == instrument.base else ZERO

    def available(self, currency: str) -> Decimal:
        """Return cash and cross profit less what positions and orders tie up."""
        crossed = [
            p for p in self.account.open_positions() if p.margin_mode == "cross" and p.instrument.settle == currency
        ]
        tied = sum((p.initial_margin(self.market(p.instrument.inst_id).mark) for p in crossed), ZERO)
        profit = sum((account_rows.unrealised(self, p) for p in crossed), ZERO)
        return max(self.account.cash.get(currency, ZERO) + profit - tied - self.frozen(currency), ZERO)

    def usd_price(self, currency: str) -> Decimal:
        """Return the dollar price of a coin: that of its USDT pair."""
        pair = self.markets.get(f"{currency}-USDT")
        return pair.last if pair else Decimal(1)

    def tell_account(self, event: str, orders: Sequence[Order] = ()) -> None:
        """Push balances and the positions these orders' instruments touched, as after a fill."""
        for order in orders:
            if order.instrument.is_swap:
                self.tell_position(self._touched(order))
        currencies = {name for order in orders for name in (order.instrument.base, order.instrument.quote)}
        moved = [name for name in self.account.cash if not orders or name in currencies]
        self.tell(Push("account", [account_rows.account_row(self, ",".join(moved))], fields=UPDATE))
        self.tell(Push("balance_and_position", [self.balance_and_position(event, moved, orders)]))

    def tell_position(self, held: Position) -> None:
        """Push one position."""
        row, instrument = account_rows.position_row(self, held), held.instrument
        self.tell(Push("positions", [row], instrument.inst_id, instrument.inst_type, fields=UPDATE))

    def balance_and_position(self, event: str, currencies: Sequence[str], orders: Sequence[Order] = ()) -> Row:
        """Return the row of that channel."""
        positions = [self._touched(order) for order in orders if order.instrument.is_swap]
        if event == "snapshot":
            positions = self.account.open_positions()
        return {
            "pTime": str(self.clock.now_ms()),
            "eventType": event,
            "balData": [account_rows.balance_row(self, name) for name in currencies],
            "posData": [account_rows.position_brief(held) for held in positions],
            "trades": [{"instId": o.instrument.inst_id, "tradeId": o.fills[-1].trade_id} for o in orders if o.fills],
        }

    def _touched(self, order: Order) -> Position:
        # The position an order's last fill moved; a closed one is gone from the books but still told about.
        side = order.asked("posSide", "net")
        key = (order.instrument.inst_id, order.asked("tdMode"), side)
        held = self.account.position(*key)
        return held or self.account.last_closed[key]

    # --- time

    def run_timers(self) -> None:
        """Do what is due by the venue's clock: the dead man's switch."""
        for tag, due_ms in list(self._deadlines.items()):
            if self.clock.now_ms() >= due_ms:
                del self._deadlines[tag]
                for order in self.trading.open_orders():
                    if not tag or order.asked("tag") == tag:
                        self.trading.end(order, DEAD_MANS_SWITCH)

    def cancel_all_after(self, seconds: int, tag: str) -> int:
        """Arm (10..120 s) or disarm (0) the dead man's switch for a tag or for all; returns its moment in ms or 0."""
        if seconds == 0:
            self._deadlines.pop(tag, None)
            return 0
        if not 10 <= seconds <= 120:
            raise VenueError("51000", "timeOut")
        if tag and tag not in self._deadlines and len(self._deadlines) >= TIMERS_MAX:
            raise VenueError("51071")
        self._deadlines[tag] = self.clock.now_ms() + seconds * 1000
        return self._deadlines[tag]

    # --- what a test does to the market

    def set_last(self, inst_id: str, price: str) -> None:
        """Move the last price; stops on it fire."""
        self.market(inst_id).set_last(Decimal(price))
        self.algos.sweep(inst_id)

    def set_mark(self, inst_id: str, price: str) -> None:
        """Move the mark price; stops on it fire, positions are told."""
        self.market(inst_id).set_mark(Decimal(price))
        self.algos.sweep(inst_id)
        for held in self.account.open_positions(inst_id):
            self.tell_position(held)

    def set_index(self, inst_id: str, price: str) -> None:
        """Move the index price of the instrument's family."""
        self.market(inst_id).set_index(Decimal(price))
        self.algos.sweep(inst_id)

    def set_price(self, inst_id: str, price: str) -> None:
        """Move last, mark, index and the whole book to a price."""
        market, middle, step = self.market(inst_id), Decimal(price), self.instruments[inst_id].tick
        bids = [(str(middle - step * n), "1000") for n in range(1, 6)]
        market.replace_book(bids, [(str(middle + step * n), "1000") for n in range(1, 6)])
        self.set_index(inst_id, price)
        self.set_mark(inst_id, price)
        self.set_last(inst_id, price)

    def set_book(self, inst_id: str, bids: Levels, asks: Levels) -> None:
        """Make the book these levels."""
        self.market(inst_id).replace_book(bids, asks)

    def print_trade(self, inst_id: str, price: str, size: str, side: str) -> str:
        """Somebody trades; ``side`` is the taker's. Our resting orders it reached fill first. Returns the trade id."""
        market = self.market(inst_id)
        trade_id = str(market.print_trade(Decimal(price), Decimal(size), side)["tradeId"])
        self.trading.traded_through(inst_id, Decimal(price), Decimal(size), side, trade_id)
        self.algos.sweep(inst_id)
        return trade_id

    # --- what a test does to orders

    def order(self, ord_id: str = "", client_id: str = "") -> Order:
        """Return an order by id or client id; fails if the venue does not know it (any more)."""
        found = self.trading.find(ord_id, client_id)
        if found is None:
            raise VenueError("51603")
        return found

    def fill(self, order: Order, size: str, price: str = "", *, taker: bool = False) -> None:
        """Fill part of an order, resting or already canceled (a late fill), at its own price unless given."""
        at = Decimal(price) if price else order.price
        if at is None:
            raise VenueError("51204")
        self.trading.fill(order, Decimal(size), at, taker=taker)
