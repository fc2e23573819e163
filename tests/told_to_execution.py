"""What a world's reports do to the trader: those of each entry, in the log's order, through the real execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schemas.codec import decode
from schemas.events.common import OrderPurpose
from schemas.events.gateway import GatewayClaimed
from schemas.events.orders import FillBooked, OrderIntended
from schemas.topics import REPORTS
from streams.core.execution import STAGE
from tests.gateway_model import ZERO, World
from tests.rig import Rig, approved, limit


def misbooked(world: World) -> list[str]:
    """Feed the reports of every entry to an execution of its own, under the id it chose; return what it booked wrongly.

    Raises what execution raises: a trader that stops on the word of its gateway stops for good.
    """
    events: list[Any] = [decode(record.value)[1] for record in world.log.read(REPORTS, 0, 0, limit=100_000)]
    problems = []
    for order in world.intents:
        if order.purpose is not OrderPurpose.ENTRY:
            continue
        name = order.client_order_id
        booked = sum((fill.last_quantity for fill in _through_execution(events, name).of(FillBooked)), ZERO)
        held = world.venue.orders.get(name)
        filled = ZERO if held is None else held.filled
        if booked != filled:
            problems.append(f"{name}: {filled} filled, {booked} booked")
    return problems


def _through_execution(events: Sequence[Any], name: str) -> Rig:
    rig = Rig(stages=(STAGE,), venue="OKX")
    rig.feed(approved(entry=limit("80000")))
    entry = rig.of(OrderIntended)[0].client_order_id
    for event in events:
        if isinstance(event, GatewayClaimed):
            rig.feed(event)
        elif event.client_order_id == name:
            rig.feed(replace(event, client_order_id=entry))
    return rig
