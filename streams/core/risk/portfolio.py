"""What the account already carries when a plan arrives: exposure, heat, margin and the direction of its group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from schemas.events.common import MarginMode, PositionSide
from schemas.events.market import InstrumentKind
from schemas.settings import TradingSettings
from streams.core.risk.margin import OtherPosition, cross_backing, tier_for
from streams.core.risk.sizing import stop_worst
from streams.core.risk.state import Market, Position, RiskState

ZERO = Decimal(0)
HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Sums in quote currency over open positions and working entries, the plan at hand not included.

    ``directed``: exposure in the plan's direction of its most exposed correlated group.
    ``contracts``: what the plan's own instrument already holds or reserves. ``backing``: cross margin's B.
    """

    gross: Decimal
    heat: Decimal
    margins: Decimal
    reserved: Decimal
    directed: Decimal
    contracts: Decimal
    backing: Decimal
    count: int


def portfolio(state: RiskState, now: int, instrument_id: str, sign: int) -> Portfolio | None:
    """Add up what is open and reserved; None without settings."""
    settings = state.settings
    if settings is None:
        return None
    notionals = {name: abs(held.base) * price_of(state, name, now) for name, held in state.positions.items()}
    working = [entry for entry in state.reservations.values() if entry.open_share() > ZERO]
    heat = sum((position_heat(state, settings, name, now) for name in state.positions), ZERO)
    margins = sum((_margin(state, settings, name, now) for name in state.positions), ZERO)
    own = state.positions.get(instrument_id)
    return Portfolio(
        gross=sum(notionals.values(), ZERO) + sum((e.notional * e.open_share() for e in working), ZERO),
        heat=heat + sum((e.loss * e.open_share() for e in working), ZERO),
        margins=margins,
        reserved=sum(((e.margin + e.fee) * e.open_share() for e in working), ZERO),
        directed=_directed(state, settings, notionals, instrument_id, sign),
        contracts=(abs(own.quantity) if own else ZERO)
        + sum((e.quantity * e.open_share() for e in working if e.instrument_id == instrument_id), ZERO),
        backing=_backing(state, settings, notionals, instrument_id),
        count=len(state.positions.keys() | {e.instrument_id for e in working}),
    )


def price_of(state: RiskState, instrument_id: str, now: int) -> Decimal:
    """Return the price a position is valued at: fresh mark, else last, else its own average entry."""
    market = state.markets.get(instrument_id)
    if market is not None:
        if market.mark_price is not None and (market.mark_is_fresh(now) or market.last_price is None):
            return market.mark_price
        if market.last_price is not None:
            return market.last_price
    held = state.positions[instrument_id]
    return held.cost / abs(held.base)


def position_heat(state: RiskState, settings: TradingSettings, instrument_id: str, now: int) -> Decimal:
    """Return what the stop in force would still lose from the actual fill, exit fee and slippage included, >= 0.

    A position without a stop of ours counts with its margin, or whole where it has none.
    """
    held, protection = state.positions[instrument_id], state.protections.get(instrument_id)
    if protection is None or protection.plan_id != held.plan_id:
        return held.margin or abs(held.base) * price_of(state, instrument_id, now)
    sign = 1 if held.quantity > ZERO else -1
    fee = _taker(settings, state.markets.get(instrument_id))
    worst = stop_worst(sign, protection.stop_price, settings.slippage_buffer_pct)
    lost = sign * (held.cost / abs(held.base) - worst) + worst * fee
    return max(ZERO, lost * abs(held.base))


def _taker(settings: TradingSettings, market: Market | None) -> Decimal:
    spot = _is_spot(market)
    return (settings.fee_taker_spot_pct if spot else settings.fee_taker_swap_pct) / HUNDRED


def _is_spot(market: Market | None) -> bool:
    return market is not None and market.instrument is not None and market.instrument.kind is InstrumentKind.SPOT


def _margin(state: RiskState, settings: TradingSettings, instrument_id: str, now: int) -> Decimal:
    """Return the cash a position ties up: its isolated margin, or in cross mode notional over its leverage."""
    held, protection = state.positions[instrument_id], state.protections.get(instrument_id)
    if settings.margin_mode == "ISOLATED" or held.margin or protection is None or protection.margin_leverage < 1:
        return held.margin
    if _is_spot(state.markets.get(instrument_id)):
        return ZERO
    return abs(held.base) * price_of(state, instrument_id, now) / protection.margin_leverage


def groups_of(settings: TradingSettings, instrument_id: str) -> list[Callable[[str], bool]]:
    """Return the correlated groups an instrument is in, as membership tests.

    ``correlated_groups`` lists them as ``A+B,C+D``; an instrument in none stands alone. Empty means one group of
    everything: crypto majors fall together, and an unconfigured group must not switch the check off.
    """
    if not settings.correlated_groups:
        return [lambda _: True]
    groups = [frozenset(group.split("+")) for group in settings.correlated_groups]
    found = [group.__contains__ for group in groups if instrument_id in group]
    return list(found) or [lambda name: name == instrument_id]


def _directed(
    state: RiskState, settings: TradingSettings, notionals: dict[str, Decimal], instrument_id: str, sign: int
) -> Decimal:
    side = PositionSide.LONG if sign > 0 else PositionSide.SHORT
    amounts = [(name, notionals[name]) for name, held in state.positions.items() if held.quantity * sign > ZERO]
    amounts += [
        (entry.instrument_id, entry.notional * entry.open_share())
        for entry in state.reservations.values()
        if entry.position_side is side
    ]
    groups = groups_of(settings, instrument_id)
    return max(sum((amount for name, amount in amounts if member(name)), ZERO) for member in groups)


def _backing(state: RiskState, settings: TradingSettings, notionals: dict[str, Decimal], instrument_id: str) -> Decimal:
    """Return cross margin's B for a new position in ``instrument_id``; 0 without an account."""
    if state.account is None:
        return ZERO
    fee = settings.fee_taker_swap_pct / HUNDRED
    isolated = sum((held.margin for held in state.positions.values()), ZERO)
    others = [
        _other(held, notionals[name], state.markets.get(name))
        for name, held in state.positions.items()
        if name != instrument_id and not held.margin and not _is_spot(state.markets.get(name))
    ]
    fees = sum((entry.fee * entry.open_share() for entry in state.reservations.values()), ZERO)
    return cross_backing(state.account.cash, isolated, others, fees, fee)


def _other(held: Position, notional: Decimal, market: Market | None) -> OtherPosition:
    sign = 1 if held.quantity > ZERO else -1
    tiers = market.instrument.tiers if market and market.instrument else ()
    tier = tier_for(tiers, MarginMode.CROSS, abs(held.quantity))
    return OtherPosition(sign * (notional - held.cost), notional, tier.mmr if tier else ZERO)
