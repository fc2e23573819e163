"""What the paper venue remembers: cash, and a book per instrument (orders, position, the market as last seen)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from schemas.events.common import MarginMode, OrderPurpose, OrderType, Side, TriggerPriceType
from schemas.events.market import Channel, InstrumentDefined, InstrumentKind
from schemas.events.orders import OrderOperation
from schemas.values import SECOND
from streams.core.twin import twin
from streams.core.venue.watched import Span, Watched

ZERO = Decimal(0)
NEVER = 2**63 - 1
"""A moment after every other: nothing to wait for."""
TICK_FED_US = 60 * SECOND
"""An instrument without a tick for this long is fed by bars: its stops fire on bars, not on a lone mark."""


@dataclass(slots=True)
class Terms:
    """The settings the venue trades on. Rates are plain fractions; money in quote currency."""

    account_id: str = ""
    fee_maker_swap: Decimal = ZERO
    fee_taker_swap: Decimal = ZERO
    fee_maker_spot: Decimal = ZERO
    fee_taker_spot: Decimal = ZERO
    slippage: Decimal = ZERO
    participation: Decimal = ZERO
    latency_us: int = 0
    latency_jitter_us: int = 0
    fault_reject_pct: Decimal = ZERO
    fault_partial_pct: Decimal = ZERO
    seed: int = 0
    mark_substitute: bool = True


@dataclass(slots=True)
class VenueOrder:
    """One order at the venue. ``leaves``: what may still trade, in the instrument's unit.

    ts: the ``now`` of the step that placed it; it meets nothing earlier. ts_live: when the venue has it on a tick feed.
    travelled: it was under way. arrived: the venue has it. drawn: what its next draw counts as. expires: None for
    protection.
    met: it has met a bar or a tick, so it is no longer new to the market.
    ts_triggered: when the stop fired on a tick feed; it fills on a later tick.
    queue_ahead: base quantity before ours at our limit price; None: not known, only a print through the price fills.
    """

    client_order_id: str
    plan_id: str
    account_id: str
    purpose: OrderPurpose
    side: Side
    type: OrderType
    leaves: Decimal
    filled: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    trigger_price_type: TriggerPriceType
    post_only: bool
    reduce_only: bool
    margin_mode: MarginMode
    margin_leverage: int
    ts: int
    ts_live: int
    expires: int | None
    stop_price: Decimal | None
    arrived: bool = True
    travelled: bool = False
    drawn: int = 1
    met: bool = False
    arrival: Decimal | None = None
    ts_triggered: int | None = None
    trigger_source: TriggerPriceType | None = None
    queue_ahead: Decimal | None = None
    fills: int = 0

    @property
    def sign(self) -> int:
        """+1 BUY, -1 SELL."""
        return 1 if self.side is Side.BUY else -1


@dataclass(frozen=True, slots=True)
class Request:
    """A change asked of an order, and when it reaches the venue. A CANCEL has neither quantity nor trigger."""

    ts: int
    client_order_id: str
    account_id: str
    operation: OrderOperation
    quantity: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(slots=True)
class VenuePositionState:
    """What is held. ``quantity`` signed, instrument's unit; ``cost``: its entry value; ``margin``: isolated margin."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    margin_mode: MarginMode = MarginMode.ISOLATED


@dataclass(slots=True)
class StepBar:
    """The bar of the step under way, and mark and index inside it where they are finer than the bars.

    The protection of an entry that fills on a bar reaches the venue later in the same step and meets that same bar:
    ``plan_id`` is the plan whose entry filled on it, ``at_open`` whether that was a market entry at its open,
    ``entry_price`` what it filled at.
    """

    instrument_id: str
    ts_open: int
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    base_volume: Decimal
    mark: Span | None = None
    index: Span | None = None
    plan_id: str = ""
    at_open: bool = False
    entry_price: Decimal | None = None


def is_of_bar(bar: StepBar, instrument_id: str, plan_id: str) -> bool:
    """Whether an order belongs to the plan whose entry filled on the bar of this step."""
    return bar.plan_id == plan_id and bar.instrument_id == instrument_id


@dataclass(slots=True)
class Book:
    """One instrument at the venue. ``requests``: changes under way to it, in the order they were sent.

    ts_last: time of ``last_price``. ts_tick: time of the last trade or quote, -1: none; a bar that covers it fills
    nothing, the ticks already did. bar_us: the shortest bar interval seen; longer bars repeat what it said.
    boundary_mark: the last mark of an earlier hour, for a funding settlement that is reported late. ts_funding: of the
    last settlement paid.
    """

    instrument: InstrumentDefined
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    position: VenuePositionState = field(default_factory=VenuePositionState)
    last_price: Decimal | None = None
    ts_last: int = -1
    ts_tick: int = -1
    bid_price: Decimal | None = None
    bid_quantity: Decimal | None = None
    ask_price: Decimal | None = None
    ask_quantity: Decimal | None = None
    ts_quote: int = -1
    bar_us: int = 0
    mark: Watched = field(default_factory=lambda: Watched(Channel.MARK))
    index: Watched = field(default_factory=lambda: Watched(Channel.INDEX))
    boundary_mark: Decimal | None = None
    ts_boundary_mark: int = -1
    liquidations: int = 0
    ts_funding: int = -1

    @property
    def idle(self) -> bool:
        """Whether there is nothing a tick could act on."""
        return not self.orders and not self.position.quantity

    @property
    def is_spot(self) -> bool:
        """Whether the instrument is spot."""
        return self.instrument.kind is InstrumentKind.SPOT

    @property
    def index_id(self) -> str:
        """The id under which the venue tells the index of this instrument. Source: OKX v5, index tickers."""
        return f"{self.instrument.base_currency}-{self.instrument.quote_currency}"

    @property
    def multiplier(self) -> Decimal:
        """Base currency per unit of quantity."""
        return self.instrument.contract_value * self.instrument.contract_multiplier

    def copy(self) -> Book:
        """Return a copy whose orders and position can be changed without touching this one."""
        copied = twin(self)
        copied.orders = {name: twin(order) for name, order in self.orders.items()}
        copied.position = twin(self.position)
        copied.requests = list(self.requests)
        return copied


def is_tick_fed(book: Book, now: int) -> bool:
    """Whether trades or quotes of the instrument still come."""
    return book.ts_tick >= 0 and now - book.ts_tick <= TICK_FED_US


@dataclass(slots=True)
class VenueState:
    """All books and the account's cash. ``next_due``: nothing arrives or expires before. ``opened``: snapshot sent."""

    terms: Terms = field(default_factory=Terms)
    opened: bool = False
    cash: Decimal = ZERO
    books: dict[str, Book] = field(default_factory=dict)
    next_due: int = NEVER
    step_bar: StepBar | None = None

    def copy_for(self, instrument_id: str) -> VenueState:
        """Return a copy in which one book can be changed; the others are shared and must only be read."""
        copied = twin(self)
        copied.books = self.books | {instrument_id: self.books[instrument_id].copy()}
        copied.step_bar = None if self.step_bar is None else twin(self.step_bar)
        return copied

    def books_on_index(self, index_id: str) -> Iterator[Book]:
        """Yield the books whose index has this id: some feeds name it by its own, some by the instrument's."""
        return (book for book in self.books.values() if index_id in (book.index_id, book.instrument.instrument_id))

    def due(self) -> Iterator[int]:
        """Yield every moment at which something expires or arrives."""
        for book in self.books.values():
            for order in book.orders.values():
                if order.expires is not None:
                    yield order.expires
                if not order.arrived:
                    yield order.ts_live
            yield from (request.ts for request in book.requests)
