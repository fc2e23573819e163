"""The one catalog of topics: what each carries, who writes it, how it is keyed and how readers order it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from schemas.envelope import Event
from schemas.events import (
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
from schemas.settings import Venue

PREFIX = "tapeline."
"""Default prefix of every topic name on a broker."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``key``: the event field that keys it. ``sequenced``: written by the trader, ordered by ``seq``
    (``reports`` on a paper shard only, see ``outputs_of``).

    ``may_skip``: a message that cannot be read may be quarantined; elsewhere it stops the reader.
    """

    name: str
    key: str
    writer: str
    events: tuple[type[Event], ...]
    sequenced: bool
    may_skip: bool = False


TOPICS: tuple[Topic, ...] = (
    Topic(
        "ticks",
        "instrument_id",
        "market gateway",
        (
            market.Trade,
            market.Quote,
            market.BookTop,
            market.MarkPrice,
            market.IndexPrice,
            market.FundingRate,
            market.FundingSettled,
            market.VenueBar,
            market.InstrumentDefined,
            market.FeedStatus,
            market.LineQuarantined,
        ),
        sequenced=False,
        may_skip=True,
    ),
    Topic(
        "commands",
        "account_id",
        "control API, CLI, scheduler",
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
        sequenced=False,
    ),
    Topic("settings", "scope", "operator", (control.SettingsChanged,), sequenced=False),
    Topic(
        "quality",
        "instrument_id",
        "trader",
        (data.QualityChanged, data.GapOpened, data.GapClosed, data.TickQuarantined, data.MessageQuarantined),
        sequenced=True,
    ),
    Topic("bars", "instrument_id", "trader", (data.BarClosed,), sequenced=True),
    Topic("features", "instrument_id", "trader", (intelligence.FeaturesComputed,), sequenced=True),
    Topic("signals", "instrument_id", "trader", (intelligence.SignalScored,), sequenced=True),
    Topic("regimes", "instrument_id", "trader", (intelligence.RegimeClassified,), sequenced=True),
    Topic(
        "context",
        "source",
        "adapters",
        (context.NewsItem, context.TrendPoint, context.OnchainMetric, context.SourceStatus),
        sequenced=False,
        may_skip=True,
    ),
    Topic("prompts", "account_id", "trader", (model.CompletionRequested,), sequenced=True),
    Topic(
        "completions",
        "account_id",
        "completion service",
        (model.CompletionsClaimed, model.CompletionAttempted, model.CompletionReceived, model.CompletionFailed),
        sequenced=False,
    ),
    Topic("plans", "account_id", "trader", (plan.PlanProposed, plan.PlanDeclined), sequenced=True),
    Topic(
        "verdicts",
        "account_id",
        "trader",
        (
            risk.PlanApproved,
            risk.PlanDenied,
            risk.ReductionApproved,
            risk.TradingStateChanged,
            risk.ReconciliationDiffered,
            risk.ReconciliationSettled,
            risk.DrawdownWarningChanged,
            risk.LimitOverridden,
            control.CommandHandled,
        ),
        sequenced=True,
    ),
    Topic(
        "orders",
        "account_id",
        "trader",
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
            orders.EntryEnded,
            orders.ProtectionMissing,
            orders.ProtectionRestored,
        ),
        sequenced=True,
    ),
    Topic(
        "reports",
        "account_id",
        "gateway, or paper venue stage",
        (
            gateway.GatewayClaimed,
            orders.SubmitAttempted,
            gateway.SubmitInDoubt,
            gateway.VenueTransferred,
            gateway.VenueCharged,
            gateway.DifferenceFound,
            orders.NotSent,
            orders.VenueAccepted,
            orders.VenueRejected,
            orders.VenueAmended,
            orders.VenueCanceled,
            orders.VenueFill,
            orders.VenueFunding,
            orders.VenueLiquidated,
            orders.AccountSnapshot,
        ),
        sequenced=True,
    ),
    Topic("fills", "account_id", "trader", (orders.FillBooked,), sequenced=True),
    Topic(
        "accounts",
        "account_id",
        "trader",
        (
            account.CashFlowed,
            account.EquityChanged,
            account.PositionChanged,
            account.FundingPaid,
            account.ChargeBooked,
            account.TradeClosed,
            account.EntryMissed,
        ),
        sequenced=True,
    ),
    Topic("journal", "", "trader", (journal.Claimed, journal.Committed), sequenced=False),
    Topic("checkpoints", "", "trader", (journal.CheckpointTaken,), sequenced=False),
)

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
TOPIC_OF: dict[type[Event], Topic] = {event: topic for topic in TOPICS for event in topic.events}
INPUTS: tuple[str, ...] = ("settings", "commands", "completions", "context", "ticks")
"""Topics every trader takes as input, in the order a runner polls them; ``inputs_of`` says what a shard takes."""
OUTPUTS: tuple[str, ...] = tuple(topic.name for topic in TOPICS if topic.sequenced)
"""Topics a trader on paper writes; ``outputs_of`` says what a shard's trader writes."""
REPORTS = "reports"
"""What the venue said: written by the trader's own paper venue, or by a gateway and then an input of the trader."""
JOURNAL = "journal"
CHECKPOINTS = "checkpoints"


@cache
def inputs_of(venue: Venue) -> tuple[str, ...]:
    """Return the input topics of a shard on a venue, in the order a runner polls them."""
    return INPUTS if venue is Venue.PAPER else (*INPUTS, REPORTS)


@cache
def outputs_of(venue: Venue) -> tuple[str, ...]:
    """Return the topics the trader of a shard on a venue writes, ordered by ``seq``."""
    return OUTPUTS if venue is Venue.PAPER else tuple(name for name in OUTPUTS if name != REPORTS)
