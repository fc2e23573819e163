"""Orders, venue reports and fills. Intents are ours; reports are the venue's words; fills are what both agree on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import (
    AccountMode,
    EntryEnd,
    ExitReason,
    Liquidity,
    MarginMode,
    NotSentReason,
    OrderPurpose,
    OrderType,
    PositionMode,
    PositionSide,
    QuantityUnit,
    Side,
    TriggerPriceType,
)
from schemas.values import Bps, Micros, Money, Price, Quantity, Rate


class OrderOperation(StrEnum):
    """What was asked of the venue."""

    SUBMIT = "SUBMIT"
    AMEND = "AMEND"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class OrderIntended(Event):
    """An order the gateway (or paper venue) may send once; without a ``plan_id`` it closes what no plan opened.

    ``valid_until``: the venue must not accept it later; None for protection, which has no expiry.
    ``trigger_price_type``: the price a stop asks the venue to watch; ``trigger_source``: the one watched when it was
    intended, LAST where the mark or index asked for is missing, stale or coarser than the bars.
    """

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    purpose: OrderPurpose
    target_index: int | None
    side: Side
    position_side: PositionSide
    type: OrderType
    quantity: Quantity
    quantity_unit: QuantityUnit
    limit_price: Price | None
    trigger_price: Price | None
    trigger_price_type: TriggerPriceType | None
    post_only: bool
    reduce_only: bool
    margin_mode: MarginMode
    margin_leverage: int
    valid_until: Micros | None
    exit_reason: ExitReason | None
    plan_stop_price: Price | None = None
    trigger_source: TriggerPriceType | None = None


@dataclass(frozen=True, slots=True)
class AmendIntended(Event):
    """Change a resting order: new total quantity and or trigger price; None leaves it."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    quantity: Quantity | None
    trigger_price: Price | None
    exit_reason: ExitReason | None


@dataclass(frozen=True, slots=True)
class CancelIntended(Event):
    """Take a resting order away."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderSubmitted(Event):
    """The attempt to send an order was logged."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str


@dataclass(frozen=True, slots=True)
class OrderAccepted(Event):
    """The venue has the order."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True)
class OrderRejected(Event):
    """The venue refused the order."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderAmended(Event):
    """The venue changed a resting order as asked."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    quantity: Quantity
    trigger_price: Price | None


@dataclass(frozen=True, slots=True)
class OrderPartiallyFilled(Event):
    """Part of the order traded; ``leaves_quantity`` rests."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    filled_quantity: Quantity
    leaves_quantity: Quantity


@dataclass(frozen=True, slots=True)
class OrderFilled(Event):
    """The whole order traded."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    filled_quantity: Quantity


@dataclass(frozen=True, slots=True)
class OrderCanceled(Event):
    """The order left the book; what had traded before stays traded."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    filled_quantity: Quantity
    reason: str


@dataclass(frozen=True, slots=True)
class OrderExpired(Event):
    """The order's time ran out."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    filled_quantity: Quantity


@dataclass(frozen=True, slots=True)
class OrderUnknown(Event):
    """Nobody knows yet whether the venue has the order; it stays in flight until a query settles it."""

    client_order_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class EntryEnded(Event):
    """The entry is over; with ``filled_quantity`` zero the trade never was, and its reservation is released."""

    plan_id: str
    account_id: str
    instrument_id: str
    client_order_id: str
    end: EntryEnd | None
    filled_quantity: Quantity


@dataclass(frozen=True, slots=True)
class ProtectionMissing(Event):
    """Filled quantity without a live stop."""

    plan_id: str
    account_id: str
    instrument_id: str
    unprotected_quantity: Quantity


@dataclass(frozen=True, slots=True)
class ProtectionRestored(Event):
    """The stop covers exactly the open quantity again."""

    plan_id: str
    account_id: str
    instrument_id: str
    protected_quantity: Quantity


@dataclass(frozen=True, slots=True)
class SubmitAttempted(Event):
    """Logged before an order is sent: after it, the order is never sent again until the venue has answered for it.

    ``deadline``: the venue refuses the order when it arrives later; None on the paper venue.
    """

    client_order_id: str
    account_id: str
    instrument_id: str
    claim_id: str = ""
    deadline: Micros | None = None


@dataclass(frozen=True, slots=True)
class NotSent(Event):
    """The order certainly never reached the venue. Counts only while ``claim_id`` is that of the latest claim.

    EXPIRED: its time was over first. CANCELED: asked for before it was sent. ABSENT: sent, its deadline is over and the
    venue does not know it. LEVERAGE: its margin leverage could not be set. UNSENDABLE: as it is, or for load too often.
    """

    client_order_id: str
    account_id: str
    instrument_id: str
    reason: NotSentReason
    claim_id: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VenueAccepted(Event):
    """The venue acknowledged an order."""

    client_order_id: str
    account_id: str
    instrument_id: str
    venue_order_id: str


@dataclass(frozen=True, slots=True)
class VenueRejected(Event):
    """The venue refused an order, or (``operation``) a change of one that it leaves as it was."""

    client_order_id: str
    account_id: str
    instrument_id: str
    code: str
    detail: str
    operation: OrderOperation = OrderOperation.SUBMIT


@dataclass(frozen=True, slots=True)
class VenueAmended(Event):
    """The venue changed an order; the values now in force."""

    client_order_id: str
    account_id: str
    instrument_id: str
    quantity: Quantity
    trigger_price: Price | None


@dataclass(frozen=True, slots=True)
class VenueCanceled(Event):
    """The venue took an order off the book. ``code``: CANCELED, EXPIRED, ENTRY_PAST_STOP, REDUCE_ONLY, ..."""

    client_order_id: str
    account_id: str
    instrument_id: str
    code: str


@dataclass(frozen=True, slots=True)
class VenueFill(Event):
    """One execution as the venue reports it. ``fee`` positive = paid, in ``fee_currency``.

    ``arrival_price``: mid (on bars: the open) when the venue had the order. ``liquidation``, ``adl``: by force, by an
    order of the venue. ``client_order_id`` empty: not of this log. ``position_side``: of two, None where there is one.
    """

    client_order_id: str
    account_id: str
    instrument_id: str
    venue_trade_id: str
    side: Side
    last_quantity: Quantity
    last_price: Price
    liquidity: Liquidity
    fee: Quantity
    fee_currency: str
    arrival_price: Price | None
    trigger_source: TriggerPriceType | None
    liquidation: bool = False
    adl: bool = False
    position_side: PositionSide | None = None


@dataclass(frozen=True, slots=True)
class VenueFunding(Event):
    """Funding as the venue booked it; ``payment`` positive = received."""

    account_id: str
    instrument_id: str
    payment: Money
    funding_rate: Rate
    mark_price: Price
    position_quantity: Quantity
    ts_funding: Micros


@dataclass(frozen=True, slots=True)
class VenueLiquidated(Event):
    """The venue closed (part of) a position by force; ``penalty`` is taken beside the fee of its fill."""

    account_id: str
    instrument_id: str
    venue_trade_id: str
    mark_price: Price
    quantity: Quantity
    penalty: Money


@dataclass(frozen=True, slots=True)
class VenuePosition:
    """A position in a snapshot; quantity signed, in the instrument's unit. ``margin_mode``: None on paper and spot."""

    instrument_id: str
    quantity: Quantity
    avg_entry_price: Price
    margin_mode: MarginMode | None = None


@dataclass(frozen=True, slots=True)
class AccountSnapshot(Event):
    """The venue's view of an account, compared with the log. ``position_mode_needed``: the gateway's; None: NET."""

    account_id: str
    cash: Money
    positions: tuple[VenuePosition, ...]
    open_orders: tuple[str, ...]
    account_mode: AccountMode
    position_mode: PositionMode
    position_mode_needed: PositionMode | None = None


@dataclass(frozen=True, slots=True)
class FillBooked(Event):
    """A canonical fill: each venue trade id once, joined with what the order was for.

    ``fee`` in quote currency (a spot buy's base fee converted at the fill price, ``fee_base`` beside it);
    ``slippage_bps`` positive = worse than arrival. ``trigger_source``: the price that fired a stop, or liquidated.
    """

    fill_id: str
    plan_id: str
    account_id: str
    instrument_id: str
    client_order_id: str
    venue_trade_id: str
    purpose: OrderPurpose
    exit_reason: ExitReason | None
    side: Side
    last_quantity: Quantity
    quantity_unit: QuantityUnit
    base_quantity: Quantity
    last_price: Price
    liquidity: Liquidity
    fee: Money
    fee_base: Quantity
    arrival_price: Price | None
    slippage_bps: Bps | None
    margin_mode: MarginMode
    margin_leverage: int
    penalty: Money
    trigger_source: TriggerPriceType | None = None
