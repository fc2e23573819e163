"""Values the account: effective marks, equity, peak, drawdown and day start; and checks that the books explain it.

Source: domain definitions, section 1 (staleness), 4 (drawdown, daily loss, flows) and 7 (equity, identity).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.account import EquityChanged
from schemas.events.common import PriceSource, Quality
from schemas.events.market import Channel
from schemas.staleness import age_max
from schemas.values import SECOND, Money, money, percent
from streams.core.account.state import ZERO, AccountState, Desk, LedgerError, Position, View

DAY = 86_400 * SECOND
MARK_HOLD_MAX = 60 * SECOND
"""How long a mark that is not GOOD is held back. Source: domain definitions, section 4 (drawdown)."""

Quoted = tuple[Decimal, PriceSource]
Seen = tuple[Desk, View]
"""A desk, and the market it is about to see."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """What the open positions and dust add to the cash."""

    unrealized: Decimal
    holdings: Decimal
    gross_notional: Decimal
    margin: Decimal
    mark_source: PriceSource


def counted_mark(view: View, now: int) -> tuple[Decimal | None, int]:
    """Return the mark in force and its time: the newest that is GOOD, or was held back for its 60 s."""
    if view.held_mark is not None and view.held_since is not None and now - view.held_since >= MARK_HOLD_MAX:
        return view.held_mark, view.held_mark_ts
    return view.mark, view.mark_ts


def effective_mark(view: View, now: int) -> Quoted | None:
    """Return what a swap is valued at, and whether that is the mark or last standing in for it; None: no price yet.

    Last stands in for a mark that is missing, stale (older than three of its cadences), or coarser than the bars and
    older than the last bar: a mark every hour does not mark a position at each bar's close.
    """
    mark, mark_ts = counted_mark(view, now)
    if view.last is None:
        return None if mark is None else (mark, PriceSource.MARK)
    stale = now - mark_ts > age_max(Channel.MARK, view.mark_cadence_us)
    if mark is None or stale or (is_coarse(view) and view.last_ts > mark_ts):
        return view.last, PriceSource.LAST
    return mark, PriceSource.MARK


def is_coarse(view: View) -> bool:
    """Say whether marks come more rarely than bars close."""
    return view.bar_us is not None and view.mark_cadence_us is not None and view.mark_cadence_us > view.bar_us


def hold_back(view: View) -> bool:
    """Say whether a mark that comes now waits before it counts."""
    return view.quality is not Quality.GOOD


def mid_of(view: View) -> Decimal | None:
    """Return the middle of the quote; without quotes last, without trades the mark; None: nothing known yet."""
    if view.bid is not None and view.ask is not None:
        return (view.bid + view.ask) / 2
    return view.mark if view.last is None else view.last


def price_of(view: View, position: Position, now: int) -> Quoted:
    """Return what a position is valued at: spot at last, a swap at the effective mark, without a price at its cost."""
    if position.spot and view.last is not None:
        return view.last, PriceSource.MARK
    quoted = effective_mark(view, now)
    return (abs(position.cost / position.base_quantity), PriceSource.LAST) if quoted is None else quoted


def valuate(state: AccountState, now: int, seen: Seen | None = None) -> Valuation:
    """Value every open position and all dust at the market of ``now``; ``seen``: one desk as it will see the market."""
    unrealized, holdings, gross, margin = ZERO, ZERO, ZERO, ZERO
    source = PriceSource.MARK
    for desk in state.desks.values():
        position = desk.position
        if position is not None:
            view = desk.view if seen is None or desk is not seen[0] else seen[1]
            price, quoted = price_of(view, position, now)
            value = money(abs(position.base_quantity) * price)
            unrealized += position.sign * (value - position.cost)
            gross += value
            margin += position.margin
            holdings += position.cost if position.spot else ZERO
            source = PriceSource.LAST if quoted is PriceSource.LAST else source
        if desk.dust:
            worth = _dust_value(desk)
            unrealized += worth - desk.dust_cost
            holdings += desk.dust_cost
            gross += worth
    return Valuation(unrealized, holdings, gross, margin, source)


def _dust_value(desk: Desk) -> Decimal:
    return desk.dust_cost if desk.view.last is None else money(desk.dust * desk.view.last)


def check_books(state: AccountState) -> None:
    """Raise LedgerError unless flows and results explain the cash to the last digit (the identity of section 7).

    ``cash + cost of spot holdings = flows + net of closed trades + net so far of open ones + funding and charges
    without a trade``; adding unrealized results to both sides gives the identity of the equity.
    """
    explained = state.flows + state.net_closed + state.unassigned
    spent = ZERO
    for desk in state.desks.values():
        if desk.position is not None:
            explained += desk.position.net
            spent += desk.position.cost if desk.position.spot else ZERO
        spent += desk.dust_cost
    if explained != state.cash + spent:
        raise LedgerError(f"cash {state.cash} + holdings {spent} != {explained} explained by flows and results")


def measure(
    state: AccountState, now: int, *, flow: Decimal = ZERO, reset_peak: bool = False, seen: Seen | None = None
) -> EquityChanged:
    """Return the equity of ``state`` (books already moved) at ``now``, with peak, drawdown and day start.

    ``flow`` (already in the cash) rescales peak and day start by equity after over before: it is neither profit nor
    loss. ``reset_peak``: an operator released the drawdown halt. The day's start is the equity its first event found.
    """
    check_books(state)
    value = valuate(state, now, seen)
    equity = state.cash + value.holdings + value.unrealized
    first = state.next_day == 0
    day_start = state.equity if now >= state.next_day else state.day_start
    peak = state.peak
    if flow and equity > flow and not first:
        before = equity - flow
        peak, day_start = money(peak * equity / before), money(day_start * equity / before)
    if first:
        day_start = equity
    peak = equity if first or reset_peak or equity > peak else peak
    return EquityChanged(
        account_id=state.account_id,
        equity=Money(equity),
        cash=Money(state.cash),
        unrealized_pnl=Money(value.unrealized),
        gross_notional=Money(value.gross_notional),
        margin=Money(value.margin),
        peak_equity=Money(peak),
        drawdown_pct=percent(_fall(peak, equity)),
        day_start_equity=Money(day_start),
        daily_loss_pct=percent(_fall(day_start, equity)),
        mark_source=value.mark_source,
        flow=Money(flow),
    )


def _fall(start: Decimal, end: Decimal) -> Decimal:
    return (start - end) / start * 100 if start > 0 else ZERO
