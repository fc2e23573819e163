"""Fold messages and own verdicts into the risk state."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.common import ExitReason, OrderPurpose
from schemas.events.control import SettingsChanged
from schemas.events.data import QualityChanged
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import (
    BookTop,
    Channel,
    FeedStatus,
    FundingRate,
    FundingSettled,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    EntryEnded,
    OrderAmended,
    OrderIntended,
)
from schemas.events.risk import (
    DrawdownWarningChanged,
    LimitOverridden,
    PlanApproved,
    ReconciliationDiffered,
    ReconciliationSettled,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.settings import TradingSettings
from schemas.staleness import STALE_CADENCES, TRADES_AGE_MAX, age_max
from schemas.values import SECOND
from streams.core.risk.breakers import HOUR, is_foreign, next_expiry
from streams.core.risk.limits import LIMITS
from streams.core.risk.reconcile import differences, fold_differed, fold_settled
from streams.core.risk.state import (
    Account,
    ApprovedPlan,
    Position,
    Protection,
    Reservation,
    RiskState,
)

MESSAGE_WINDOW = 2 * SECOND
ORDER, AMEND, CANCEL = "order", "amend", "cancel"
_ZERO = Decimal(0)


def evolve(state: RiskState, message: Message) -> RiskState:
    """Return the state after a message or one of the stage's own events; the same object, changed in place."""
    handler = _HANDLERS.get(type(message.event))
    if handler is not None:
        handler(state, message.event, message)
    return state


def _trade(state: RiskState, event: Trade, message: Message) -> None:
    market = state.market(event.instrument_id)
    market.last_price = event.last_price
    market.last_ts = message.envelope.ts_event
    market.last_age_max = TRADES_AGE_MAX


def _quote(state: RiskState, event: Quote, message: Message) -> None:
    market = state.market(event.instrument_id)
    market.bid_price = event.bid_price
    market.ask_price = event.ask_price
    market.quote_ts = message.envelope.ts_event
    market.quote_channel = Channel.QUOTES


def _book_top(state: RiskState, event: BookTop, message: Message) -> None:
    """Take the best level of each side like a quote; a book with an empty side leaves the old one to grow stale."""
    if not event.bids or not event.asks:
        return
    market = state.market(event.instrument_id)
    market.bid_price = event.bids[0].price
    market.ask_price = event.asks[0].price
    market.quote_ts = message.envelope.ts_event
    market.quote_channel = Channel.BOOK


def _mark(state: RiskState, event: MarkPrice, message: Message) -> None:
    market = state.market(event.instrument_id)
    market.mark_price = event.mark_price
    market.mark_ts = message.envelope.ts_event


def _venue_bar(state: RiskState, event: VenueBar, message: Message) -> None:
    market = state.market(event.instrument_id)
    closed = message.envelope.ts_event
    if closed < market.last_ts:
        return
    market.last_price, market.last_ts = event.close_price, closed
    market.last_age_max = market.age_max.get(Channel.BARS, STALE_CADENCES * (closed - event.ts_open))


def _feed_status(state: RiskState, event: FeedStatus, message: Message) -> None:
    """Forget a quote whose channel is down (ADR 18). Trades keep their own age limit: they come without a beat."""
    market = state.market(event.instrument_id)
    if event.channel is market.quote_channel and event.state.is_down:
        market.bid_price, market.ask_price, market.quote_ts = None, None, 0
    if event.cadence_us is not None and event.channel is not Channel.TRADES:
        market.age_max[event.channel] = age_max(event.channel, event.cadence_us)


def _instrument(state: RiskState, event: InstrumentDefined, message: Message) -> None:
    state.market(event.instrument_id).instrument = event


def _funding_rate(state: RiskState, event: FundingRate, message: Message) -> None:
    funding = state.market(event.instrument_id).funding
    funding.forecast_rate, funding.forecast_at = event.funding_rate, event.ts_funding
    if event.ts_next_funding is not None:
        funding.interval = event.ts_next_funding - event.ts_funding


def _funding_settled(state: RiskState, event: FundingSettled, message: Message) -> None:
    funding = state.market(event.instrument_id).funding
    if event.ts_next_funding is not None:
        funding.interval = event.ts_next_funding - event.ts_funding
    elif funding.settled_at:
        funding.interval = event.ts_funding - funding.settled_at
    funding.settled_rate, funding.settled_at = event.funding_rate, event.ts_funding


def _quality(state: RiskState, event: QualityChanged, message: Message) -> None:
    state.market(event.instrument_id).quality = event.quality


def _regime(state: RiskState, event: RegimeClassified, message: Message) -> None:
    if state.settings is None or event.timeframe != state.settings.regime_timeframe:
        return
    market = state.market(event.instrument_id)
    market.regime, market.uncertainty = event.regime, event.uncertainty


def _settings(state: RiskState, event: SettingsChanged, message: Message) -> None:
    settings = TradingSettings.from_values(event.values)
    state.settings = settings
    state.account_id = settings.account_id
    state.limits_missing = tuple(name for name in LIMITS if name not in event.values)


def _warning(state: RiskState, event: DrawdownWarningChanged, message: Message) -> None:
    state.warned = event.warning is WarningState.RAISED


def _overridden(state: RiskState, event: LimitOverridden, message: Message) -> None:
    assert state.settings is not None, "a limit was moved before there were any"
    state.settings = state.settings.with_value(event.name, event.value)
    state.limits_missing = tuple(name for name in state.limits_missing if name != event.name)


def _equity(state: RiskState, event: EquityChanged, message: Message) -> None:
    state.account = Account.of(event, message.now)


def _position(state: RiskState, event: PositionChanged, message: Message) -> None:
    instrument_id = event.instrument_id
    if event.quantity:
        state.positions[instrument_id] = Position(
            event.plan_id, event.quantity, event.base_quantity, event.cost, event.margin
        )
    elif instrument_id in state.positions:
        del state.positions[instrument_id]
    reservation = state.reservations.get(event.plan_id)
    if reservation is not None:
        reservation.filled = max(reservation.filled, abs(event.quantity))


def _trade_closed(state: RiskState, event: TradeClosed, message: Message) -> None:
    protection = state.protections.get(event.instrument_id)
    if protection is not None and protection.plan_id == event.plan_id:
        del state.protections[event.instrument_id]
    if state.settings is None:
        return
    state.streaks[event.strategy] = _streak_after(state, event, state.settings.losing_streak_max)
    if event.exit_reason is ExitReason.STOP:
        window = state.settings.stop_guard_window_s * SECOND
        kept = [ts for ts in state.stop_exits.get(event.instrument_id, []) if event.ts_closed - ts < window]
        state.stop_exits[event.instrument_id] = [*kept, event.ts_closed]


def _streak_after(state: RiskState, event: TradeClosed, limit: int) -> int:
    """Return the losing streak: a loss adds one, a win and the trigger reset it, a zero leaves it."""
    streak = state.streaks.get(event.strategy, 0) + (event.net_pnl < _ZERO)
    return 0 if event.net_pnl > _ZERO or streak >= limit else streak


def _entry_ended(state: RiskState, event: EntryEnded, message: Message) -> None:
    state.reservations.pop(event.plan_id, None)
    protection = state.protections.get(event.instrument_id)
    if not event.filled_quantity and protection is not None and protection.plan_id == event.plan_id:
        del state.protections[event.instrument_id]


def _order_intended(state: RiskState, event: OrderIntended, message: Message) -> None:
    """Take a stop with its order: also that of an entry that went on filling after its trade was closed."""
    _count(state, event.instrument_id, ORDER, message.now)
    if event.purpose is not OrderPurpose.STOP or event.trigger_price is None:
        return
    state.protections[event.instrument_id] = Protection(
        event.plan_id, event.trigger_price, event.margin_leverage, event.client_order_id
    )


def _amend_intended(state: RiskState, event: AmendIntended, message: Message) -> None:
    _count(state, event.instrument_id, AMEND, message.now)


def _cancel_intended(state: RiskState, event: CancelIntended, message: Message) -> None:
    _count(state, event.instrument_id, CANCEL, message.now)


def _count(state: RiskState, instrument_id: str, operation: str, now: int) -> None:
    times = state.messages.setdefault(f"{instrument_id}|{operation}", [])
    times.append(now)
    del times[: bisect_right(times, now - MESSAGE_WINDOW)]


def _order_amended(state: RiskState, event: OrderAmended, message: Message) -> None:
    """Take the stop the venue confirmed: one only asked for does not lower the heat yet."""
    protection = state.protections.get(event.instrument_id)
    if protection is None or event.trigger_price is None or protection.client_order_id != event.client_order_id:
        return
    protection.stop_price = event.trigger_price


def _snapshot(state: RiskState, event: AccountSnapshot, message: Message) -> None:
    if not is_foreign(state, event):
        state.differences = differences(state, event)


def _differed(state: RiskState, event: ReconciliationDiffered, message: Message) -> None:
    fold_differed(state, event)


def _settled(state: RiskState, event: ReconciliationSettled, message: Message) -> None:
    fold_settled(state, event)


def _approved(state: RiskState, event: PlanApproved, message: Message) -> None:
    sizing = event.sizing
    state.reservations[event.plan_id] = Reservation(
        event.plan_id,
        event.instrument_id,
        event.position_side,
        sizing.quantity,
        sizing.notional,
        sizing.worst_case_loss,
        sizing.margin,
        sizing.entry_fee,
    )
    state.protections[event.instrument_id] = Protection(event.plan_id, event.stop.trigger_price, sizing.margin_leverage)
    now = message.now
    state.approvals = [*(ts for ts in state.approvals if now - ts < HOUR), now]
    window = (state.settings.duplicate_window_s if state.settings else 0) * SECOND
    kept = [plan for plan in state.recent if now - plan.ts < window]
    state.recent = [*kept, ApprovedPlan(now, event.plan_id, event.instrument_id, event.position_side, event.entry)]


def _state_changed(state: RiskState, event: TradingStateChanged, message: Message) -> None:
    throttle = StateCauseKind.THROTTLE
    if any(c.kind is throttle for c in state.causes) and not any(c.kind is throttle for c in event.causes):
        state.approvals = []
    state.causes = event.causes
    state.next_expiry = next_expiry(event.causes)
    if event.peak_reset and state.account is not None:
        state.account.peak = state.account.equity


_HANDLERS: dict[type[Event], Callable[[RiskState, Any, Message], None]] = {
    Trade: _trade,
    Quote: _quote,
    BookTop: _book_top,
    MarkPrice: _mark,
    VenueBar: _venue_bar,
    FeedStatus: _feed_status,
    InstrumentDefined: _instrument,
    FundingRate: _funding_rate,
    FundingSettled: _funding_settled,
    QualityChanged: _quality,
    RegimeClassified: _regime,
    SettingsChanged: _settings,
    DrawdownWarningChanged: _warning,
    LimitOverridden: _overridden,
    EquityChanged: _equity,
    PositionChanged: _position,
    TradeClosed: _trade_closed,
    EntryEnded: _entry_ended,
    OrderIntended: _order_intended,
    AmendIntended: _amend_intended,
    CancelIntended: _cancel_intended,
    OrderAmended: _order_amended,
    AccountSnapshot: _snapshot,
    ReconciliationDiffered: _differed,
    ReconciliationSettled: _settled,
    PlanApproved: _approved,
    TradingStateChanged: _state_changed,
}

_OWN = (
    TradingStateChanged,
    LimitOverridden,
    DrawdownWarningChanged,
    PlanApproved,
    ReconciliationDiffered,
    ReconciliationSettled,
)
LEARNED = tuple(kind for kind in _HANDLERS if kind not in _OWN)
"""Messages of others that change what risk knows."""
