"""Fold a run's log into the numbers its summary shows; computes nothing that an event does not say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from schemas.envelope import Envelope, Event
from schemas.events.account import CashFlowed, EntryMissed, EquityChanged, FlowKind, PositionChanged, TradeClosed
from schemas.events.common import Liquidity, PriceSource, Side, TradingState
from schemas.events.control import SettingsChanged
from schemas.events.data import TickQuarantined
from schemas.events.market import FeedStatus, FundingSettled, LineQuarantined, MarkPrice, Trade, VenueBar
from schemas.events.orders import FillBooked, OrderIntended
from schemas.events.plan import PlanDeclined, PlanProposed
from schemas.events.risk import (
    CheckResult,
    DenialCode,
    DrawdownWarningChanged,
    LimitOverridden,
    PlanApproved,
    PlanDenied,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.settings import TradingSettings
from streams.log.base import EventLog
from streams.reader import SeqReader

READ = 2_000
TOPICS_READ = ("settings", "quality", "ticks", "plans", "verdicts", "orders", "fills", "accounts")
"""Quality before ticks: what the trader set aside counts as nothing else."""
FLOORS = frozenset(
    {
        DenialCode.STOP_TOO_CLOSE,
        DenialCode.REWARD_RISK_BELOW_MINIMUM,
        DenialCode.QUANTITY_BELOW_MINIMUM,
        DenialCode.MARGIN_INSUFFICIENT,
    }
)
"""Checks whose limit is a minimum: the worst value is the smallest share of it."""
UNITS: dict[DenialCode, str] = {
    DenialCode.LOSING_STREAK_COOLDOWN: "losses",
    DenialCode.EXECUTION_THROTTLED: "entries/h",
    DenialCode.REGIME_UNCERTAINTY_EXCEEDS_LIMIT: "",
    DenialCode.POSITION_COUNT_EXCEEDS_LIMIT: "positions",
    DenialCode.STOP_TOO_CLOSE: "%",
    DenialCode.STOP_TOO_FAR: "%",
    DenialCode.REWARD_RISK_BELOW_MINIMUM: "R",
    DenialCode.PRICE_OUTSIDE_COLLAR: "%",
    DenialCode.QUANTITY_BELOW_MINIMUM: "contracts",
    DenialCode.QUANTITY_EXCEEDS_LIMIT: "contracts",
    DenialCode.NOTIONAL_EXCEEDS_LIMIT: "USDT",
    DenialCode.LEVERAGE_EXCEEDS_LIMIT: "x",
    DenialCode.TRADE_LOSS_EXCEEDS_LIMIT: "USDT",
    DenialCode.HEAT_EXCEEDS_LIMIT: "USDT",
    DenialCode.CORRELATED_EXPOSURE_EXCEEDS_LIMIT: "x",
    DenialCode.TIER_EXCEEDS_LIMIT: "contracts",
    DenialCode.LIQUIDATION_TOO_CLOSE: "USDT",
    DenialCode.MARGIN_INSUFFICIENT: "USDT",
    DenialCode.MESSAGE_RATE_EXCEEDS_LIMIT: "messages",
}
"""Checks that compare a number with a limit, and the unit of both."""


@dataclass(slots=True)
class Market:
    """What the tape of one instrument was."""

    first_ts: int = 0
    live_ts: int | None = None
    last_ts: int = 0
    bars: int = 0
    backfill_bars: int = 0
    trades: int = 0
    marks: int = 0
    first_price: Decimal | None = None
    last_price: Decimal | None = None
    fundings: list[int] = field(default_factory=list)
    funding_interval: int | None = None


@dataclass(slots=True)
class Limit:
    """The worst value an approved plan reached at one check, and its limit then."""

    value: Decimal
    limit: Decimal

    @property
    def share(self) -> Decimal:
        """How much of the limit the value is: limits that move with equity stay comparable."""
        return self.value / self.limit if self.limit else self.value


@dataclass(slots=True)
class Run:
    """Everything the summary of a run shows."""

    settings: TradingSettings = field(default_factory=TradingSettings)
    settings_digest: str = ""
    overrides: Counter[str] = field(default_factory=Counter)
    warnings: int = 0
    origins: set[str] = field(default_factory=set)
    markets: dict[str, Market] = field(default_factory=dict)
    quarantined: Counter[str] = field(default_factory=Counter)
    set_aside: set[str] = field(default_factory=set)
    proposed: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    approved: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    trades: list[TradeClosed] = field(default_factory=list)
    missed: dict[str, EntryMissed] = field(default_factory=dict)
    rationale: dict[str, str] = field(default_factory=dict)
    trade_events: dict[str, str] = field(default_factory=dict)
    open_positions: dict[str, PositionChanged] = field(default_factory=dict)
    limits: dict[DenialCode, Limit] = field(default_factory=dict)
    causes: Counter[str] = field(default_factory=Counter)
    active_causes: frozenset[str] = frozenset()
    state: TradingState | None = None
    slippage_taker: Decimal = Decimal(0)
    slippage_maker: Decimal = Decimal(0)
    initial_cash: Decimal = Decimal(0)
    flows: Decimal = Decimal(0)
    equity: EquityChanged | None = None
    drawdown_max: Decimal = Decimal(0)
    daily_loss_max: Decimal = Decimal(0)
    leverage_max: Decimal = Decimal(0)
    equity_points: int = 0
    marked_at_last: int = 0


def fold_run(log: EventLog, shard: int = 0, *, progress: Callable[[str], None] | None = None) -> Run:
    """Read a shard's log through and return its run. Topics are read one after the other, each in its own order."""
    run = Run()
    for topic in TOPICS_READ:
        if progress:
            progress(topic)
        reader = SeqReader(log, topic, shard)
        while reader.lag() > 0:
            for accepted in reader.poll(READ):
                take(run, accepted.envelope, accepted.event)
    return run


def take(run: Run, envelope: Envelope, event: Event) -> None:
    """Fold one event; a tick that was set aside before counts no more."""
    handler = _HANDLERS.get(type(event))
    if handler is not None and envelope.event_id not in run.set_aside:
        handler(run, envelope, event)


def _market(run: Run, instrument_id: str, envelope: Envelope) -> Market:
    market = run.markets.setdefault(instrument_id, Market(first_ts=envelope.ts_event))
    market.last_ts = max(market.last_ts, envelope.ts_event)
    return market


def _venue_bar(run: Run, envelope: Envelope, event: VenueBar) -> None:
    market = _market(run, event.instrument_id, envelope)
    if event.backfill:
        market.backfill_bars += 1
        return
    market.bars += 1
    market.last_price = event.close_price
    if market.first_price is None:
        market.first_price, market.live_ts = event.open_price, event.ts_open


def _trade_tick(run: Run, envelope: Envelope, event: Trade) -> None:
    market = _market(run, event.instrument_id, envelope)
    market.trades += 1
    market.last_price = event.last_price
    if market.first_price is None:
        market.first_price, market.live_ts = event.last_price, envelope.ts_event


def _mark(run: Run, envelope: Envelope, event: MarkPrice) -> None:
    _market(run, event.instrument_id, envelope).marks += 1


def _funding(run: Run, envelope: Envelope, event: FundingSettled) -> None:
    market = _market(run, event.instrument_id, envelope)
    market.fundings.append(event.ts_funding)
    if event.ts_next_funding is not None:
        interval = event.ts_next_funding - event.ts_funding
        market.funding_interval = min(interval, market.funding_interval or interval)


def _feed(run: Run, envelope: Envelope, event: FeedStatus) -> None:
    run.origins.add(event.origin.value)


def _settings(run: Run, envelope: Envelope, event: SettingsChanged) -> None:
    run.settings, run.settings_digest = TradingSettings.from_values(event.values), event.digest


def _warning(run: Run, envelope: Envelope, event: DrawdownWarningChanged) -> None:
    run.warnings += event.warning is WarningState.RAISED


def _overridden(run: Run, envelope: Envelope, event: LimitOverridden) -> None:
    """Take an override of the settings now in force; those of settings since replaced ended with them."""
    run.overrides[event.name] += 1
    if envelope.settings_digest == run.settings_digest:
        run.settings = run.settings.with_value(event.name, event.value)


def _verdict(run: Run, envelope: Envelope, event: PlanApproved) -> None:
    run.approved += 1
    for check in event.checks:
        measured = check.code in UNITS and check.result is CheckResult.PASS
        if measured and check.value is not None and check.limit is not None:
            _worst(run.limits, check.code, check.value, check.limit)


def _worst(limits: dict[DenialCode, Limit], code: DenialCode, value_text: str, limit_text: str) -> None:
    try:
        value, limit = Decimal(value_text), Decimal(limit_text)
    except InvalidOperation:
        return  # a check over names or states has no number to compare
    found = Limit(value, limit)
    known = limits.get(code)
    if known is None or (found.share < known.share if code in FLOORS else found.share > known.share):
        limits[code] = found


def _equity(run: Run, envelope: Envelope, event: EquityChanged) -> None:
    run.equity = event
    run.equity_points += 1
    run.marked_at_last += event.mark_source is PriceSource.LAST
    run.drawdown_max = max(run.drawdown_max, event.drawdown_pct)
    run.daily_loss_max = max(run.daily_loss_max, event.daily_loss_pct)
    if event.equity > 0:
        run.leverage_max = max(run.leverage_max, event.gross_notional / event.equity)


def _cash(run: Run, envelope: Envelope, event: CashFlowed) -> None:
    if event.kind is FlowKind.INITIAL:
        run.initial_cash += event.amount
    else:
        run.flows += event.amount


def _position(run: Run, envelope: Envelope, event: PositionChanged) -> None:
    if event.quantity == 0:
        run.open_positions.pop(event.instrument_id, None)
    else:
        run.open_positions[event.instrument_id] = event


def _missed(run: Run, envelope: Envelope, event: EntryMissed) -> None:
    run.missed[event.plan_id] = event


def _closed(run: Run, envelope: Envelope, event: TradeClosed) -> None:
    run.missed.pop(event.plan_id, None)  # It filled after all: the trade's own shortfall counts.
    run.trades.append(event)
    run.trade_events[event.trade_id] = envelope.event_id


def _state(run: Run, envelope: Envelope, event: TradingStateChanged) -> None:
    """Count each cause when it appears; the one that every start has until the account is reconciled does not count."""
    now = frozenset(f"{cause.kind.value} {cause.scope}" for cause in event.causes)
    for name in sorted(now - run.active_causes):
        kind = name.split()[0]
        if kind != StateCauseKind.RECONCILING.value:
            run.causes[kind] += 1
    run.active_causes, run.state = now, event.state


def _set_aside(run: Run, envelope: Envelope, event: TickQuarantined) -> None:
    run.quarantined[event.reason.value] += 1
    run.set_aside.add(event.tick_event_id)


def _fill(run: Run, envelope: Envelope, event: FillBooked) -> None:
    run.fills[event.liquidity.value] += 1
    if event.arrival_price is None:
        return
    sign = 1 if event.side is Side.BUY else -1
    worse = sign * (event.last_price - event.arrival_price) * event.base_quantity
    if event.liquidity is Liquidity.TAKER:
        run.slippage_taker += worse
    else:
        run.slippage_maker += worse


def _proposed(run: Run, envelope: Envelope, event: PlanProposed) -> None:
    run.proposed[event.strategy] += 1
    run.rationale[event.plan_id] = event.rationale.summary


def _tally(
    counter: Callable[[Run], Counter[str]], key: Callable[[Event], str]
) -> Callable[[Run, Envelope, Event], None]:
    def count(run: Run, envelope: Envelope, event: Event) -> None:
        counter(run)[key(event)] += 1

    return count


_HANDLERS: dict[type[Event], Callable[..., None]] = {
    VenueBar: _venue_bar,
    Trade: _trade_tick,
    MarkPrice: _mark,
    FundingSettled: _funding,
    FeedStatus: _feed,
    SettingsChanged: _settings,
    DrawdownWarningChanged: _warning,
    LimitOverridden: _overridden,
    PlanApproved: _verdict,
    EquityChanged: _equity,
    CashFlowed: _cash,
    PositionChanged: _position,
    TradeClosed: _closed,
    EntryMissed: _missed,
    PlanProposed: _proposed,
    TradingStateChanged: _state,
    FillBooked: _fill,
    PlanDeclined: _tally(lambda run: run.declined, lambda event: str(getattr(event, "reason", ""))),
    PlanDenied: _tally(lambda run: run.denied, lambda event: str(getattr(event, "code", ""))),
    OrderIntended: _tally(lambda run: run.orders, lambda event: str(getattr(event, "purpose", ""))),
    TickQuarantined: _set_aside,
    LineQuarantined: _tally(lambda run: run.quarantined, lambda event: "LINE"),
}


def funding_gaps(market: Market) -> int:
    """Return how many settlements are missing between the recorded ones."""
    interval = market.funding_interval
    if not interval:
        return 0
    pairs = zip(market.fundings, market.fundings[1:], strict=False)
    return sum(max(0, round((later - earlier) / interval) - 1) for earlier, later in pairs)
