"""What drills on the floor look at: what log and venue hold, where they differ, and what must be true after each."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from schemas.envelope import Event
from schemas.events.common import OrderPurpose, Side, TradingState
from schemas.events.orders import (
    FillBooked,
    OrderIntended,
)
from schemas.events.risk import ReconciliationDiffered, ReconciliationSettled, TradingStateChanged
from tests.okx_floor import BTC, REPORTS, Floor

SIZE = Decimal("10.86")
"""Contracts of the plan on 10,000 USDT: golden case G1a."""


def booked(floor: Floor) -> Decimal:
    """Return the position the log has booked."""
    fills = floor.of("fills", FillBooked)
    return sum((fill.last_quantity * (1 if fill.side is Side.BUY else -1) for fill in fills), Decimal(0))


def held(floor: Floor) -> Decimal:
    """Return the position at the venue."""
    return sum((position.size for position in floor.okx.venue.account.open_positions(BTC)), Decimal(0))


def stops(floor: Floor) -> list[Decimal]:
    """Return the quantities of the stops resting at the venue."""
    return [Decimal(algo.asked("sz")) for algo in floor.okx.venue.algos.open_algos(BTC)]


def different(floor: Floor) -> list[str]:
    """Return the subjects in which venue and log still differ."""
    open_now: dict[str, None] = {}
    for event in floor.of("verdicts", Event):
        if isinstance(event, ReconciliationDiffered):
            open_now[event.subject] = None
        elif isinstance(event, ReconciliationSettled):
            del open_now[event.subject]
    return list(open_now)


def differed(floor: Floor, subject: str) -> list[ReconciliationDiffered]:
    """Return the differences told whose subject begins so."""
    return [told for told in floor.of("verdicts", ReconciliationDiffered) if told.subject.startswith(subject)]


def once_each(floor: Floor) -> bool:
    """Whether every order at the venue that has a name of ours was intended, and is there once."""
    venue = floor.okx.venue
    names = [order.asked("clOrdId") for order in venue.trading.orders.values() if not order.algo_id]
    names += [algo.asked("algoClOrdId") for algo in venue.algos.algos.values()]
    counted = Counter(name for name in names if name)
    return max(counted.values(), default=1) == 1 and counted.keys() <= {o.client_order_id for o in floor.intents()}


def agreed(floor: Floor, *, but: tuple[str, ...] = ()) -> None:
    """Assert what must hold after every drill; ``but``: what of the account may differ, and is told."""
    assert tuple(different(floor)) == but
    assert once_each(floor)
    assert booked(floor) == held(floor)
    assert sum(stops(floor), Decimal(0)) == max(held(floor), Decimal(0))
    assert floor.of("verdicts", TradingStateChanged)[-1].state is TradingState.ACTIVE


async def entered(floor: Floor) -> None:
    """Bring the floor to an open, protected position."""
    floor.execute()
    await floor.until(lambda: stops(floor) == [SIZE])
    await floor.settle()


def of_purpose(floor: Floor, purpose: OrderPurpose) -> list[OrderIntended]:
    return [order for order in floor.intents() if order.purpose is purpose]


def reported(floor: Floor, kind: type, order: OrderIntended) -> bool:
    return any(event.client_order_id == order.client_order_id for event in floor.of(REPORTS, kind))
