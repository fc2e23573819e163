"""The account's books: cash, positions, margin and bills. Whatever moves a balance writes a bill, so balances = bills.

Signs are the venue's: a fee or funding is negative when the account pays. Isolated margin leaves the cash balance when
a position opens and comes back when it closes; profit, fees and funding go through cash in both margin modes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from tests.fakes.okx.clock import Clock
from tests.fakes.okx.instruments import Instrument
from tests.fakes.okx.numbers import ZERO, short, text
from tests.fakes.okx.push import Row

FEES = {"SWAP": (Decimal("-0.0002"), Decimal("-0.0005")), "SPOT": (Decimal("-0.0008"), Decimal("-0.001"))}
"""Maker and taker rate of tier Lv1 by instrument type, of fee group 1, in which the listed instruments are."""
DEAR_FEES = {"2": (Decimal("-0.001"), Decimal("-0.0015"))}
"""Rates of the fee groups of other instruments, of either type."""
TRADE, FUNDING, LIQUIDATION, ADL, TRANSFER = "2", "8", "5", "9", "1"
FUNDING_EXPENSE, FUNDING_INCOME = "173", "174"
OPEN_LONG, OPEN_SHORT, CLOSE_LONG, CLOSE_SHORT = "3", "4", "5", "6"
SPOT_BUY, SPOT_SELL = "1", "2"
FORCED = {
    "full_liquidation": (LIQUIDATION, "104", "105"),
    "partial_liquidation": (LIQUIDATION, "100", "101"),
    "adl": (ADL, "125", "126"),
}
"""Bill type and its subtypes for a long and a short closed by the venue."""
DEFAULT_LEVER = Decimal(3)
MARGIN_STEP = Decimal("1e-12")
POS_ID_KEPT_MS = 30 * 24 * 3600 * 1000
"""After this long without the position its id is given anew. Source: OKX v5, positions history."""


@dataclass(slots=True)
class Position:
    """One position. ``size`` is signed in net mode and positive in long/short mode, in contracts."""

    instrument: Instrument
    margin_mode: str
    side: str
    pos_id: str
    lever: Decimal
    created_ms: int
    size: Decimal = ZERO
    average: Decimal = ZERO
    margin: Decimal = ZERO
    pnl: Decimal = ZERO
    fee: Decimal = ZERO
    funding: Decimal = ZERO
    penalty: Decimal = ZERO
    updated_ms: int = 0
    trade_id: str = ""
    biggest: Decimal = ZERO
    closed_size: Decimal = ZERO
    closed_value: Decimal = ZERO

    @property
    def direction(self) -> int:
        """+1 long, -1 short, 0 flat."""
        sign = (self.size > 0) - (self.size < 0)
        return -sign if self.side == "short" else sign

    @property
    def realized(self) -> Decimal:
        """``realizedPnl``: everything that reached cash because of this position."""
        return self.pnl + self.fee + self.funding + self.penalty

    def profit(self, size: Decimal, price: Decimal) -> Decimal:
        """Return what closing ``size`` contracts at ``price`` earns, without fees."""
        return self.instrument.notional(size, price - self.average) * self.direction

    def initial_margin(self, mark: Decimal) -> Decimal:
        """Return the margin it ties up: notional at mark over leverage; isolated: what was put in."""
        if self.margin_mode == "isolated":
            return self.margin
        return self.instrument.notional(abs(self.size), mark) / self.lever


@dataclass(slots=True)
class Change:
    """What one booking did, for the bill and the fill's row."""

    pnl: Decimal = ZERO
    fee: Decimal = ZERO
    fee_currency: str = ""
    margin: Decimal = ZERO
    sub_type: str = ""
    position: Position | None = None


@dataclass(slots=True)
class Account:
    """Cash by currency, positions by (instrument, margin mode, side), leverage settings, bills newest last."""

    clock: Clock
    uid: str = "77982378738415879"
    level: str = "2"
    position_mode: str = "net_mode"
    fees: dict[str, tuple[Decimal, Decimal]] = field(default_factory=lambda: dict(FEES))
    other_fees: dict[str, tuple[Decimal, Decimal]] = field(default_factory=lambda: dict(DEAR_FEES))
    cash: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str, str], Position] = field(default_factory=dict)
    closed_positions: list[Row] = field(default_factory=list)
    last_closed: dict[tuple[str, str, str], Position] = field(default_factory=dict)
    leverage: dict[tuple[str, str, str], Decimal] = field(default_factory=dict)
    bills: list[Row] = field(default_factory=list)
    _serial: int = 0

    def transfer(self, currency: str, amount: str) -> None:
        """Move coins in (positive) or out (negative), as from the funding account."""
        self._write_bill(TRANSFER, "11" if Decimal(amount) >= 0 else "12", currency, Decimal(amount))

    def charge(self, currency: str, amount: str, kind: str, sub_type: str, order: Row | None = None) -> None:
        """Book a line of any type that no trade explains."""
        self._write_bill(kind, sub_type, currency, Decimal(amount), order)

    def lever(self, inst_id: str, margin_mode: str, side: str) -> Decimal:
        """Return the leverage in force."""
        return self.leverage.get((inst_id, margin_mode, side), DEFAULT_LEVER)

    def relever(self, inst_id: str, margin_mode: str, side: str, lever: Decimal) -> None:
        """Put an open position on another leverage; isolated margin is made up or released through cash."""
        held = self.positions.get((inst_id, margin_mode, side))
        if held is None:
            return
        held.lever = lever
        if margin_mode == "isolated":
            needed = (held.instrument.notional(abs(held.size), held.average) / lever).quantize(MARGIN_STEP)
            moved, held.margin = needed - held.margin, needed
            order: Row = {"instId": inst_id, "instType": "SWAP", "tdMode": margin_mode}
            changed = {"posBal": text(held.margin), "posBalChg": text(moved)}
            self._write_bill("6", "160" if moved > 0 else "161", held.instrument.settle, -moved, order, changed)

    def position(self, inst_id: str, margin_mode: str, side: str) -> Position | None:
        """Return the open position, None if flat."""
        return self.positions.get((inst_id, margin_mode, side))

    def open_positions(self, inst_id: str = "") -> list[Position]:
        """Return the open positions, all or of one instrument."""
        return [held for held in self.positions.values() if not inst_id or held.instrument.inst_id == inst_id]

    # --- bookings

    def book_swap(self, order: Row, instrument: Instrument, size: Decimal, price: Decimal, fee_rate: Decimal) -> Change:
        """Book a fill of a perpetual; ``order`` names margin mode, sides and category as on the wire."""
        mode, side, buy = str(order["tdMode"]), str(order["posSide"]), order["side"] == "buy"
        key = (instrument.inst_id, mode, side)
        held = self.positions.get(key)
        if held is None:
            now, last = self.clock.now_ms(), self.last_closed.get(key)
            pos_id = last.pos_id if last and now - last.updated_ms < POS_ID_KEPT_MS else self._next_id()
            held = Position(instrument, mode, side, pos_id, self.lever(*key), now)
            self.positions[key] = held
        towards = 1 if buy else -1
        closing = min(size, abs(held.size)) if held.direction == -towards else ZERO
        change = Change(fee_currency=instrument.settle, position=held)
        change.fee = instrument.notional(size, price) * fee_rate
        if closing:
            self._close(held, closing, price, change)
        if size > closing:
            self._open(held, size - closing, price, towards, change)
        held.fee += change.fee
        self._finish(held, order, change, size, price)
        if not held.size:
            self._archive(held, key)
        return change

    def book_spot(self, order: Row, instrument: Instrument, size: Decimal, price: Decimal, fee_rate: Decimal) -> Change:
        """Book a spot fill; a buy pays its fee in base coin, a sell in quote coin."""
        value, buy = size * price, order["side"] == "buy"
        got, gave = (instrument.base, instrument.quote) if buy else (instrument.quote, instrument.base)
        received, paid = (size, value) if buy else (value, size)
        change = Change(fee=received * fee_rate, fee_currency=got, sub_type=SPOT_BUY if buy else SPOT_SELL)
        details = {"sz": text(size), "px": text(price)}
        self._write_bill(TRADE, change.sub_type, gave, -paid, order, details)
        self._write_bill(TRADE, change.sub_type, got, received + change.fee, order, details | {"fee": text(change.fee)})
        return change

    def fees_of(self, instrument: Instrument) -> tuple[Decimal, Decimal]:
        """Return maker and taker rate of an instrument's fee group."""
        return self.other_fees.get(instrument.group, self.fees[instrument.inst_type])

    def book_funding(self, held: Position, mark: Decimal, rate: Decimal) -> Decimal:
        """Charge or pay funding: a long pays a positive rate. Returns the cash change."""
        amount = -held.instrument.notional(abs(held.size), mark) * rate * held.direction
        held.funding += amount
        kind = FUNDING_INCOME if amount >= 0 else FUNDING_EXPENSE
        order: Row = {"instId": held.instrument.inst_id, "instType": "SWAP", "tdMode": held.margin_mode}
        details = {"sz": text(abs(held.size)), "px": text(mark), "pnl": text(amount)}
        self._write_bill(FUNDING, kind, held.instrument.settle, amount, order, details)
        return amount

    def book_penalty(self, held: Position, order: Row, amount: Decimal) -> None:
        """Charge the liquidation fee (``amount`` positive) of a position the venue closes."""
        held.penalty -= amount
        kinds = FORCED["full_liquidation"]
        sub_type = kinds[1] if held.direction > 0 else kinds[2]
        self._write_bill(kinds[0], sub_type, held.instrument.settle, -amount, order, {"pnl": text(-amount)})

    def _close(self, held: Position, size: Decimal, price: Decimal, change: Change) -> None:
        change.pnl = held.profit(size, price)
        change.sub_type = CLOSE_LONG if held.direction > 0 else CLOSE_SHORT
        released = (held.margin * size / abs(held.size)).quantize(MARGIN_STEP)
        held.margin -= released
        change.margin -= released
        held.pnl += change.pnl
        held.closed_size += size
        held.closed_value += size * price
        held.size -= size if held.size > 0 else -size

    def _open(self, held: Position, size: Decimal, price: Decimal, towards: int, change: Change) -> None:
        before = abs(held.size)
        held.average = (held.average * before + price * size) / (before + size)
        held.size += size * (towards if held.side == "net" else 1)
        change.sub_type = change.sub_type or (OPEN_LONG if towards > 0 else OPEN_SHORT)
        if held.margin_mode == "isolated":
            margin = (held.instrument.notional(size, price) / held.lever).quantize(MARGIN_STEP)
            held.margin += margin
            change.margin += margin

    def _finish(self, held: Position, order: Row, change: Change, size: Decimal, price: Decimal) -> None:
        held.updated_ms = self.clock.now_ms()
        held.biggest = max(held.biggest, abs(held.size))
        forced = FORCED.get(str(order.get("category")))
        kind, sub_type = TRADE, change.sub_type
        if forced:
            kind, sub_type = forced[0], forced[1] if sub_type == CLOSE_LONG else forced[2]
        details = {
            "sz": text(size),
            "px": text(price),
            "pnl": text(change.pnl),
            "fee": text(change.fee),
            "posBal": text(held.margin),
            "posBalChg": text(change.margin),
        }
        moved = change.pnl + change.fee - change.margin
        self._write_bill(kind, sub_type, held.instrument.settle, moved, order, details)

    def _archive(self, held: Position, key: tuple[str, str, str]) -> None:
        self.last_closed[key] = self.positions.pop(key)
        self.closed_positions.append(
            {
                "cTime": str(held.created_ms),
                "ccy": held.instrument.settle,
                "closeAvgPx": short(held.closed_value / held.closed_size),
                "closeTotalPos": text(held.closed_size),
                "direction": "short" if held.side == "short" else "long",
                "fee": text(held.fee),
                "fundingFee": text(held.funding),
                "instId": held.instrument.inst_id,
                "instType": "SWAP",
                "lever": text(held.lever),
                "liqPenalty": text(held.penalty),
                "mgnMode": held.margin_mode,
                "openAvgPx": short(held.average),
                "openMaxPos": text(held.biggest),
                "pnl": text(held.pnl),
                "pnlRatio": "0",
                "posId": held.pos_id,
                "posSide": held.side,
                "realizedPnl": text(held.realized),
                "settledPnl": "",
                "triggerPx": "",
                "type": "2",
                "uTime": str(held.updated_ms),
                "uly": held.instrument.family,
            }
        )

    # --- bills

    def _write_bill(
        self,
        kind: str,
        sub_type: str,
        currency: str,
        amount: Decimal,
        order: Row | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        balance = self.cash.get(currency, ZERO) + amount
        self.cash[currency] = balance
        source = order or {}
        now = str(self.clock.now_ms())
        empty = ("from", "to", "notes", "interest", "fillIdxPx", "fillMarkPx", "fillPxVol", "fillPxUsd", "fillMarkVol")
        row: Row = dict.fromkeys((*empty, "fillFwdPx", "earnAmt", "earnApr"), "")
        row |= {
            name: str(source.get(name, "")) for name in ("instId", "instType", "ordId", "clOrdId", "tag", "tradeId")
        }
        row |= {
            "bal": text(balance),
            "balChg": text(amount),
            "billId": self._next_id(),
            "ccy": currency,
            "execType": str(source.get("execType", "")),
            "fee": "0",
            "fillTime": now,
            "interest": "0",
            "mgnMode": str(source.get("tdMode", "")),
            "pnl": "0",
            "posBal": "0",
            "posBalChg": "0",
            "px": "",
            "subType": sub_type,
            "sz": text(abs(amount)),
            "ts": now,
            "type": kind,
        }
        self.bills.append(row | (details or {}))

    def _next_id(self) -> str:
        self._serial += 1
        return str(1_800_000_000_000_000_000 + self._serial)
