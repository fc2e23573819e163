"""Closed vocabularies shared by several event areas."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Direction of an order, a fill or a public trade's aggressor. UNKNOWN: the recording does not say."""

    BUY = "BUY"
    SELL = "SELL"
    UNKNOWN = "UNKNOWN"


class PositionSide(StrEnum):
    """Direction of a position or a plan."""

    LONG = "LONG"
    SHORT = "SHORT"


class Quality(StrEnum):
    """How far an instrument's data can be trusted."""

    GOOD = "GOOD"
    DEGRADED = "DEGRADED"
    BAD = "BAD"


class Regime(StrEnum):
    """Market label of an instrument."""

    TREND_UP = "TREND_UP"
    TREND_DOWN = "TREND_DOWN"
    RANGE = "RANGE"
    VOLATILE = "VOLATILE"
    UNKNOWN = "UNKNOWN"


class PlanOrigin(StrEnum):
    """Who wrote a plan."""

    OPERATOR = "OPERATOR"
    RULES = "RULES"
    MODEL = "MODEL"


class OrderType(StrEnum):
    """How an order meets the market. STOP rests until its trigger, then takes."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"


class TriggerPriceType(StrEnum):
    """Which price a stop watches."""

    MARK = "MARK"
    LAST = "LAST"
    INDEX = "INDEX"


class PriceSource(StrEnum):
    """Where a reference or mark price came from. LAST: the mark was missing or stale and last stood in."""

    MARK = "MARK"
    LAST = "LAST"
    BID = "BID"
    ASK = "ASK"
    LIMIT = "LIMIT"
    TRIGGER = "TRIGGER"


class Liquidity(StrEnum):
    """Whether a fill added liquidity or took it."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class MarginMode(StrEnum):
    """How a position is collateralised; CASH is spot."""

    ISOLATED = "ISOLATED"
    CROSS = "CROSS"
    CASH = "CASH"


class QuantityUnit(StrEnum):
    """What an order quantity counts."""

    BASE = "BASE"
    CONTRACT = "CONTRACT"
    QUOTE = "QUOTE"


class TradingState(StrEnum):
    """What the account may do; the worst active cause decides."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class OrderPurpose(StrEnum):
    """What an order does for its trade."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    TARGET = "TARGET"
    EXIT = "EXIT"


class ExitReason(StrEnum):
    """Why a trade, or a part of it, was closed."""

    STOP = "STOP"
    BREAK_EVEN = "BREAK_EVEN"
    TRAIL = "TRAIL"
    TARGET_1 = "TARGET_1"
    TARGET_2 = "TARGET_2"
    TARGET_3 = "TARGET_3"
    TARGET_4 = "TARGET_4"
    TARGET_5 = "TARGET_5"
    TIME = "TIME"
    REGIME = "REGIME"
    QUALITY = "QUALITY"
    OPERATOR = "OPERATOR"
    KILL = "KILL"
    HALT_FLATTEN = "HALT_FLATTEN"
    UNPROTECTED = "UNPROTECTED"
    LIQUIDATION = "LIQUIDATION"
    ADL = "ADL"
    RECONCILED = "RECONCILED"


class EntryEnd(StrEnum):
    """Why an entry ended without, or with only part of, a fill."""

    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    ENTRY_PAST_STOP = "ENTRY_PAST_STOP"
    REJECTED = "REJECTED"


class AccountMode(StrEnum):
    """The venue account's mode, account-wide (OKX ``acctLv`` 1 to 4). Tapeline trades in FUTURES only."""

    SPOT = "SPOT"
    FUTURES = "FUTURES"
    MULTI_CURRENCY = "MULTI_CURRENCY"
    PORTFOLIO = "PORTFOLIO"


class PositionMode(StrEnum):
    """How the venue keeps positions, account-wide (OKX ``net_mode``, ``long_short_mode``). Tapeline trades in NET."""

    NET = "NET"
    LONG_SHORT = "LONG_SHORT"


class NotSentReason(StrEnum):
    """Why an order certainly is not at the venue and never will be."""

    EXPIRED = "EXPIRED"
    CANCELED = "CANCELED"
    ABSENT = "ABSENT"
    LEVERAGE = "LEVERAGE"
    UNSENDABLE = "UNSENDABLE"


class Repair(StrEnum):
    """What becomes of a difference between log and venue.

    OPERATOR: a person has to act, trading is HALTED until then. GATEWAY: it is being reported by the gateway that found
    it, and gone with the next snapshot that agrees. NONE: only told.
    """

    OPERATOR = "OPERATOR"
    NONE = "NONE"
    GATEWAY = "GATEWAY"
