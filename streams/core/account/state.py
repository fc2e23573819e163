"""What the account remembers: cash, equity marks, and per instrument the market, the open position and its plans.

Prices, orders and excursions are changed in place by ``evolve`` (they move on every tick); positions and plans are
replaced, so that ``decide`` can work out what will be without touching what is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from schemas.events.common import (
    ExitReason,
    MarginMode,
    OrderPurpose,
    OrderType,
    PlanOrigin,
    PositionSide,
    Quality,
    Side,
)

ZERO = Decimal(0)


class LedgerError(RuntimeError):
    """The books do not balance, or a posting makes no sense: a bug, and a reason to stop (fail-stop)."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The last live bar of an instrument's smallest timeframe; ``ts`` is its close."""

    ts: int
    ts_open: int
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal


@dataclass(slots=True)
class View:
    """The market of one instrument as the account values it. Times are ``ts_event`` of the price, in microseconds.

    ``held_mark``: a mark held back since ``held_since`` because the data was not GOOD when it came.
    """

    last: Decimal | None = None
    last_ts: int = 0
    mark: Decimal | None = None
    mark_ts: int = 0
    mark_cadence_us: int | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    quality: Quality = Quality.GOOD
    held_mark: Decimal | None = None
    held_mark_ts: int = 0
    held_since: int | None = None
    bar: Bar | None = None
    bar_us: int | None = None
    trades_seen: bool = False
    min_quantity: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Position:
    """An open trade: what is held, and what the trade has cost and brought since it was flat.

    ``quantity`` (instrument's unit) and ``base_quantity`` are signed, everything else is not. ``cost`` is the entry
    value of what is held; ``entry_value`` and ``exit_value`` of all that was ever entered and left. The ``exit_*``
    benchmarks are sums of quantity times price over the exit fills, rounded like postings.
    """

    trade_id: str
    plan_id: str
    side: PositionSide
    margin_mode: MarginMode
    ts_opened: int
    quantity: Decimal = ZERO
    base_quantity: Decimal = ZERO
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    entered_quantity: Decimal = ZERO
    entered_base: Decimal = ZERO
    entry_value: Decimal = ZERO
    exited_base: Decimal = ZERO
    exit_value: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    penalty: Decimal = ZERO
    slippage: Decimal = ZERO
    gap_loss: Decimal = ZERO
    entry_p2: Decimal | None = None
    entry_t2: Decimal | None = None
    spread_observed: bool = True
    exit_x0: Decimal = ZERO
    exit_p2: Decimal = ZERO
    exit_t2: Decimal = ZERO
    exit_reason: ExitReason | None = None

    @property
    def sign(self) -> int:
        """+1 for a long, -1 for a short."""
        return 1 if self.side is PositionSide.LONG else -1

    @property
    def net(self) -> Decimal:
        """Result so far: realized, less fees and penalty, with funding (positive = received)."""
        return self.realized - self.fees + self.funding - self.penalty

    @property
    def spot(self) -> bool:
        """Whether what is held was paid for in full (its cost left the cash)."""
        return self.margin_mode is MarginMode.CASH


@dataclass(slots=True)
class Track:
    """Lowest and highest price since the first fill, on last and on mark; side-free, so that it can be kept early.

    A bar is ``pending`` until it is known whether the trade ended in it. ``pending_favourable``: False in an entry
    bar whose favourable side may have come before the entry.
    """

    low: Decimal | None = None
    high: Decimal | None = None
    mark_low: Decimal | None = None
    mark_high: Decimal | None = None
    pending_ts: int = -1
    pending_low: Decimal = ZERO
    pending_high: Decimal = ZERO
    pending_favourable: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What the review of a trade needs from its verdict. ``p0``, ``p1``: mids at decision and at approval."""

    plan_id: str
    side: PositionSide
    strategy: str
    origin: PlanOrigin
    first_stop: Decimal
    reference_price: Decimal
    unit_loss: Decimal
    worst_case_loss: Decimal
    quantity: Decimal
    base_quantity: Decimal
    targets: tuple[Decimal, ...]
    p0: Decimal | None
    p1: Decimal | None


@dataclass(slots=True)
class Order:
    """An order of ours as far as the account cares. ``decision_mid``: mid when it was intended.

    ``p2``, ``t2``: mid and near touch when the venue had it, where a quote was known. ``live``: may still fill.
    """

    plan_id: str
    purpose: OrderPurpose
    type: OrderType
    side: Side
    ts: int
    limit_price: Decimal | None
    trigger_price: Decimal | None
    decision_mid: Decimal | None
    p2: Decimal | None = None
    t2: Decimal | None = None
    live: bool = True


@dataclass(slots=True)
class Desk:
    """Everything the account knows of one instrument. ``dust``: spot remainders below the minimum, and their cost.

    ``proposal``: plan id of the newest proposal and the mid when its input was taken. ``funded_until``: the newest
    funding settlement booked, so that each counts once. ``waiting``: the last bar's equity waits for an exit's fill.
    """

    view: View = field(default_factory=View)
    position: Position | None = None
    track: Track = field(default_factory=Track)
    plans: dict[str, Plan] = field(default_factory=dict)
    proposal: tuple[str, Decimal | None] = ("", None)
    orders: dict[str, Order] = field(default_factory=dict)
    dust: Decimal = ZERO
    dust_cost: Decimal = ZERO
    funded_until: int = 0
    waiting: bool = False


@dataclass(slots=True)
class AccountState:
    """The account. ``ready``: the first snapshot opened the books. ``next_day``: when the current UTC day ends.

    ``flows``, ``net_closed``, ``unassigned``: money in and out, results of closed trades, funding and charges without
    a trade: with the open trades they must always explain the equity. ``fill_ids``, ``bills``: the newest fills, and
    lines of the venue's ledger, to book each once.
    """

    account_id: str = ""
    slippage_buffer_pct: Decimal = ZERO
    ready: bool = False
    cash: Decimal = ZERO
    equity: Decimal = ZERO
    peak: Decimal = ZERO
    day_start: Decimal = ZERO
    next_day: int = 0
    flows: Decimal = ZERO
    net_closed: Decimal = ZERO
    unassigned: Decimal = ZERO
    desks: dict[str, Desk] = field(default_factory=dict)
    fill_ids: dict[str, int] = field(default_factory=dict)
    bills: list[str] = field(default_factory=list)
