"""What the risk stage remembers: settings, markets, the account, open and reserved exposure, and what holds trading
back.

It is changed in place inside ``evolve`` (ticks touch two fields of one record); ``decide`` never writes to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from schemas.events.account import EquityChanged
from schemas.events.common import PositionSide, Quality, Regime
from schemas.events.market import Channel, InstrumentDefined
from schemas.events.plan import Entry
from schemas.events.risk import StateCause
from schemas.settings import TradingSettings
from schemas.staleness import AGE_MAX, TRADES_AGE_MAX

NEVER = 1 << 62
"""Later than any moment."""


@dataclass(slots=True)
class Funding:
    """What is known of an instrument's funding; moments in microseconds, 0: unknown."""

    forecast_rate: Decimal | None = None
    forecast_at: int = 0
    settled_rate: Decimal | None = None
    settled_at: int = 0
    interval: int = 0


@dataclass(slots=True)
class Market:
    """One instrument as risk sees it. ``age_max``: microseconds by channel, three cadences where one is declared.

    ``quote_channel``: where the best bid and ask came from, quotes or the book's top.
    """

    instrument: InstrumentDefined | None = None
    last_price: Decimal | None = None
    last_ts: int = 0
    last_age_max: int = TRADES_AGE_MAX
    bid_price: Decimal | None = None
    ask_price: Decimal | None = None
    quote_ts: int = 0
    quote_channel: Channel = Channel.QUOTES
    mark_price: Decimal | None = None
    mark_ts: int = 0
    age_max: dict[str, int] = field(default_factory=dict)
    quality: Quality = Quality.GOOD
    regime: Regime = Regime.UNKNOWN
    uncertainty: Decimal | None = None
    funding: Funding = field(default_factory=Funding)

    def mark_is_fresh(self, now: int) -> bool:
        """Return whether the newest mark is inside its age limit."""
        limit = self.age_max.get(Channel.MARK, AGE_MAX[Channel.MARK])
        return self.mark_price is not None and now - self.mark_ts <= limit


@dataclass(slots=True)
class Account:
    """The account as its last event left it; ``ts``: when that was."""

    equity: Decimal
    cash: Decimal
    peak: Decimal
    day_start: Decimal
    ts: int

    @classmethod
    def of(cls, event: EquityChanged, now: int) -> Account:
        """Return the account as an event leaves it."""
        return cls(event.equity, event.cash, event.peak_equity, event.day_start_equity, now)


@dataclass(slots=True)
class Position:
    """An open position: quantities signed, ``cost`` its entry value, ``margin`` isolated."""

    plan_id: str
    quantity: Decimal
    base: Decimal
    cost: Decimal
    margin: Decimal


@dataclass(slots=True)
class Protection:
    """The stop in force for an instrument's trade, and the margin leverage it was approved with."""

    plan_id: str
    stop_price: Decimal
    margin_leverage: int
    client_order_id: str = ""


@dataclass(slots=True)
class Reservation:
    """Capacity an approved entry holds until it fills or ends; ``filled``: the largest position it has become."""

    plan_id: str
    instrument_id: str
    position_side: PositionSide
    quantity: Decimal
    notional: Decimal
    loss: Decimal
    margin: Decimal
    fee: Decimal
    filled: Decimal = Decimal(0)

    def open_share(self) -> Decimal:
        """Return the part still working, 0 to 1."""
        return max(Decimal(0), 1 - self.filled / self.quantity)


@dataclass(slots=True)
class ApprovedPlan:
    """What a later plan must not repeat inside the window."""

    ts: int
    plan_id: str
    instrument_id: str
    position_side: PositionSide
    entry: Entry


@dataclass(slots=True)
class OpenDifference:
    """What the venue and the log say of one subject, as last told, and since when they differ."""

    venue: str
    log: str
    since: int


@dataclass(slots=True)
class RiskState:
    """Everything a verdict depends on. ``next_expiry``: when the first timed cause runs out.

    ``differences``: what the newest snapshot says otherwise than the log; empty: the account is reconciled.
    ``warned``: the drawdown warning holds.
    """

    settings: TradingSettings | None = None
    limits_missing: tuple[str, ...] = ()
    account_id: str = ""
    account: Account | None = None
    open_differences: dict[str, OpenDifference] = field(default_factory=dict)
    differences: tuple[str, ...] = ("no snapshot since start",)
    markets: dict[str, Market] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    protections: dict[str, Protection] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    causes: tuple[StateCause, ...] = ()
    next_expiry: int = NEVER
    warned: bool = False
    streaks: dict[str, int] = field(default_factory=dict)
    stop_exits: dict[str, list[int]] = field(default_factory=dict)
    approvals: list[int] = field(default_factory=list)
    recent: list[ApprovedPlan] = field(default_factory=list)
    messages: dict[str, list[int]] = field(default_factory=dict)

    def market(self, instrument_id: str) -> Market:
        """Return the instrument's record, making it on first sight; only ``evolve`` may call this."""
        found = self.markets.get(instrument_id)
        if found is None:
            found = self.markets[instrument_id] = Market()
        return found
