"""Which margin leverage an entry gets, and what that means for its margin, liquidation price and worst gap."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import MarginMode
from schemas.events.market import InstrumentDefined, MarginTier
from schemas.settings import TradingSettings
from streams.core.risk import margin
from streams.core.risk.portfolio import Portfolio
from streams.core.risk.sizing import Size


@dataclass(frozen=True, slots=True)
class MarginFacts:
    """The outcome. ``tier`` None: beyond the last; ``leverage`` None: none passes the liquidation guard.

    ``liquidation``: at the chosen leverage, or at the smallest one where none passes.
    """

    tier: MarginTier | None
    cap: int
    leverage: int | None
    margin: Decimal
    liquidation: Decimal | None
    stop_distance: Decimal
    allowed_distance: Decimal | None


def choose(
    settings: TradingSettings,
    instrument: InstrumentDefined,
    sign: int,
    size: Size,
    entry: Decimal,
    fee: Decimal,
    book: Portfolio,
) -> MarginFacts:
    """Return the largest margin leverage the tier, the setting and the guard allow, with its consequences."""
    mode = MarginMode(settings.margin_mode)
    tier = margin.tier_for(instrument.tiers, mode, book.contracts + size.quantity)
    distance = abs(entry - size.stop_worst)
    cap = margin.leverage_cap(tier, settings.margin_leverage_max) if tier else 0
    if tier is None or cap < 1:
        return MarginFacts(tier, cap, None, Decimal(0), None, distance, None)
    exposure = margin.Exposure(sign, size.base_quantity, entry)
    buffer = settings.liquidation_buffer_pct
    if mode is MarginMode.CROSS:
        liquidation = margin.liquidation_price(exposure, book.backing, tier.mmr, fee)
        passes = margin.guard_passes(exposure, size.stop_worst, liquidation, buffer)
        leverage = cap if passes else None
    else:
        leverage = margin.isolated_leverage(exposure, size.stop_worst, tier, settings.margin_leverage_max, fee, buffer)
        liquidation = margin.liquidation_price(exposure, size.notional / (leverage or 1), tier.mmr, fee)
    allowed = margin.distance_allowed(exposure, liquidation, buffer)
    return MarginFacts(tier, cap, leverage, size.notional / (leverage or 1), liquidation, distance, allowed)
