"""What execution remembers: every trade it runs, with its orders, and the venue trade ids it has booked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

from schemas.events.common import (
    ExitReason,
    MarginMode,
    OrderPurpose,
    OrderType,
    PlanOrigin,
    PositionSide,
    QuantityUnit,
    Side,
)
from schemas.events.market import InstrumentDefined
from schemas.events.plan import StopSpec, Target
from schemas.settings import Venue
from schemas.values import SECOND, truncate_to
from streams.core.execution.orders import Closing, OrderRecord
from streams.core.execution.watch import PricesOf
from streams.core.twin import twin

ZERO = Decimal(0)
NEVER = 2**63 - 1
SEEN_MAX = 2_000
"""Venue trade ids remembered against repeats; a venue repeats what is recent, after a reconnect."""
DONE_MAX = 20
"""Finished trades kept, so that a late fill still finds its trade."""
EXPIRY_GRACE_US = 5 * SECOND
"""How long after an entry's end of validity the venue may stay silent before it is asked to cancel."""


@dataclass(slots=True)
class TradeRecord:
    """One approved plan on its way through the market. Quantities in the instrument's unit.

    entered, open_quantity, exited: entered net of a fee taken in base. entry_value: sum of quantity times price of the
    entry fills, over ``entry_filled``. best_price: best last since entry, in the trade's favour. exiting: why all of it
    is being closed, from the decision on, late fills included. ts_trailed: when the stop last followed the market.
    ts_turned: since when the market's label contradicts the trade.
    """

    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin
    stop: StopSpec
    targets: tuple[Target, ...]
    entry_type: OrderType
    ts_valid_until: int
    max_holding_s: int | None
    quantity_unit: QuantityUnit
    margin_mode: MarginMode
    margin_leverage: int
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    entry_id: str = ""
    stop_id: str = ""
    entry_filled: Decimal = ZERO
    entry_value: Decimal = ZERO
    entered: Decimal = ZERO
    exited: Decimal = ZERO
    open_quantity: Decimal = ZERO
    ts_first_fill: int | None = None
    last_price: Decimal | None = None
    best_price: Decimal | None = None
    exiting: ExitReason | None = None
    unprotected: bool = False
    entry_ended: bool = False
    ts_trailed: int = 0
    ts_turned: int | None = None

    @property
    def sign(self) -> int:
        """+1 LONG, -1 SHORT."""
        return 1 if self.position_side is PositionSide.LONG else -1

    @property
    def entry_side(self) -> Side:
        """The side that opens."""
        return Side.BUY if self.position_side is PositionSide.LONG else Side.SELL

    @property
    def exit_side(self) -> Side:
        """The side that closes."""
        return Side.SELL if self.position_side is PositionSide.LONG else Side.BUY

    @property
    def entry(self) -> OrderRecord:
        """The entry order."""
        return self.orders[self.entry_id]

    @property
    def avg_entry_price(self) -> Decimal:
        """Average price of the entry fills so far."""
        return self.entry_value / self.entry_filled

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of a trading state that cover this trade."""
        return frozenset(("account", f"instrument:{self.instrument_id}", f"strategy:{self.strategy}"))

    def live(self, purpose: OrderPurpose) -> Iterator[OrderRecord]:
        """Yield the orders of one purpose that may still trade, oldest first."""
        return (order for order in self.orders.values() if order.purpose is purpose and order.live)

    def copy(self) -> TradeRecord:
        """Return a copy that can be changed without touching this one."""
        copied = twin(self)
        copied.orders = {name: twin(order) for name, order in self.orders.items()}
        return copied


@dataclass(slots=True)
class ExecutionState:
    """All trades under way and the last finished ones. ``active``: plan ids by instrument.

    next_deadline: nothing depends on the clock before it. plan_of: by client order id. seen: booked executions.
    penalties: what a liquidation takes beside the fee of its fill, by venue trade id, until that fill arrives.
    bad_since: since when an instrument's data is BAD. quality_exit_s: how long a trade bears it; 0: for ever.
    prices: what a stop could watch, by instrument; moved by ``evolve`` alone, so it is not copied for a draft.
    by_hand: what the account holds that is not ours, signed, by instrument; moved by ``evolve`` alone. held_in: the
    margin mode of what the venue holds there. closings: orders of the operator that close it, by client order id.
    claim_id: of the gateway that owns the reports; empty on paper.
    halted: scopes that are HALTED: nothing is started there except protection and reductions.
    """

    fee_buffer_pct: Decimal = ZERO
    venue: Venue = Venue.PAPER
    mark_substitute: bool = True
    regime_timeframe: str = ""
    regime_exit_enabled: bool = False
    quality_exit_s: int = 0
    bad_since: dict[str, int] = field(default_factory=dict)
    instruments: dict[str, InstrumentDefined] = field(default_factory=dict)
    trades: dict[str, TradeRecord] = field(default_factory=dict)
    active: dict[str, list[str]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    plan_of: dict[str, str] = field(default_factory=dict)
    seen: dict[str, bool] = field(default_factory=dict)
    penalties: dict[str, Decimal] = field(default_factory=dict)
    next_deadline: int = NEVER
    prices: PricesOf = field(default_factory=dict)
    halted: list[str] = field(default_factory=list)
    claim_id: str = ""
    by_hand: dict[str, Decimal] = field(default_factory=dict)
    held_in: dict[str, MarginMode] = field(default_factory=dict)
    closings: dict[str, Closing] = field(default_factory=dict)

    def copy(self, also: str = "") -> ExecutionState:
        """Return a copy to try events on: active trades, the one named ``also`` and the indexes are its own."""
        copied = twin(self)
        copied.trades = dict(self.trades)
        for plan_id in {also, *chain.from_iterable(self.active.values())} & self.trades.keys():
            copied.trades[plan_id] = self.trades[plan_id].copy()
        copied.active = {name: list(plans) for name, plans in self.active.items()}
        copied.done = list(self.done)
        copied.halted = list(self.halted)
        copied.bad_since = dict(self.bad_since)
        copied.plan_of = dict(self.plan_of)
        copied.closings = {
            name: Closing(each.account_id, each.instrument_id, twin(each.order)) for name, each in self.closings.items()
        }
        return copied

    def tradable(self, trade: TradeRecord) -> Decimal:
        """Return the open quantity in whole lots; a remainder below the minimum is dust and counts as nothing."""
        instrument = self.instruments[trade.instrument_id]
        lots = truncate_to(trade.open_quantity, instrument.lot_size)
        return lots if lots >= instrument.min_quantity else ZERO

    def is_halted(self, trade: TradeRecord) -> bool:
        """Whether the trade's account, instrument or strategy is HALTED."""
        return bool(self.halted) and not trade.scopes.isdisjoint(self.halted)
