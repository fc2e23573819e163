"""Positions the venue closed by force: their fills, and the penalty beside them, which only its own books tell.

A fill does not name the penalty; the closed position does, some moments later. So such a fill waits for it, for a few
looks at most: then it is told without, and what it took shows as a difference in cash.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from schemas.events.orders import VenueLiquidated
from schemas.values import Micros, Money, Quantity
from services.gateways.okx.desk import FILLS_OVERLAP_US, FORCED, OrderDesk
from services.gateways.okx.facts import Category, ClosedPosition, VenueExecution

LOOKS_MAX = 5
"""How often the books are asked for a penalty before the fill is told without it."""
ZERO = Decimal(0)


class ForcedCloses:
    """The forced closes of one desk's account that are not on the log yet."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk
        self._looks: dict[str, int] = {}

    async def take(self, executions: Sequence[VenueExecution]) -> bool:
        """Report the forced ones among executions; return whether some still wait for the venue's books."""
        desk = self._desk
        fresh = [e for e in executions if is_forced(e) and not desk.orders.knows(e.instrument_id, e.trade_id)]
        if not fresh:
            return False
        since = min(execution.ts_event for execution in fresh) - FILLS_OVERLAP_US
        closed = await desk.client.closed_positions(Micros(since))
        waits = False
        for execution in fresh:
            waits = not self._told(execution, closed) or waits
        return waits

    def _told(self, execution: VenueExecution, closed: Sequence[ClosedPosition]) -> bool:
        if execution.category is Category.LIQUIDATION:
            penalty = self._penalty(execution, closed)
            looks = self._looks[execution.trade_id] = self._looks.get(execution.trade_id, 0) + 1
            if penalty is None and looks < LOOKS_MAX:
                return False
            if penalty:
                self._tell(execution, penalty)
        self._looks.pop(execution.trade_id, None)
        self._desk.fill(execution)
        return True

    def _penalty(self, execution: VenueExecution, closed: Sequence[ClosedPosition]) -> Decimal | None:
        """Return what the venue booked beside the fill, less what was told of the same position; None: not yet."""
        name, ts = execution.instrument_id, execution.ts_event
        rows = [r for r in closed if r.instrument_id == name and r.ts_opened <= ts <= r.ts_updated + FILLS_OVERLAP_US]
        if not rows:
            return None
        told = self._desk.orders.penalties.get(name, [])
        before = sum((penalty for moment, penalty in told if moment >= rows[-1].ts_opened), ZERO)
        return max(ZERO, rows[-1].liquidation_penalty - before)

    def _tell(self, execution: VenueExecution, penalty: Decimal) -> None:
        desk = self._desk
        event = VenueLiquidated(
            account_id=desk.reports.owner.account_id,
            instrument_id=execution.instrument_id,
            venue_trade_id=execution.trade_id,
            mark_price=execution.last_price,
            quantity=Quantity(execution.last_quantity),
            penalty=Money(penalty),
        )
        desk.say(event, ts_event=execution.ts_event)


def is_forced(execution: VenueExecution) -> bool:
    """Whether the venue closed it by force."""
    return execution.category in FORCED
