"""Size from the stop distance and nothing else; a limit denies, it never shrinks (domain definitions, section 3).

Everything here is exact: unrounded Decimals at precision 50; only quantities are floored to the lot.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import Quality
from schemas.events.risk import SizedBy
from schemas.values import truncate_to

HUNDRED = Decimal(100)
ZERO = Decimal(0)
ONE = Decimal(1)

_SCALE_TOP = Decimal("0.95")
_SCALE_SPAN = Decimal("0.35")
_SCALE_MIN = Decimal("0.25")
_SCALE_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class SizeInputs:
    """What a size follows from. ``sign``: +1 LONG, -1 SHORT; fees are fractions; ``unit``: base currency per contract.

    ``cash_free``: quote currency a spot buy may use; None for swaps.
    """

    sign: int
    entry: Decimal
    stop: Decimal
    equity: Decimal
    budget_pct: Decimal
    fee_buffer_pct: Decimal
    slippage_buffer_pct: Decimal
    fee_in: Decimal
    fee_out: Decimal
    unit: Decimal
    lot: Decimal
    cash_free: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """The size and its loss at the stop; ``quantity`` in the instrument's unit, ``unit_loss`` per base unit."""

    stop_distance_pct: Decimal
    formula_notional: Decimal
    quantity: Decimal
    base_quantity: Decimal
    notional: Decimal
    stop_worst: Decimal
    unit_loss: Decimal
    loss: Decimal
    sized_by: SizedBy


def stop_distance_pct(sign: int, entry: Decimal, stop: Decimal) -> Decimal:
    """Return how far the stop lies beyond the entry, in percent of the entry; <= 0: on the wrong side."""
    return sign * (entry - stop) / entry * HUNDRED


def stop_worst(sign: int, stop: Decimal, slippage_buffer_pct: Decimal) -> Decimal:
    """Return the fill a triggered stop is budgeted at: the trigger, worsened by the slippage buffer."""
    return stop * (ONE - sign * slippage_buffer_pct / HUNDRED)


def budget(risk_budget_pct: Decimal, *scales: Decimal) -> Decimal:
    """Return the budget after the scales, in percent of equity; a scale above 1 counts as 1: scales only lower it."""
    for scale in scales:
        risk_budget_pct *= min(scale, ONE)
    return risk_budget_pct


def quality_scale(quality: Quality) -> Decimal:
    """Return 1 for GOOD, one half otherwise (BAD is denied by its own check; one half keeps the others telling)."""
    return ONE if quality is Quality.GOOD else Decimal("0.5")


def regime_scale(uncertainty: Decimal) -> Decimal:
    """Return ``clamp((0.95 - u) / 0.35, 0.25, 1)``, rounded down to 4 places. Source: domain definitions, section 9."""
    raw = (_SCALE_TOP - uncertainty) / _SCALE_SPAN
    return truncate_to(min(max(raw, _SCALE_MIN), ONE), _SCALE_STEP)


def size(inputs: SizeInputs) -> Size:
    """Return the size: formula, lot, then the exact re-check with the fee tier in force (steps 1 to 5).

    The stop must lie beyond the entry. Equity at or below zero gives quantity zero.
    """
    distance = stop_distance_pct(inputs.sign, inputs.entry, inputs.stop)
    buffers = inputs.fee_buffer_pct + inputs.slippage_buffer_pct
    equity = max(inputs.equity, ZERO)
    formula = equity * inputs.budget_pct / (distance + buffers)
    usable, sized_by = _bounded_by_cash(inputs, formula)
    worst = stop_worst(inputs.sign, inputs.stop, inputs.slippage_buffer_pct)
    unit_loss = inputs.sign * (inputs.entry - worst) + inputs.entry * inputs.fee_in + worst * inputs.fee_out
    per_contract = unit_loss * inputs.unit
    quantity = truncate_to(usable / (inputs.entry * inputs.unit), inputs.lot)
    allowed = equity * inputs.budget_pct / HUNDRED
    if quantity * per_contract > allowed:
        quantity = truncate_to(allowed / per_contract, inputs.lot)
    base = quantity * inputs.unit
    return Size(
        stop_distance_pct=distance,
        formula_notional=formula,
        quantity=quantity,
        base_quantity=base,
        notional=base * inputs.entry,
        stop_worst=worst,
        unit_loss=unit_loss,
        loss=base * unit_loss,
        sized_by=sized_by,
    )


def _bounded_by_cash(inputs: SizeInputs, notional: Decimal) -> tuple[Decimal, SizedBy]:
    if inputs.cash_free is None:
        return notional, SizedBy.BUDGET
    affordable = max(inputs.cash_free, ZERO) / (ONE + inputs.slippage_buffer_pct / HUNDRED)
    return (affordable, SizedBy.CASH) if affordable < notional else (notional, SizedBy.BUDGET)


def funding_buffer(notional: Decimal, sign: int, funding_rate: Decimal, settlements: int) -> Decimal:
    """Return the funding the trade may pay while it is held; a rate in its favour counts as zero."""
    return notional * max(ZERO, sign * funding_rate) * settlements
