"""From a plan document to absolute, tick-rounded prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import OrderType, PositionSide, PriceSource
from schemas.events.plan import Entry, StopSpec, Target
from schemas.plan_document import EntrySpec, PlanDocument, StopDocument
from schemas.values import Price
from streams.core.planner.prices import passive, tighter


@dataclass(frozen=True, slots=True)
class Reference:
    """What relative prices are measured from."""

    price: Decimal
    source: PriceSource


@dataclass(frozen=True, slots=True)
class Resolved:
    """A document's prices, absolute, and the reference used."""

    reference: Reference
    entry: Entry
    stop: StopSpec | None
    targets: tuple[Target, ...]


def resolve(document: PlanDocument, reference: Reference | None, tick: Decimal | None) -> Resolved | str:
    """Return the document with absolute prices, or why that cannot be done.

    Orders round passively (buy down, sell up), stop triggers toward the entry; without a tick size nothing is rounded
    and risk answers for the unknown instrument.
    """
    if reference is None and document.relative:
        return "relative prices and neither a mark nor a last price to resolve them"
    base = reference.price if reference else None
    side = document.position_side
    entry = _entry(document.entry, base, tick, side)
    used = reference or _own(entry)
    if used is None:
        return "a market entry and neither a mark nor a last price"
    targets = tuple(
        Target(passive(_absolute(item.limit_price.resolve(base)), tick, buy=side is PositionSide.SHORT), item.fraction)
        for item in document.targets
    )
    return Resolved(used, entry, _stop(document.stop, base, tick, side), targets)


def _absolute(price: Decimal | None) -> Decimal:
    assert price is not None, "a relative price reached rounding without a reference"
    return price


def _own(entry: Entry) -> Reference | None:
    """Return the plan's own entry price as the reference where the market has none yet."""
    if entry.limit_price is not None:
        return Reference(entry.limit_price, PriceSource.LIMIT)
    if entry.trigger_price is not None:
        return Reference(entry.trigger_price, PriceSource.TRIGGER)
    return None


def _entry(spec: EntrySpec, base: Decimal | None, tick: Decimal | None, side: PositionSide) -> Entry:
    buy = side is PositionSide.LONG
    if spec.type is OrderType.LIMIT and spec.limit_price is not None:
        price = passive(_absolute(spec.limit_price.resolve(base)), tick, buy=buy)
        return Entry(spec.type, limit_price=price, post_only=spec.post_only)
    if spec.type is OrderType.STOP and spec.trigger_price is not None:
        trigger: Price = passive(_absolute(spec.trigger_price.resolve(base)), tick, buy=buy)
        return Entry(spec.type, trigger_price=trigger)
    return Entry(spec.type)


def _stop(
    document: StopDocument | None, base: Decimal | None, tick: Decimal | None, side: PositionSide
) -> StopSpec | None:
    if document is None:
        return None
    return StopSpec(
        trigger_price=tighter(_absolute(document.trigger_price.resolve(base)), tick, side),
        trigger_price_type=document.trigger_price_type,
        break_even_at_r=document.break_even_at_r,
        trail_distance_pct=document.trail_distance_pct,
        trail_from_r=document.trail_from_r,
    )
