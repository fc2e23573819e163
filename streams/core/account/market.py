"""Takes market data into an instrument's view, and says which exits a bar must have met.

The functions that take data change the view they are given; ``decide`` gives them a copy.
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import OrderPurpose, OrderType, Quality, Side
from schemas.events.data import QualityChanged
from schemas.events.market import MarkPrice, Trade, VenueBar
from schemas.timeframes import TIMEFRAMES
from streams.core.account.equity import hold_back
from streams.core.account.state import Bar, Desk, Order, View


def take_trade(view: View, event: Trade, ts: int) -> None:
    """Note a print; a period whose trades are fed needs no bar."""
    view.last, view.last_ts, view.trades_seen = event.last_price, ts, True


def take_mark(view: View, event: MarkPrice, ts: int, now: int) -> None:
    """Note a mark, or hold it back while the data is not GOOD (``equity.counted_mark`` says when it counts)."""
    if not hold_back(view):
        view.mark, view.mark_ts = event.mark_price, ts
        return
    view.held_since = now if view.held_since is None else view.held_since
    view.held_mark, view.held_mark_ts = event.mark_price, ts


def take_quality(view: View, event: QualityChanged) -> None:
    """Note the quality; GOOD again, a mark held back counts at once."""
    view.quality = event.quality
    if event.quality is not Quality.GOOD:
        return
    if view.held_mark is not None:
        view.mark, view.mark_ts = view.held_mark, view.held_mark_ts
    view.held_mark, view.held_since = None, None


def take_bar(view: View, event: VenueBar, ts: int) -> Bar | None:
    """Note a bar and return it; None for history (last price only) and for what trades or shorter bars told."""
    size = TIMEFRAMES.get(event.timeframe)
    if size is None:
        return None
    finer = view.trades_seen or (view.bar_us is not None and size > view.bar_us)
    if finer and view.last_ts > event.ts_open:
        return None
    if event.backfill:
        if ts >= view.last_ts:
            view.last, view.last_ts = event.close_price, ts
        return None
    view.bar_us = size if view.bar_us is None else min(size, view.bar_us)
    view.last, view.last_ts = event.close_price, ts
    view.bar = Bar(ts, event.ts_open, event.open_price, event.high_price, event.low_price)
    return view.bar


def leaves_in_bar(desk: Desk, bar: Bar | None, now: int, *, own_order: str = "") -> bool:
    """Say whether an exit other than ``own_order`` must have filled in the bar that closed now.

    Its fills are still on their way in this step; valuing the position at the bar's close would count money that was
    never there, or a loss the stop has cut. Equity waits for the fill, but never longer than this bar.
    """
    position = desk.position
    if bar is None or bar.ts != now or position is None:
        return False
    entry_bar = position.ts_opened == bar.ts
    for client_order_id, order in desk.orders.items():
        if client_order_id == own_order or not order.live or order.purpose is OrderPurpose.ENTRY:
            continue
        if (order.ts <= bar.ts_open or entry_bar) and _meets(order, bar, desk, entry_bar=entry_bar):
            return True
    return False


def stopped_in_entry_bar(desk: Desk, bar: Bar | None, now: int) -> bool:
    """Say whether the bar that filled this entry also met its stop or, for a market entry, a target.

    The protection of the entry is not on the log yet; its prices are in the verdict.
    """
    position = desk.position
    plan = None if position is None else desk.plans.get(position.plan_id)
    if position is None or plan is None or bar is None or bar.ts != now or position.ts_opened != now:
        return False
    adverse, best = (bar.low_price, bar.high_price) if position.sign > 0 else (bar.high_price, bar.low_price)
    if position.sign * (adverse - plan.first_stop) <= 0:
        return True
    favourable = desk.track.pending_favourable
    return favourable and any(position.sign * (best - target) > 0 for target in plan.targets)


def _meets(order: Order, bar: Bar, desk: Desk, *, entry_bar: bool) -> bool:
    if order.type is OrderType.MARKET:
        return not entry_bar
    sells = order.side is Side.SELL
    if order.type is OrderType.STOP:
        return _reached(order.trigger_price, bar.low_price if sells else bar.high_price, falling=sells)
    if entry_bar and not desk.track.pending_favourable:
        return False
    return _through(order.limit_price, bar.high_price if sells else bar.low_price, rising=sells)


def _reached(trigger: Decimal | None, extreme: Decimal, *, falling: bool) -> bool:
    return trigger is not None and (extreme <= trigger if falling else extreme >= trigger)


def _through(limit: Decimal | None, extreme: Decimal, *, rising: bool) -> bool:
    return limit is not None and (extreme > limit if rising else extreme < limit)
