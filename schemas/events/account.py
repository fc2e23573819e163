"""The account: cash, equity, positions and trades, all derived from fills, funding, flows and marks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import EntryEnd, ExitReason, PlanOrigin, PositionSide, PriceSource
from schemas.values import Bps, Micros, Money, Percent, Price, Quantity, Rate, Ratio


class FlowKind(StrEnum):
    """Money that is neither profit nor loss."""

    INITIAL = "INITIAL"
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


class BreachCause(StrEnum):
    """Why a trade lost more than was approved."""

    GAP = "GAP"
    SLIPPAGE = "SLIPPAGE"
    FEE = "FEE"
    FUNDING = "FUNDING"


@dataclass(frozen=True, slots=True)
class CashFlowed(Event):
    """A deposit (positive) or withdrawal (negative); rescales peak and day start."""

    account_id: str
    kind: FlowKind
    amount: Money


@dataclass(frozen=True, slots=True)
class EquityChanged(Event):
    """Equity after an event that moved it, and what the breakers are measured against.

    ``equity = cash + unrealized_pnl`` of swaps ``+ quantity * last`` of spot holdings (their cost has left the cash).
    ``gross_notional``: sum of |position notional at mark|. ``margin``: sum of isolated margins, part of the cash.
    ``mark_source``: LAST when any open swap was valued at last because its mark was missing, stale or coarser than the
    bars. ``flow``: the deposit or withdrawal in this change, 0 otherwise.
    """

    account_id: str
    equity: Money
    cash: Money
    unrealized_pnl: Money
    gross_notional: Money
    margin: Money
    peak_equity: Money
    drawdown_pct: Percent
    day_start_equity: Money
    daily_loss_pct: Percent
    mark_source: PriceSource
    flow: Money


@dataclass(frozen=True, slots=True)
class PositionChanged(Event):
    """A position opened, changed or closed. ``quantity`` signed, in the instrument's unit; zero: flat.

    ``base_quantity`` has the same sign. ``cost``: entry value of what is held; ``avg_entry_price`` is cost / base
    quantity, for display, None when flat. ``realized_pnl``: of the trade so far, before fees and funding.
    """

    account_id: str
    instrument_id: str
    plan_id: str
    trade_id: str
    quantity: Quantity
    base_quantity: Quantity
    cost: Money
    avg_entry_price: Price | None
    margin: Money
    realized_pnl: Money


@dataclass(frozen=True, slots=True)
class FundingPaid(Event):
    """Funding of an open position; positive = received."""

    account_id: str
    instrument_id: str
    plan_id: str
    trade_id: str
    payment: Money
    funding_rate: Rate


@dataclass(frozen=True, slots=True)
class ChargeBooked(Event):
    """The venue's charge (negative) or credit outside of any trade is in the cash: a result, not a flow."""

    account_id: str
    bill_id: str
    venue_type: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Excursion:
    """Worst and best a trade was, in price, percent of entry and R; all >= 0. R is None without a first stop."""

    mae: Price
    mae_pct: Percent
    mae_r: Ratio | None
    mfe: Price
    mfe_pct: Percent
    mfe_r: Ratio | None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Implementation shortfall of a trade, in quote currency, positive = cost (Perold; domain section 7).

    ``funding`` alone is positive when received: ``total`` is all the other parts less it. ``spread_observed``: False
    where no quote was known, so that spread is zero and inside the impact.
    """

    decision: Money
    delay: Money
    spread: Money
    impact: Money
    exit_decision: Money
    exit_delay: Money
    exit_spread: Money
    exit_impact: Money
    fee: Money
    funding: Money
    opportunity: Money
    total: Money
    total_bps: Bps | None
    spread_observed: bool


@dataclass(frozen=True, slots=True)
class EntryMissed(Event):
    """An approved entry that ended without any fill, and what it would have made by then: ``s * Q * (X0 - P0)``.

    ``opportunity`` positive = cost: the market went the plan's way without it. ``intended_quantity`` Q in base units,
    ``decision_price`` P0 the mid at the decision, ``end_price`` X0 the mid when the entry ended; ``opportunity_bps`` of
    Q * P0. None where a price was not known. Money that was never on the books: it is in no equity and no trade. Should
    the venue still report a fill later, that is a trade with a shortfall of its own, and this no longer counts.
    """

    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin
    end: EntryEnd | None
    intended_quantity: Quantity
    decision_price: Price | None
    end_price: Price | None
    opportunity: Money | None
    opportunity_bps: Bps | None


@dataclass(frozen=True, slots=True)
class TradeClosed(Event):
    """A trade from flat to flat. ``net_pnl = gross_pnl - fees + funding - liquidation_penalty``.

    ``slippage``: quote currency lost against arrival prices, positive = worse. ``exit_reason``: of the last exit fill.
    """

    trade_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    position_side: PositionSide
    strategy: str
    origin: PlanOrigin | None
    ts_opened: Micros
    ts_closed: Micros
    entered_quantity: Quantity
    avg_entry_price: Price
    avg_exit_price: Price
    first_stop_price: Price | None
    exit_reason: ExitReason
    gross_pnl: Money
    fees: Money
    funding: Money
    liquidation_penalty: Money
    net_pnl: Money
    slippage: Money
    initial_risk: Money | None
    r_multiple: Ratio | None
    budget_multiple: Ratio | None
    breach: BreachCause | None
    excursion_last: Excursion | None
    excursion_mark: Excursion | None
    exit_efficiency: Ratio | None
    shortfall: Shortfall | None
    holding_s: int
