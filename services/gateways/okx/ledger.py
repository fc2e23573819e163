"""The venue's ledger beside the log: its lines that are no fill become reports, and what nothing explains is told.

A line is explained by the fill, the settlement, the transfer, the penalty or the charge that is on the log for it. What
kind of money an unknown line is, is never guessed: it is told, and shows in the cash until a person has booked it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from schemas.events.common import Repair
from schemas.events.gateway import VenueCharged, VenueTransferred
from schemas.events.orders import VenueFunding
from schemas.values import SECOND, Micros, Price, Quantity, Rate, money, plain
from services.gateways.okx.desk import FILLS_OVERLAP_US, LATE_US, OrderDesk
from services.gateways.okx.facts import BillKind, ClosedPosition, VenueBill, VenueHolding
from services.gateways.okx.venue import VenueUnavailable

_log = structlog.get_logger("tapeline.gateway.okx.trading")
SETTLEMENT_CURRENCY = "USDT"
LINE_LATE_US = 120 * SECOND
"""A line is read once a reconciliation; one that is older than several was missed, and that is told."""
FEE_TOLD = Decimal("0.000001")
"""A fee that differs by more from the fill's is told: what is below is rounding."""
CLOSED_TOLD = Decimal("0.01")
"""A closed position whose parts differ by more from its whole is told."""
FILLED = (BillKind.TRADE, BillKind.LIQUIDATION, BillKind.ADL)
ZERO = Decimal(0)
FeeKey = tuple[str | None, str | None, str]
"""Instrument, trade, currency."""


class Ledger:
    """Compares the ledger of one desk's account with its reports. Raises GatewayStopped, VenueUnavailable."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk
        self._summed_until = 0
        self._holdings: Sequence[VenueHolding] = ()
        self._fees: dict[FeeKey, Decimal] = {}
        self._take: dict[BillKind, Callable[[VenueBill], None]] = {
            BillKind.FUNDING: self._funding,
            **dict.fromkeys(FILLED, self._traded),
            BillKind.TRANSFER: self._transfer,
            BillKind.INTEREST: self._charge,
            BillKind.CLAWBACK: self._charge,
        }

    async def read(self, since: Micros) -> Sequence[VenueBill]:
        """Return the lines since a moment that moved money, oldest first: margin to a position and back moves none."""
        return [bill for bill in await self._desk.client.bills(since) if bill.amount]

    def missing_since(self, bills: Sequence[VenueBill]) -> int | None:
        """Return the moment of the first line whose fill is not on the log; None: all are, or were told."""
        orders = self._desk.orders
        missing = (
            bill.ts_event
            for bill in bills
            if bill.kind in FILLED
            and _names_trade(bill)
            and not orders.knows(bill.instrument_id or "", bill.trade_id or "")
            and _subject(bill) not in orders.told
        )
        return min(missing, default=None)

    async def take(self, bills: Sequence[VenueBill]) -> None:
        """Report what the lines say and the log does not have; fills come before, by themselves."""
        self._holdings = ()
        if any(bill.kind is BillKind.FUNDING for bill in bills):
            self._holdings = await self._desk.client.positions()
        self._fees = _fees_of(bills)
        for bill in bills:
            self._take.get(bill.kind, self._unknown)(bill)
        await self._closed(bills)

    def _funding(self, bill: VenueBill) -> None:
        desk = self._desk
        if bill.instrument_id is None or bill.ts_event <= desk.orders.funded_until.get(bill.instrument_id, 0):
            return
        if self._counts(bill):
            settled = datetime.fromtimestamp(bill.ts_event / SECOND, UTC).isoformat(timespec="seconds")
            self._missed(f"funding {bill.instrument_id} {settled}", bill)
            desk.say(funding_of(bill, self._holdings, desk), ts_event=bill.ts_event)

    def _transfer(self, bill: VenueBill) -> None:
        desk = self._desk
        if self._counts(bill) and bill.bill_id not in desk.orders.bills:
            self._missed(f"transfer {bill.bill_id}", bill)
            event = VenueTransferred(desk.reports.owner.account_id, bill.bill_id, bill.currency, money(bill.amount))
            desk.say(event, ts_event=bill.ts_event)

    def _charge(self, bill: VenueBill) -> None:
        desk = self._desk
        if self._counts(bill) and bill.bill_id not in desk.orders.bills:
            self._missed(f"charge {bill.bill_id}", bill)
            what = (bill.bill_id, bill.venue_type, bill.instrument_id or "", bill.currency, money(bill.amount))
            desk.say(VenueCharged(desk.reports.owner.account_id, *what), ts_event=bill.ts_event)

    def _counts(self, bill: VenueBill) -> bool:
        """Whether a line is in the currency the books are in; one in another is told."""
        ours = bill.currency == SETTLEMENT_CURRENCY
        if not ours:
            self._unexplained(bill, f"counts {SETTLEMENT_CURRENCY} only")
        return ours

    def _traded(self, bill: VenueBill) -> None:
        """Look for the fill, or the penalty beside it, that a line is about."""
        orders, name = self._desk.orders, bill.instrument_id or ""
        if not _names_trade(bill):
            forced = orders.penalties.get(name, ())
            if not any(abs(moment - bill.ts_event) <= FILLS_OVERLAP_US for moment, _ in forced):
                self._unless_new(bill, "no fill, no penalty")
        elif (known := orders.fee_of(name, bill.trade_id or "")) is None:
            self._unless_new(bill, "no such fill")
        elif bill.fee and bill.currency == known[1] and abs(self._fees[_fee_key(bill)] - known[0]) > FEE_TOLD:
            self._unexplained(bill, f"fee {plain(known[0])}")

    def _unknown(self, bill: VenueBill) -> None:
        self._unexplained(bill, "a kind of line it does not know")

    def _unless_new(self, bill: VenueBill, log: str) -> None:
        """Call a line unexplained, unless the fill may still be on its way to us."""
        if self._desk.clock() - bill.ts_event > LATE_US:
            self._unexplained(bill, log)

    def _unexplained(self, bill: VenueBill, log: str) -> None:
        self._once(_subject(bill), _words(bill), log, bill.ts_event)

    def _once(self, subject: str, venue: str, log: str, since: int) -> None:
        if subject not in self._desk.orders.told:
            self._desk.differs(subject, venue, log, since, Repair.NONE)

    def _missed(self, subject: str, bill: VenueBill) -> None:
        if self._desk.clock() - bill.ts_event > LINE_LATE_US:
            self._desk.differs(subject, _words(bill), "none", bill.ts_event)

    async def _closed(self, bills: Sequence[VenueBill]) -> None:
        """Look whether the parts of every position closed since the last time make up its whole, by OKX's own sum.

        Only a check beside the books: where the venue gives no answer it waits for the next time.
        """
        desk = self._desk
        before = desk.clock() - LATE_US  # what was closed just now may not be in the venue's books yet
        ends = [b.ts_event for b in bills if b.kind in FILLED and b.pnl and self._summed_until < b.ts_event <= before]
        if not ends:
            return
        try:
            positions = await desk.client.closed_positions(Micros(min(ends) - FILLS_OVERLAP_US))
        except VenueUnavailable as error:
            _log.warning("closed positions not compared", detail=str(error))
            return
        for closed in positions:
            if abs(closed.unexplained) > CLOSED_TOLD:  # the venue gives the next position of an instrument the same id
                subject = f"closed {closed.position_id} {closed.ts_updated // 1000}"
                self._once(subject, *_sum_of(closed), closed.ts_updated)
        self._summed_until = max(ends)


def _names_trade(bill: VenueBill) -> bool:
    return bill.trade_id is not None and bill.trade_id != "0"


def _subject(bill: VenueBill) -> str:
    return f"bill {bill.bill_id}"


def _fee_key(bill: VenueBill) -> FeeKey:
    return bill.instrument_id, bill.trade_id, bill.currency


def _fees_of(bills: Sequence[VenueBill]) -> dict[FeeKey, Decimal]:
    """Return the fee of every fill: one that closes a position and opens the other side has two lines."""
    fees: dict[FeeKey, Decimal] = {}
    for bill in bills:
        fees[_fee_key(bill)] = fees.get(_fee_key(bill), ZERO) + bill.fee
    return fees


def _words(bill: VenueBill) -> str:
    where = f" {bill.instrument_id}" if bill.instrument_id else ""
    fee = f", fee {plain(bill.fee)}" if bill.fee else ""
    return f"{bill.venue_type}{where} {plain(bill.amount)} {bill.currency}{fee}"


def _sum_of(closed: ClosedPosition) -> tuple[str, str]:
    whole = plain(closed.realized_pnl)
    return f"{closed.instrument_id} realized {whole}", f"its parts {plain(closed.realized_pnl - closed.unexplained)}"


def funding_of(bill: VenueBill, holdings: Sequence[VenueHolding], desk: OrderDesk) -> VenueFunding:
    """Return a line of the venue's ledger as a funding settlement; the rate is what payment and position imply.

    The line has no side: it is that of the position now held; where none is, a long's.
    """
    assert bill.instrument_id is not None
    instrument = desk.instruments(bill.instrument_id)
    held = next((each.quantity for each in holdings if each.instrument_id == bill.instrument_id), ZERO)
    quantity = -bill.quantity if held < 0 else bill.quantity
    mark = bill.price or Price(ZERO)
    value = ZERO if instrument is None else instrument.contract_value * instrument.contract_multiplier
    notional = quantity * value * mark
    rate = (-bill.amount / notional).quantize(Decimal(1).scaleb(-12)) if notional else ZERO
    return VenueFunding(
        account_id=desk.reports.owner.account_id,
        instrument_id=bill.instrument_id,
        payment=money(bill.amount),
        funding_rate=Rate(rate),
        mark_price=mark,
        position_quantity=Quantity(quantity),
        ts_funding=bill.ts_event,
    )
