"""Orders and algo orders as the venue keeps them, and their rows on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.okx.instruments import Instrument
from tests.fakes.okx.numbers import ZERO, short, text
from tests.fakes.okx.push import Row, same

OPEN_STATES = ("live", "partially_filled")
ORDER_BLANK = (
    "pxType pxUsd pxVol quickMgnType stpId attachAlgoClOrdId slOrdPx slTriggerPx slTriggerPxType tpOrdPx tpTriggerPx "
    "tpTriggerPxType"
)
ALGO_OPEN = ("live", "pause", "partially_effective")


@dataclass(slots=True)
class Fill:
    """One execution."""

    trade_id: str
    bill_id: str
    price: Decimal
    size: Decimal
    exec_type: str
    fee: Decimal
    fee_currency: str
    pnl: Decimal
    ts_ms: int


@dataclass(slots=True)
class Order:
    """An order of the book. ``request`` is what the client sent, as text; sizes in the venue's units."""

    ord_id: str
    instrument: Instrument
    request: dict[str, str]
    size: Decimal
    price: Decimal | None
    lever: Decimal
    created_ms: int
    updated_ms: int
    attached: list[Row] = field(default_factory=list)
    state: str = "live"
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_currency: str = ""
    pnl: Decimal = ZERO
    fills: list[Fill] = field(default_factory=list)
    category: str = "normal"
    source: str = ""
    cancel_source: str = ""
    cancel_reason: str = ""
    algo_id: str = ""
    algo_client_id: str = ""

    def asked(self, name: str, otherwise: str = "") -> str:
        """Return a field of the request."""
        return self.request.get(name) or otherwise

    @property
    def side(self) -> str:
        """buy or sell."""
        return self.asked("side")

    @property
    def is_open(self) -> bool:
        """Can it still fill in the ordinary way?"""
        return self.state in OPEN_STATES

    @property
    def leaves(self) -> Decimal:
        """Size not filled yet, in the unit of ``size``."""
        return self.size - (self.value if self.in_quote else self.filled)

    @property
    def receives(self) -> bool:
        """Is ``size`` an amount of the coin that a spot market order receives?"""
        return (
            not self.instrument.is_swap and self.asked("ordType") == "market" and self.in_quote != (self.side == "buy")
        )

    @property
    def in_quote(self) -> bool:
        """Is ``size`` an amount of quote coin? Spot market buys are, unless told otherwise."""
        if self.instrument.is_swap or self.asked("ordType") != "market":
            return False
        return self.asked("tgtCcy", "quote_ccy" if self.side == "buy" else "base_ccy") == "quote_ccy"

    @property
    def reduce_only(self) -> bool:
        """Was it sent as reduce-only?"""
        return self.asked("reduceOnly", "false").lower() == "true"

    @property
    def closes(self) -> bool:
        """Does it close by construction: long/short mode, selling a long or buying a short?"""
        return (self.side, self.asked("posSide")) in {("sell", "long"), ("buy", "short")}

    @property
    def average(self) -> Decimal | None:
        """Average fill price."""
        return self.value / self.filled if self.filled else None

    def row(self) -> Row:
        """Return the row of ``/trade/order`` and its lists."""
        swap = self.instrument.is_swap
        copied = ("ccy", "clOrdId", "ordType", "side", "tag", "tdMode", "tgtCcy")
        row = same(ORDER_BLANK) | {name: self.asked(name) for name in copied} | self._last_fill()
        return row | {
            "accFillSz": text(self.filled),
            "algoClOrdId": self.algo_client_id,
            "algoId": self.algo_id,
            "attachAlgoOrds": self.attached,
            "avgPx": short(self.average),
            "cTime": str(self.created_ms),
            "cancelSource": self.cancel_source,
            "cancelSourceReason": self.cancel_reason,
            "category": self.category,
            "fee": text(self.fee),
            "feeCcy": self.fee_currency
            or (self.instrument.settle if swap or self.side == "sell" else self.instrument.base),
            "instId": self.instrument.inst_id,
            "instType": self.instrument.inst_type,
            "isTpLimit": "false",
            "lever": text(self.lever) if swap else "",
            "linkedAlgoOrd": {"algoId": self.algo_id},
            "ordId": self.ord_id,
            "pnl": text(self.pnl),
            "posSide": self.asked("posSide", "net"),
            "px": text(self.price),
            "rebate": "0",
            "rebateCcy": self.instrument.quote,
            "reduceOnly": "true" if self.reduce_only else "false",
            "source": self.source,
            "state": self.state,
            "stpMode": self.asked("stpMode", "cancel_maker"),
            "sz": text(self.size),
            "tradeQuoteCcy": self.instrument.quote,
            "uTime": str(self.updated_ms),
        }

    def _last_fill(self) -> Row:
        last = self.fills[-1] if self.fills else None
        return {
            "fillPx": text(last.price) if last else "",
            "fillSz": text(last.size) if last else "0",
            "fillTime": str(last.ts_ms) if last else "",
            "tradeId": last.trade_id if last else "",
        }

    def push_row(self, fill: Fill | None = None, **extra: str) -> Row:
        """Return the row of the ``orders`` channel: with this fill's own numbers, or none."""
        fill_values = {
            "execType": fill.exec_type if fill else "",
            "fillFee": text(fill.fee) if fill else "0",
            "fillFeeCcy": fill.fee_currency if fill else "",
            "fillNotionalUsd": text(self.instrument.notional(fill.size, fill.price)) if fill else "",
            "fillPnl": text(fill.pnl) if fill else "0",
            "fillPx": text(fill.price) if fill else "",
            "fillSz": text(fill.size) if fill else "0",
            "fillTime": str(fill.ts_ms) if fill else "",
            "tradeId": fill.trade_id if fill else "",
        }
        blank = ("fillFwdPx", "fillMarkPx", "fillMarkVol", "fillPxUsd", "fillPxVol", "fillIdxPx", "lastPx")
        notional = self.instrument.notional(self.size, self.price or self.average or ZERO)
        rest = {
            "amendResult": "",
            "amendSource": "",
            "code": "0",
            "msg": "",
            "reqId": "",
            "notionalUsd": text(notional),
        }
        return self.row() | dict.fromkeys(blank, "") | rest | fill_values | extra

    def fill_row(self, fill: Fill) -> Row:
        """Return the row of ``/trade/fills``."""
        row: Row = dict.fromkeys(("fillPxVol", "fillPxUsd", "fillMarkVol", "fillFwdPx", "fillIdxPx", "fillMarkPx"), "")
        return row | {
            "billId": fill.bill_id,
            "clOrdId": self.asked("clOrdId"),
            "execType": fill.exec_type,
            "fee": text(fill.fee),
            "feeCcy": fill.fee_currency,
            "feeRate": "",
            "fillPnl": text(fill.pnl),
            "fillPx": text(fill.price),
            "fillSz": text(fill.size),
            "fillTime": str(fill.ts_ms),
            "instId": self.instrument.inst_id,
            "instType": self.instrument.inst_type,
            "ordId": self.ord_id,
            "posSide": self.asked("posSide", "net"),
            "side": self.side,
            "subType": "",
            "tag": self.asked("tag"),
            "tradeId": fill.trade_id,
            "tradeQuoteCcy": self.instrument.quote,
            "ts": str(fill.ts_ms),
        }


@dataclass(slots=True)
class Algo:
    """An algo order: conditional, oco, trigger or move_order_stop."""

    algo_id: str
    instrument: Instrument
    request: dict[str, str]
    created_ms: int
    updated_ms: int
    lever: Decimal
    parent_id: str = ""
    state: str = "live"
    order_ids: list[str] = field(default_factory=list)
    actual_side: str = ""
    actual_size: Decimal = ZERO
    actual_price: Decimal | None = None
    triggered_ms: int = 0
    fail_code: str = ""
    extreme: Decimal | None = None
    rises: bool = False
    held_once: bool = False

    def asked(self, name: str, otherwise: str = "") -> str:
        """Return a field of the request."""
        return self.request.get(name) or otherwise

    @property
    def side(self) -> str:
        """buy or sell."""
        return self.asked("side")

    @property
    def is_open(self) -> bool:
        """Can it still trigger?"""
        return self.state in ALGO_OPEN

    @property
    def closes_all(self) -> bool:
        """Does it close whatever is held?"""
        return self.asked("closeFraction") == "1"

    def row(self, last: Decimal) -> Row:
        """Return the row of ``/trade/order-algo`` and of its channel."""
        copied = (
            "activePx algoClOrdId callbackRatio callbackSpread ccy closeFraction ordType pxLimit pxSpread pxVar "
            "quickMgnType side slOrdPx slTriggerPx slTriggerPxType sz szLimit tag tdMode tgtCcy timeInterval tpOrdPx "
            "tpTriggerPx tpTriggerPxType triggerPx triggerPxType"
        )
        blank = ("chaseType", "chaseVal", "clOrdId", "isTradeBorrowMode", "maxChaseType", "maxChaseVal")
        row: Row = dict.fromkeys(blank, "") | {name: self.asked(name) for name in copied.split()}
        return row | {
            "actualPx": text(self.actual_price),
            "actualSide": self.actual_side,
            "actualSz": text(self.actual_size),
            "algoId": self.algo_id,
            "amendPxOnTriggerType": self.asked("amendPxOnTriggerType", "0"),
            "amendResult": "",
            "attachAlgoOrds": [],
            "cTime": str(self.created_ms),
            "failCode": self.fail_code,
            "instId": self.instrument.inst_id,
            "instType": self.instrument.inst_type,
            "last": text(last),
            "lever": text(self.lever) if self.instrument.is_swap else "",
            "linkedOrd": {"ordId": self.parent_id},
            "moveTriggerPx": text(self.extreme),
            "notionalUsd": "",
            "ordId": self.order_ids[-1] if self.order_ids else "",
            "ordIdList": list(self.order_ids),
            "ordPx": self.asked("orderPx"),
            "posSide": self.asked("posSide", "net"),
            "reduceOnly": self.asked("reduceOnly", "false").lower(),
            "reqId": "",
            "state": self.state,
            "tradeQuoteCcy": self.instrument.quote,
            "triggerTime": str(self.triggered_ms) if self.triggered_ms else "",
            "uTime": str(self.updated_ms),
        }
