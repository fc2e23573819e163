"""Which event types share a table. A type that is listed nowhere gets a table of its own, named after it.

Within a family the columns are the union of its members' fields, by name; ``event_type`` tells the members apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.envelope import Event
from schemas.events import (
    EVENT_TYPES,
    account,
    context,
    control,
    data,
    gateway,
    intelligence,
    journal,
    market,
    model,
    orders,
    plan,
    risk,
)
from schemas.topics import TOPIC_OF

BY_INSTRUMENT = (("instrument_id", "ts_event"),)
BY_TIMEFRAME = (("instrument_id", "timeframe", "ts_event"),)
BY_PLAN = (("plan_id",),)
BY_ORDER = (("client_order_id",), ("plan_id",))


@dataclass(frozen=True, slots=True)
class Family:
    """One table: its name, the event types it holds, its further indexes.

    ``find_by_id``: indexed by event id. Off for the raw tape, where an event is found by its time and then its id.
    ``chunk_hours``: width of a TimescaleDB chunk.
    """

    table: str
    events: tuple[type[Event], ...]
    indexes: tuple[tuple[str, ...], ...] = ()
    find_by_id: bool = True
    chunk_hours: int = 24 * 7

    @property
    def topic(self) -> str:
        """Return the topic all members are on."""
        return TOPIC_OF[self.events[0]].name


LISTED: tuple[Family, ...] = (
    Family("trade_ticks", (market.Trade,), BY_INSTRUMENT, find_by_id=False, chunk_hours=6),
    Family("quotes", (market.Quote,), BY_INSTRUMENT, find_by_id=False, chunk_hours=6),
    Family("book_tops", (market.BookTop,), BY_INSTRUMENT, find_by_id=False, chunk_hours=6),
    Family("mark_prices", (market.MarkPrice,), BY_INSTRUMENT, find_by_id=False, chunk_hours=24),
    Family("index_prices", (market.IndexPrice,), BY_INSTRUMENT, find_by_id=False, chunk_hours=24),
    Family("funding_rates", (market.FundingRate, market.FundingSettled), BY_INSTRUMENT),
    Family("venue_bars", (market.VenueBar,), BY_TIMEFRAME, find_by_id=False),
    Family("instruments", (market.InstrumentDefined,), BY_INSTRUMENT),
    Family("feed_status", (market.FeedStatus,), BY_INSTRUMENT),
    Family("quarantined_lines", (market.LineQuarantined,)),
    Family("quality_changes", (data.QualityChanged,), BY_INSTRUMENT),
    Family("gaps", (data.GapOpened, data.GapClosed), BY_INSTRUMENT),
    Family("quarantined_ticks", (data.TickQuarantined,), BY_INSTRUMENT),
    Family("quarantined_messages", (data.MessageQuarantined,)),
    Family("bars", (data.BarClosed,), BY_TIMEFRAME),
    Family("features", (intelligence.FeaturesComputed,), BY_TIMEFRAME),
    Family("signals", (intelligence.SignalScored,), BY_TIMEFRAME),
    Family("regimes", (intelligence.RegimeClassified,), BY_TIMEFRAME),
    Family(
        "commands",
        (
            control.GeneratePlan,
            control.ExecutePlan,
            control.ClosePosition,
            control.PauseTrading,
            control.ResumeTrading,
            control.KillSwitch,
            control.OverrideLimit,
            control.TransferCash,
            control.TimerFired,
        ),
    ),
    Family("command_results", (control.CommandHandled,), (("command_id",),)),
    Family("settings", (control.SettingsChanged,)),
    Family("news", (context.NewsItem,), (("source", "ts_event"),)),
    Family("trends", (context.TrendPoint,), (("source", "ts_event"),)),
    Family("onchain_metrics", (context.OnchainMetric,), (("source", "ts_event"),)),
    Family("source_status", (context.SourceStatus,), (("source", "ts_event"),)),
    Family("prompts", (model.CompletionRequested,)),
    Family("completion_claims", (model.CompletionsClaimed,)),
    Family("completion_attempts", (model.CompletionAttempted,), (("request_id",),)),
    Family("completions", (model.CompletionReceived, model.CompletionFailed), (("request_id",),)),
    Family("plan_proposals", (plan.PlanProposed,), BY_PLAN),
    Family("plan_declines", (plan.PlanDeclined,)),
    Family("verdict_events", (risk.PlanApproved, risk.PlanDenied), BY_PLAN),
    Family("reductions", (risk.ReductionApproved,)),
    Family("trading_states", (risk.TradingStateChanged,)),
    Family("drawdown_warnings", (risk.DrawdownWarningChanged,)),
    Family("limit_overrides", (risk.LimitOverridden,)),
    Family(
        "order_events",
        (
            orders.OrderIntended,
            orders.AmendIntended,
            orders.CancelIntended,
            orders.OrderSubmitted,
            orders.OrderAccepted,
            orders.OrderRejected,
            orders.OrderAmended,
            orders.OrderPartiallyFilled,
            orders.OrderFilled,
            orders.OrderCanceled,
            orders.OrderExpired,
            orders.OrderUnknown,
        ),
        BY_ORDER,
    ),
    Family("entry_ends", (orders.EntryEnded,), BY_PLAN),
    Family("protection_events", (orders.ProtectionMissing, orders.ProtectionRestored), BY_PLAN),
    Family(
        "venue_reports",
        (
            orders.SubmitAttempted,
            gateway.SubmitInDoubt,
            orders.NotSent,
            orders.VenueAccepted,
            orders.VenueRejected,
            orders.VenueAmended,
            orders.VenueCanceled,
            orders.VenueFill,
        ),
        (("client_order_id",),),
    ),
    Family("reconciliations", (risk.ReconciliationDiffered, risk.ReconciliationSettled), (("account_id", "ts_event"),)),
    Family("venue_transfers", (gateway.VenueTransferred,)),
    Family("venue_charges", (gateway.VenueCharged,)),
    Family("differences_found", (gateway.DifferenceFound,), (("account_id", "ts_event"),)),
    Family("gateway_claims", (gateway.GatewayClaimed,)),
    Family("venue_funding", (orders.VenueFunding,)),
    Family("venue_liquidations", (orders.VenueLiquidated,)),
    Family("account_snapshots", (orders.AccountSnapshot,)),
    Family("fills", (orders.FillBooked,), BY_ORDER),
    Family("cash_flows", (account.CashFlowed,)),
    Family("equity_points", (account.EquityChanged,), (("account_id", "ts_event"),)),
    Family("position_events", (account.PositionChanged,), (("account_id", "instrument_id", "ts_event"), ("plan_id",))),
    Family("funding_payments", (account.FundingPaid,), BY_PLAN),
    Family("charges", (account.ChargeBooked,)),
    Family("trades_closed", (account.TradeClosed,), BY_PLAN),
    Family("missed_entries", (account.EntryMissed,), BY_PLAN),
    Family("journal_claims", (journal.Claimed,)),
    Family("journal_commits", (journal.Committed,)),
    Family("checkpoints", (journal.CheckpointTaken,)),
)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _all_families() -> tuple[Family, ...]:
    listed = {event for family in LISTED for event in family.events}
    others = [cls for cls in EVENT_TYPES.values() if cls not in listed]
    return LISTED + tuple(Family(_snake(cls.__name__), (cls,)) for cls in others)


FAMILIES: tuple[Family, ...] = _all_families()
FAMILY_OF: dict[type[Event], Family] = {event: family for family in FAMILIES for event in family.events}
