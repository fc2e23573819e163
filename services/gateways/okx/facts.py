"""What the venue holds for an account, in our words: orders, fills, positions, balances, ledger, account.

Quantities are in the instrument's own unit (contracts of a swap, base currency of a spot pair), exactly as in
``OrderIntended``; moments are UTC microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.events.common import Liquidity, MarginMode, OrderType, PositionSide, QuantityUnit, Side, TriggerPriceType
from schemas.values import Micros, Money, Price, Quantity, Rate


class OrderStatus(StrEnum):
    """Where an order is at the venue.

    TRIGGERED: an algo order fired and became the orders in ``child_order_ids``; their updates and fills follow under
    the same client order id. FAILED: an algo order fired and the venue refused what it became: nothing protects.
    """

    RESTING = "RESTING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    TRIGGERED = "TRIGGERED"
    FAILED = "FAILED"


class Category(StrEnum):
    """Who made an order. OTHER: delivery, conversion, TWAP and the like: never ours."""

    NORMAL = "NORMAL"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    OTHER = "OTHER"


class AmendResult(StrEnum):
    """What became of the amendment an order update is about. REVERTED: refused, the order stands as it was."""

    DONE = "DONE"
    REVERTED = "REVERTED"
    CANCELED = "CANCELED"


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """One order or algo order as the venue shows it.

    client_order_id: as sent, so one the log does not know is foreign; of an order that an algo order became, the algo
    order's; None: made without one (by hand, by the venue). quantity: in total, as now in force; in QUOTE only for a
    foreign spot market order; 0: an algo order that closes whatever is held. filled_quantity: in the instrument's
    unit; of an algo order, of its children where ``find_order`` looked them up. position_side: None in net mode and on
    spot. cancel_code: ``cancelSource`` (31: post-only would take), ``failCode`` of an algo order.
    """

    client_order_id: str | None
    venue_order_id: str
    instrument_id: str
    is_algo: bool
    side: Side
    position_side: PositionSide | None
    type: OrderType
    status: OrderStatus
    quantity: Quantity
    quantity_unit: QuantityUnit
    filled_quantity: Quantity
    avg_price: Price | None
    limit_price: Price | None
    trigger_price: Price | None
    trigger_price_type: TriggerPriceType | None
    post_only: bool
    reduce_only: bool
    category: Category
    tag: str
    ts_created: Micros
    ts_updated: Micros
    cancel_code: str = ""
    amend_result: AmendResult | None = None
    child_order_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VenueExecution:
    """One fill. (instrument_id, trade_id, venue_order_id) is its identity; the client yields each once in its updates,
    and a fill may come again from ``fills``. fee: positive = paid, in ``fee_currency`` (base of a spot buy).
    client_order_id: as in ``VenueOrder``. position_side: None in net mode and on spot. category: LIQUIDATION and ADL
    are the venue's acts.
    """

    client_order_id: str | None
    venue_order_id: str
    instrument_id: str
    trade_id: str
    side: Side
    position_side: PositionSide | None
    last_quantity: Quantity
    last_price: Price
    liquidity: Liquidity
    fee: Quantity
    fee_currency: str
    category: Category
    ts_event: Micros


@dataclass(frozen=True, slots=True)
class VenueHolding:
    """One position. quantity: signed (short < 0) in either position mode, contracts; zero: just closed.

    position_side: None in net mode. margin: of this isolated position; None in cross mode.
    """

    instrument_id: str
    position_side: PositionSide | None
    quantity: Quantity
    avg_entry_price: Price | None
    margin_mode: MarginMode
    margin_leverage: Quantity | None
    margin: Money | None
    mark_price: Price | None
    liquidation_price: Price | None
    unrealized_pnl: Money
    ts_updated: Micros


@dataclass(frozen=True, slots=True)
class VenueBalance:
    """One currency. cash: without unrealised profit and without isolated margins, which left it; equity: with both."""

    currency: str
    cash: Quantity
    available: Quantity
    frozen: Quantity
    equity: Quantity
    ts_updated: Micros


class BillKind(StrEnum):
    """Why a balance changed; what is not listed is OTHER, with the venue's own numbers in ``venue_type``."""

    TRADE = "TRADE"
    FUNDING = "FUNDING"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    TRANSFER = "TRANSFER"
    INTEREST = "INTEREST"
    CLAWBACK = "CLAWBACK"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class VenueBill:
    """One line of the account's ledger; ``bill_id`` is its identity, larger is later.

    amount: change of the account's and of the position's balance together, positive = received; of FUNDING it is the
    payment. fee: positive = paid, inside ``amount``. quantity: contracts, unsigned; price: fill price, or the mark
    price of a funding settlement. venue_type: ``type/subType`` as OKX numbers them (8/173 paid, 8/174 received).
    """

    bill_id: str
    kind: BillKind
    venue_type: str
    instrument_id: str | None
    currency: str
    amount: Quantity
    fee: Quantity
    pnl: Quantity
    quantity: Quantity
    price: Price | None
    client_order_id: str | None
    venue_order_id: str | None
    trade_id: str | None
    ts_event: Micros


class PositionMode(StrEnum):
    """Whether an instrument has one signed position or a long and a short one."""

    NET = "NET"
    LONG_SHORT = "LONG_SHORT"


@dataclass(frozen=True, slots=True)
class AccountConfig:
    """The account and the key in use. account_level: ``acctLv`` (1 spot, 2 futures, 3 multi-currency, 4 portfolio).
    permissions: ``read_only``, ``trade``, ``withdraw``. ip_addresses: that the key is bound to; empty: none.
    """

    uid: str
    account_level: int
    position_mode: PositionMode
    permissions: frozenset[str]
    ip_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fees in force, as plain fractions of the notional; positive = paid (OKX writes them negative)."""

    maker: Rate
    taker: Rate


@dataclass(frozen=True, slots=True)
class ClosedPosition:
    """What a position that was closed (in part or whole) earned by OKX's books; fees and penalty positive = paid."""

    position_id: str
    instrument_id: str
    direction: PositionSide
    closed_quantity: Quantity
    avg_entry_price: Price | None
    avg_exit_price: Price | None
    realized_pnl: Money
    gross_pnl: Money
    fees: Money
    funding: Money
    liquidation_penalty: Money
    settled_pnl: Money
    ts_opened: Micros
    ts_updated: Micros

    @property
    def unexplained(self) -> Money:
        """What the parts do not explain of the whole; zero by OKX's own identity (rounding aside)."""
        parts = self.gross_pnl - self.fees + self.funding - self.liquidation_penalty + self.settled_pnl
        return Money(self.realized_pnl - parts)
