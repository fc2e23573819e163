"""Everything the forty checks of one plan look at, gathered once: inputs, what is missing or stale, size and margin."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from schemas.events.common import MarginMode, OrderType, PlanOrigin, PositionSide, PriceSource, Regime
from schemas.events.market import InstrumentDefined, InstrumentKind
from schemas.events.plan import PlanProposed
from schemas.settings import TradingSettings
from schemas.staleness import AGE_MAX
from streams.core.risk import sizing
from streams.core.risk.breakers import Causes
from streams.core.risk.funding import rate_and_settlements
from streams.core.risk.margin_choice import MarginFacts, choose
from streams.core.risk.portfolio import Portfolio, portfolio
from streams.core.risk.state import Account, Market, RiskState
from streams.core.risk.warning import drawdown_scale

T = TypeVar("T")
HUNDRED = Decimal(100)
ONE = Decimal(1)


def the(value: T | None) -> T:
    """Return an input a check declared it needs; the runner skips the check when it is None."""
    assert value is not None
    return value


@dataclass(frozen=True, slots=True)
class Prices:
    """What the plan is measured against. ``touch``: the quote it would take from, None on a bar feed."""

    last: Decimal
    mark: Decimal
    mark_source: PriceSource
    touch: Decimal | None


@dataclass(frozen=True, slots=True)
class Context:
    """The facts of one verdict; None: not known, and the checks that need it are skipped.

    ``entry``: the reference price E. ``scales``: of quality, regime and drawdown. ``fees``: of entry and stop.
    ``funding``: predicted rate and settlements it is paid at. ``margin``: None on spot and where the size is zero.
    """

    state: RiskState
    plan: PlanProposed
    now: int
    causes: Causes
    sign: int
    settings: TradingSettings | None
    account: Account | None
    market: Market | None
    instrument: InstrumentDefined | None
    prices: Prices | None
    entry: Decimal | None
    stop: Decimal | None
    uncertainty: Decimal
    missing: tuple[str, ...]
    stale: tuple[str, ...]
    book: Portfolio | None
    scales: tuple[Decimal, Decimal, Decimal] | None
    budget_pct: Decimal | None
    fees: tuple[Decimal, Decimal] | None
    funding: tuple[Decimal, int]
    size: sizing.Size | None
    margin: MarginFacts | None

    @property
    def spot(self) -> bool:
        """Return whether the instrument is known to be spot."""
        return self.instrument is not None and self.instrument.kind is InstrumentKind.SPOT

    @property
    def margin_or_spot(self) -> bool | None:
        """Return None where the margin checks have no size to look at."""
        return True if self.spot or self.margin is not None else None

    @property
    def tier_or_spot(self) -> bool | None:
        """Return None where the liquidation guard has no tier, and so no maintenance rate."""
        return True if self.spot or (self.margin is not None and self.margin.tier is not None) else None

    @property
    def leverage_or_spot(self) -> bool | None:
        """Return None where no margin leverage was found, so that there is no margin to compare."""
        return True if self.spot or (self.margin is not None and self.margin.leverage is not None) else None

    @property
    def funding_buffer(self) -> Decimal:
        """Return the funding the trade may pay, in quote currency."""
        notional = the(self.size).notional
        return sizing.funding_buffer(notional, self.sign, *self.funding)

    @property
    def worst_case_loss(self) -> Decimal:
        """Return the loss at the stop with slippage and fees, plus the funding buffer."""
        return the(self.size).loss + self.funding_buffer

    @property
    def entry_fee(self) -> Decimal:
        """Return the fee of the whole entry in quote currency."""
        return the(self.size).notional * the(self.fees)[0]


def build(state: RiskState, plan: PlanProposed, now: int, causes: Causes) -> Context:
    """Gather the facts; nothing here decides."""
    settings, market = state.settings, state.markets.get(plan.instrument_id)
    instrument = market.instrument if market else None
    sign = 1 if plan.position_side is PositionSide.LONG else -1
    spot = instrument is not None and instrument.kind is InstrumentKind.SPOT
    substitute = spot or (settings is not None and settings.mark_substitute)
    prices = _prices(market, sign, now, substitute=substitute)
    entry, stop = _reference(plan, prices), plan.stop.trigger_price if plan.stop else None
    uncertainty = _uncertainty(market)
    fees = _fees(settings, plan, spot=spot) if settings else None
    book = portfolio(state, now, plan.instrument_id, sign)
    funding = rate_and_settlements(market, plan, now, spot=spot)
    scales = _scales(state, plan, market, uncertainty)
    budget_pct = None if scales is None or settings is None else sizing.budget(settings.risk_budget_pct, *scales)
    size = _size(state, instrument, sign, entry, stop, budget_pct, fees, book)
    return Context(
        state=state,
        plan=plan,
        now=now,
        causes=causes,
        sign=sign,
        settings=settings,
        account=state.account,
        market=market,
        instrument=instrument,
        prices=prices,
        entry=entry,
        stop=stop,
        uncertainty=uncertainty,
        missing=_missing(state, market, plan, prices, entry, substitute=substitute),
        stale=_stale(state, market, plan, now, substitute=substitute),
        book=book,
        scales=scales,
        budget_pct=budget_pct,
        fees=fees,
        funding=funding,
        size=size,
        margin=None if size is None or spot else _margin(state, the(instrument), sign, size, the(entry), the(book)),
    )


def _margin(
    state: RiskState, instrument: InstrumentDefined, sign: int, size: sizing.Size, entry: Decimal, book: Portfolio
) -> MarginFacts | None:
    """Return the margin of a swap entry; None for a size of zero."""
    if not size.quantity:
        return None
    fee = the(state.settings).fee_taker_swap_pct / HUNDRED
    return choose(the(state.settings), instrument, sign, size, entry, fee, book)


def _prices(market: Market | None, sign: int, now: int, *, substitute: bool) -> Prices | None:
    if market is None or market.last_price is None or market.last_price <= 0:
        return None
    touch = market.ask_price if sign > 0 else market.bid_price
    if market.mark_price is not None and market.mark_price > 0 and (market.mark_is_fresh(now) or not substitute):
        return Prices(market.last_price, market.mark_price, PriceSource.MARK, touch)
    if substitute:
        return Prices(market.last_price, market.last_price, PriceSource.LAST, touch)
    return None


def _reference(plan: PlanProposed, prices: Prices | None) -> Decimal | None:
    """Return E, or None where there is none above zero (an offset near -100 % may round to zero ticks)."""
    entry, market = plan.entry, None
    if prices is not None:
        market = prices.last if prices.touch is None else prices.touch
    by_type = {OrderType.LIMIT: entry.limit_price, OrderType.STOP: entry.trigger_price, OrderType.MARKET: market}
    price = by_type[entry.type]
    return price if price is not None and price > 0 else None


def _uncertainty(market: Market | None) -> Decimal:
    if market is None or market.regime is Regime.UNKNOWN or market.uncertainty is None:
        return ONE
    return market.uncertainty


def _fees(settings: TradingSettings, plan: PlanProposed, *, spot: bool) -> tuple[Decimal, Decimal]:
    """Return the fee of the entry and of the stop as fractions: maker only where post_only."""
    maker = settings.fee_maker_spot_pct if spot else settings.fee_maker_swap_pct
    taker = settings.fee_taker_spot_pct if spot else settings.fee_taker_swap_pct
    return (maker if plan.entry.post_only else taker) / HUNDRED, taker / HUNDRED


def _scales(
    state: RiskState, plan: PlanProposed, market: Market | None, uncertainty: Decimal
) -> tuple[Decimal, Decimal, Decimal] | None:
    """Return what lowers the budget: quality, regime (not an operator's), drawdown."""
    settings, account = state.settings, state.account
    if settings is None or account is None or market is None:
        return None
    return (
        sizing.quality_scale(market.quality),
        ONE if plan.origin is PlanOrigin.OPERATOR else sizing.regime_scale(uncertainty),
        drawdown_scale(account, settings),
    )


def _size(
    state: RiskState,
    instrument: InstrumentDefined | None,
    sign: int,
    entry: Decimal | None,
    stop: Decimal | None,
    budget_pct: Decimal | None,
    fees: tuple[Decimal, Decimal] | None,
    book: Portfolio | None,
) -> sizing.Size | None:
    settings, account = state.settings, state.account
    if instrument is None or settings is None or account is None or budget_pct is None or fees is None or book is None:
        return None
    if entry is None or stop is None or sign * (entry - stop) <= 0:
        return None
    spot = instrument.kind is InstrumentKind.SPOT
    return sizing.size(
        sizing.SizeInputs(
            sign=sign,
            entry=entry,
            stop=stop,
            equity=account.equity,
            budget_pct=budget_pct,
            fee_buffer_pct=settings.fee_buffer_pct,
            slippage_buffer_pct=settings.slippage_buffer_pct,
            fee_in=fees[0],
            fee_out=fees[1],
            unit=instrument.contract_value * instrument.contract_multiplier,
            lot=instrument.lot_size,
            cash_free=account.cash - book.margins - book.reserved if spot else None,
        )
    )


def margin_mode(settings: TradingSettings, instrument: InstrumentDefined) -> MarginMode:
    """Return how a position of this instrument is collateralised."""
    return MarginMode.CASH if instrument.kind is InstrumentKind.SPOT else MarginMode(settings.margin_mode)


def _missing(
    state: RiskState,
    market: Market | None,
    plan: PlanProposed,
    prices: Prices | None,
    entry: Decimal | None,
    *,
    substitute: bool,
) -> tuple[str, ...]:
    settings = state.settings
    instrument = market.instrument if market else None
    swap = instrument is not None and instrument.kind is InstrumentKind.SWAP
    funding = market.funding if market else None
    rate_known = funding is not None and (funding.forecast_rate is not None or funding.settled_rate is not None)
    tiers = instrument.tiers if instrument else ()
    wanted = (
        ("equity", state.account is None),
        ("last", market is None or market.last_price is None),
        ("mark", not substitute and (market is None or market.mark_price is None)),
        ("reference_price", entry is None),
        ("instrument", instrument is None),
        ("tier", swap and settings is not None and not any(tier.margin_mode == settings.margin_mode for tier in tiers)),
        ("funding_rate", swap and settings is not None and settings.funding_required and not rate_known),
    )
    return tuple(name for name, absent in wanted if absent)


def _stale(
    state: RiskState, market: Market | None, plan: PlanProposed, now: int, *, substitute: bool
) -> tuple[str, ...]:
    if market is None:
        return ()
    quote_age = market.age_max.get(market.quote_channel, AGE_MAX[market.quote_channel])
    uses_quote = plan.entry.type is OrderType.MARKET or plan.entry.post_only
    required = state.settings is not None and state.settings.funding_required
    funding = market.funding
    rate_old = funding.forecast_at <= now and now - funding.settled_at > 3 * funding.interval > 0
    wanted = (
        ("last", market.last_price is not None and now - market.last_ts > market.last_age_max),
        ("mark", not substitute and market.mark_price is not None and not market.mark_is_fresh(now)),
        ("quote", uses_quote and market.quote_ts > 0 and now - market.quote_ts > quote_age),
        ("funding_rate", required and rate_old),
    )
    return tuple(name for name, old in wanted if old)
