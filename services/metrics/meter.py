"""Fold projected events into metrics: what an operator watches, without asking the database.

Counters count since the process started, as Prometheus expects. Gauges tell the present, so a fresh meter is first
shown the last events that decide them (``seed``); the same fold takes both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from schemas.envelope import Envelope, Event
from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.common import Quality, Repair, TradingState
from schemas.events.data import GapClosed, GapOpened, MessageQuarantined, QualityChanged, TickQuarantined
from schemas.events.market import FeedState, FeedStatus, LineQuarantined
from schemas.events.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    ProtectionMissing,
    ProtectionRestored,
)
from schemas.events.plan import PlanDeclined, PlanProposed
from schemas.events.risk import (
    DrawdownWarningChanged,
    PlanApproved,
    PlanDenied,
    ReconciliationDiffered,
    ReconciliationSettled,
    StateCauseKind,
    TradingStateChanged,
    WarningState,
)
from schemas.topics import BY_NAME
from schemas.values import SECOND
from services.metrics.catalog import Metrics

_OPEN = {
    OrderIntended: "INTENDED",
    OrderSubmitted: "SUBMITTED",
    OrderAccepted: "ACCEPTED",
    OrderPartiallyFilled: "PARTIALLY_FILLED",
    OrderUnknown: "UNKNOWN",
}
_ENDED = {
    OrderFilled: "FILLED",
    OrderCanceled: "CANCELED",
    OrderExpired: "EXPIRED",
    OrderRejected: "REJECTED",
}
_QUALITY = {Quality.GOOD: 0, Quality.DEGRADED: 1, Quality.BAD: 2}
_STATE = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
_FEED_KEYED = frozenset(event for event in BY_NAME["ticks"].events if event not in (FeedStatus, LineQuarantined))


class Meter:
    """Holds what the gauges need: open orders, open positions, unprotected trades, open gaps. Bounded by what is open.

    clock: seconds since 1970, for the ages. Not thread-safe but for ``ages``, which the scrape calls.
    """

    def __init__(self, metrics: Metrics, *, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._seeding = False
        self._orders: dict[str, str] = {}
        self._unknown: dict[str, float] = {}
        self._unprotected: dict[str, float] = {}
        self._positions: dict[str, set[str]] = {}
        self._gaps: dict[str, set[tuple[str, int]]] = {}
        self._differences: dict[tuple[str, str], Repair] = {}
        metrics.gauge("tapeline_order_unknown_oldest_seconds").set_function(lambda: self._oldest(self._unknown))
        metrics.gauge("tapeline_protection_missing_oldest_seconds").set_function(
            lambda: self._oldest(self._unprotected)
        )
        for state in _OPEN.values():
            metrics.gauge("tapeline_orders_open").labels(state).set(0)

    def seed(self, entries: Iterable[tuple[Envelope, Event]]) -> None:
        """Take earlier events, oldest first, for the gauges only: nothing is counted."""
        self._seeding = True
        for envelope, event in entries:
            self._fold(envelope, event)
        self._seeding = False

    def take(self, topic: str, envelope: Envelope, event: Event) -> None:
        """Take one projected event."""
        self._metrics.counter("tapeline_events_total").labels(topic, type(event).__name__).inc()
        if type(event) in _FEED_KEYED:
            gauge = self._metrics.gauge("tapeline_feed_last_ingest_timestamp_seconds")
            gauge.labels(event.instrument_id).set(envelope.ts_ingest / SECOND)  # type: ignore[attr-defined]
            return
        self._fold(envelope, event)
        count = _COUNTED.get(type(event))
        if count is not None:
            name, label = count
            counter = self._metrics.counter(name)
            (counter.labels(label(event)) if label else counter).inc()
        if isinstance(event, TradeClosed):
            self._metrics.gauge("tapeline_trade_net_pnl_quote_sum").labels(event.account_id).inc(float(event.net_pnl))

    def _fold(self, envelope: Envelope, event: Event) -> None:
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(self, envelope, event)

    def _oldest(self, since: dict[str, float]) -> float:
        moments = list(since.values())
        return max(0.0, self._clock() - min(moments)) if moments else 0.0

    # -- folds --------------------------------------------------------------------------------------------------------

    def _equity(self, _: Envelope, event: EquityChanged) -> None:
        for name, value in (
            ("tapeline_equity_quote", event.equity),
            ("tapeline_cash_quote", event.cash),
            ("tapeline_drawdown_percent", event.drawdown_pct),
            ("tapeline_daily_loss_percent", event.daily_loss_pct),
        ):
            self._metrics.gauge(name).labels(event.account_id).set(float(value))
        leverage = float(event.gross_notional / event.equity) if event.equity > 0 else float("nan")
        self._metrics.gauge("tapeline_leverage_ratio").labels(event.account_id).set(leverage)

    def _position(self, _: Envelope, event: PositionChanged) -> None:
        held = self._positions.setdefault(event.account_id, set())
        (held.add if event.quantity else held.discard)(event.instrument_id)
        self._metrics.gauge("tapeline_positions_open").labels(event.account_id).set(len(held))

    def _state(self, _: Envelope, event: TradingStateChanged) -> None:
        self._metrics.gauge("tapeline_trading_state_level").labels(event.account_id).set(_STATE[event.state])
        active = {cause.kind for cause in event.causes}
        for kind in StateCauseKind:
            gauge = self._metrics.gauge("tapeline_trading_cause_active").labels(event.account_id, kind.value)
            gauge.set(int(kind in active))

    def _warning(self, _: Envelope, event: DrawdownWarningChanged) -> None:
        raised = event.warning is WarningState.RAISED
        self._metrics.gauge("tapeline_drawdown_warning").labels(event.account_id).set(int(raised))

    def _quality(self, _: Envelope, event: QualityChanged) -> None:
        self._metrics.gauge("tapeline_quality_level").labels(event.instrument_id).set(_QUALITY[event.quality])

    def _gap(self, _: Envelope, event: GapOpened | GapClosed) -> None:
        gaps = self._gaps.setdefault(event.instrument_id, set())
        (gaps.add if isinstance(event, GapOpened) else gaps.discard)((event.channel.value, event.ts_from))
        self._metrics.gauge("tapeline_gaps_open").labels(event.instrument_id).set(len(gaps))

    def _feed(self, _: Envelope, event: FeedStatus) -> None:
        gauge = self._metrics.gauge("tapeline_feed_up").labels(event.instrument_id, event.channel.value)
        gauge.set(int(event.state is not FeedState.LOST))

    def _order(self, envelope: Envelope, event: Any) -> None:
        identity, state = event.client_order_id, _OPEN.get(type(event))
        before = self._orders.pop(identity, None)
        gauge = self._metrics.gauge("tapeline_orders_open")
        if before is not None:
            gauge.labels(before).dec()
        is_open = state is not None and (before is not None or self._seeding or type(event) is OrderIntended)
        if is_open:  # else: a late fill of an order that is over; it does not open again
            self._orders[identity] = str(state)
            gauge.labels(state).inc()
        if is_open and state == "UNKNOWN":
            self._unknown.setdefault(identity, envelope.ts_ingest / SECOND)
        else:
            self._unknown.pop(identity, None)

    def _difference(self, _: Envelope, event: ReconciliationDiffered | ReconciliationSettled) -> None:
        account, key = event.account_id, (event.account_id, event.subject)
        self._differences.pop(key, None)
        if isinstance(event, ReconciliationDiffered):
            self._differences[key] = event.repair
        for repair in Repair:
            open_now = sum(each is repair and name == account for (name, _), each in self._differences.items())
            self._metrics.gauge("tapeline_reconciliation_open").labels(account, repair.value).set(open_now)

    def _unprotect(self, envelope: Envelope, event: ProtectionMissing) -> None:
        self._unprotected.setdefault(event.plan_id, envelope.ts_ingest / SECOND)

    def _protect(self, _: Envelope, event: ProtectionRestored | TradeClosed) -> None:
        self._unprotected.pop(event.plan_id, None)


_FOLDS: dict[type[Event], Callable[[Meter, Envelope, Any], None]] = {
    EquityChanged: Meter._equity,
    PositionChanged: Meter._position,
    TradingStateChanged: Meter._state,
    DrawdownWarningChanged: Meter._warning,
    QualityChanged: Meter._quality,
    GapOpened: Meter._gap,
    GapClosed: Meter._gap,
    FeedStatus: Meter._feed,
    ReconciliationDiffered: Meter._difference,
    ReconciliationSettled: Meter._difference,
    ProtectionMissing: Meter._unprotect,
    ProtectionRestored: Meter._protect,
    TradeClosed: Meter._protect,
    **dict.fromkeys((*_OPEN, *_ENDED), Meter._order),
}
_COUNTED: dict[type[Event], tuple[str, Callable[[Any], str] | None]] = {
    PlanProposed: ("tapeline_plans_proposed_total", lambda event: event.origin.value),
    PlanDeclined: ("tapeline_plans_declined_total", lambda event: event.reason.value),
    PlanApproved: ("tapeline_plans_approved_total", None),
    PlanDenied: ("tapeline_plans_denied_total", lambda event: event.code.value),
    TickQuarantined: ("tapeline_ticks_quarantined_total", lambda event: event.reason.value),
    MessageQuarantined: ("tapeline_unreadable_total", None),
    LineQuarantined: ("tapeline_unreadable_total", None),
    TradeClosed: ("tapeline_trades_closed_total", lambda event: event.exit_reason.value),
    **dict.fromkeys(_ENDED, ("tapeline_orders_ended_total", lambda event: _ENDED[type(event)])),
}
