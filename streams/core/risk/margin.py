"""Tiers, margin, liquidation price and the guard that keeps the stop inside it, linear contracts.

Source: domain definitions, section 5 (OKX v5 docs; freqtrade's OKX liquidation formula and buffer convention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from schemas.events.common import MarginMode
from schemas.events.market import MarginTier
from schemas.values import ceil_to, floor_to

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Exposure:
    """One position for the liquidation formula: ``base`` > 0 in base currency, ``entry`` its average price."""

    sign: int
    base: Decimal
    entry: Decimal


@dataclass(frozen=True, slots=True)
class OtherPosition:
    """A position that shares cross margin: what it has won or lost, and what it must keep."""

    unrealized_pnl: Decimal
    notional: Decimal
    mmr: Decimal


def tier_for(tiers: Sequence[MarginTier], mode: MarginMode, contracts: Decimal) -> MarginTier | None:
    """Return the tier of a size in contracts (upper bound inclusive); None: beyond the last one."""
    for tier in sorted((tier for tier in tiers if tier.margin_mode is mode), key=lambda tier: tier.quantity_max):
        if contracts <= tier.quantity_max:
            return tier
    return None


def liquidation_price(exposure: Exposure, margin: Decimal, mmr: Decimal, fee: Decimal) -> Decimal | None:
    """Return the mark at which the position is liquidated, unrounded; None: there is none (<= 0).

    ``margin``: the isolated margin M, or in cross mode what backs the position (``cross_backing``).
    """
    base, sign = exposure.base, exposure.sign
    price = (base * exposure.entry - sign * margin) / (base * (ONE - sign * (mmr + fee)))
    return price if price > ZERO else None


def shown_liquidation(price: Decimal, sign: int, tick: Decimal) -> Decimal:
    """Round an estimated liquidation price to the tick, toward the entry."""
    return ceil_to(price, tick) if sign > 0 else floor_to(price, tick)


def cross_backing(
    cash: Decimal, isolated_margins: Decimal, others: Sequence[OtherPosition], order_fees: Decimal, fee: Decimal
) -> Decimal:
    """Return what backs a cross position in place of M; other marks are held where they are."""
    backing = cash - isolated_margins - order_fees
    for other in others:
        backing += other.unrealized_pnl - other.notional * (other.mmr + fee)
    return backing


def distance_allowed(exposure: Exposure, liquidation: Decimal | None, buffer_pct: Decimal) -> Decimal | None:
    """Return how far the worst stop fill may lie from the entry; None: no liquidation price, no bound.

    Negative where the position would be liquidated at its own entry (margin below maintenance): nothing passes.
    """
    if liquidation is None:
        return None
    return (ONE - buffer_pct / HUNDRED) * exposure.sign * (exposure.entry - liquidation)


def guard_passes(exposure: Exposure, worst: Decimal, liquidation: Decimal | None, buffer_pct: Decimal) -> bool:
    """Return whether the stop, slippage included, lies inside the liquidation price by the buffer."""
    allowed = distance_allowed(exposure, liquidation, buffer_pct)
    return allowed is None or abs(exposure.entry - worst) <= allowed


def leverage_cap(tier: MarginTier, setting: int) -> int:
    """Return the largest whole margin leverage that tier and setting allow; 0: none."""
    return int(min(tier.margin_leverage_max, Decimal(setting)).to_integral_value(rounding=ROUND_DOWN))


def isolated_leverage(
    exposure: Exposure, worst: Decimal, tier: MarginTier, setting: int, fee: Decimal, buffer_pct: Decimal
) -> int | None:
    """Return the largest margin leverage whose liquidation price passes the guard; None: not even 1 does.

    A larger margin moves the liquidation price away from the entry, so passing is monotonic and bisection is exact.
    """
    low, high = 0, leverage_cap(tier, setting)
    notional = exposure.base * exposure.entry
    while low < high:
        middle = (low + high + 1) // 2
        liquidation = liquidation_price(exposure, notional / middle, tier.mmr, fee)
        if guard_passes(exposure, worst, liquidation, buffer_pct):
            low = middle
        else:
            high = middle - 1
    return low or None
