"""Money that moves without a fill: the first snapshot, transfers, charges, funding. Pure; equity is measured after."""

from __future__ import annotations

from dataclasses import replace

from schemas.envelope import Event
from schemas.events.account import CashFlowed, ChargeBooked, FlowKind, FundingPaid
from schemas.events.control import CommandHandled, CommandOutcome, RefusalCode, TransferCash
from schemas.events.gateway import VenueCharged, VenueTransferred
from schemas.events.orders import AccountSnapshot, VenueFunding
from streams.core.account.fills import position_changed
from streams.core.account.ledger import pay_funding
from streams.core.account.state import ZERO, AccountState, Desk

BILLS_REMEMBERED = 100
"""Lines of the venue's ledger kept against repeats; it is read again with an hour's overlap."""


def open_books(state: AccountState, event: AccountSnapshot) -> AccountState:
    """Return the account with the cash of the first snapshot; a later one changes nothing (risk compares)."""
    if state.ready:
        return state
    flow = event.cash - state.cash
    return replace(state, account_id=event.account_id, ready=True, cash=event.cash, flows=state.flows + flow)


def transfer(state: AccountState, event: TransferCash) -> AccountState:
    """Return the account after a deposit or withdrawal; unchanged if it is refused."""
    if refusal(state, event):
        return state
    return replace(state, cash=state.cash + event.amount, flows=state.flows + event.amount)


def venue_transfer(state: AccountState, event: VenueTransferred) -> AccountState:
    """Return the account after money moved at the venue; unchanged before the books are open, or told before."""
    if not state.ready or event.bill_id in state.bills:
        return state
    return replace(
        state, cash=state.cash + event.amount, flows=state.flows + event.amount, bills=_with(state, event.bill_id)
    )


def venue_charge(state: AccountState, event: VenueCharged) -> AccountState:
    """Return the account after the venue charged or credited it outside of any trade: a result, unlike a transfer."""
    if not state.ready or event.bill_id in state.bills:
        return state
    unassigned = state.unassigned + event.amount
    return replace(state, cash=state.cash + event.amount, unassigned=unassigned, bills=_with(state, event.bill_id))


def _with(state: AccountState, bill_id: str) -> list[str]:
    return [*state.bills[1 - BILLS_REMEMBERED :], bill_id]


def charge_of(event: VenueCharged) -> ChargeBooked:
    """Return what a charge that was booked is told as."""
    return ChargeBooked(event.account_id, event.bill_id, event.venue_type, event.amount)


def flow_of(event: VenueTransferred) -> CashFlowed:
    """Return the flow that money moved at the venue is."""
    kind = FlowKind.DEPOSIT if event.amount > 0 else FlowKind.WITHDRAWAL
    return CashFlowed(event.account_id, kind, event.amount)


def refusal(state: AccountState, event: TransferCash) -> RefusalCode | None:
    """Return the code a transfer is refused with, or None."""
    if event.account_id != state.account_id:
        return RefusalCode.UNKNOWN_ACCOUNT
    if not state.ready:
        return RefusalCode.NOT_RECONCILED
    if event.amount == 0:
        return RefusalCode.AMOUNT_ZERO
    margin = sum((desk.position.margin for desk in state.desks.values() if desk.position is not None), ZERO)
    if event.amount < 0 and state.cash - margin + event.amount <= 0:
        return RefusalCode.CASH_INSUFFICIENT
    return None


def transfer_events(state: AccountState, event: TransferCash, command_id: str) -> tuple[Event, ...]:
    """Return the answer to a transfer command, which says the cash after it, and the flow if it is done."""
    code = refusal(state, event)
    outcome = CommandOutcome.REFUSED if code else CommandOutcome.DONE
    detail = f"amount={event.amount}, cash={transfer(state, event).cash}"
    if code is RefusalCode.UNKNOWN_ACCOUNT:
        detail = f"{event.account_id}: this shard's account is {state.account_id or 'none before the first settings'}"
    handled = CommandHandled(command_id, event.account_id, outcome, code, detail)
    if code:
        return (handled,)
    kind = FlowKind.DEPOSIT if event.amount > 0 else FlowKind.WITHDRAWAL
    return (CashFlowed(event.account_id, kind, event.amount), handled)


def fund(state: AccountState, event: VenueFunding) -> AccountState:
    """Return the account after a funding settlement; each settlement of an instrument counts once.

    Without an open trade the payment is still money that moved; it is kept apart from every trade.
    """
    desk = state.desks.get(event.instrument_id) or Desk()
    if event.ts_funding <= desk.funded_until:
        return state
    held = desk.position
    paid = replace(
        desk,
        position=None if held is None else pay_funding(held, event.payment),
        funded_until=event.ts_funding,
    )
    return replace(
        state,
        cash=state.cash + event.payment,
        unassigned=state.unassigned + (event.payment if held is None else ZERO),
        desks={**state.desks, event.instrument_id: paid},
    )


def funding_events(after: AccountState, event: VenueFunding) -> tuple[Event, ...]:
    """Return what a settlement that was booked is told as; ``after`` has it in the books."""
    held = after.desks[event.instrument_id].position
    paid = FundingPaid(
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        plan_id="" if held is None else held.plan_id,
        trade_id="" if held is None else held.trade_id,
        payment=event.payment,
        funding_rate=event.funding_rate,
    )
    if held is None or not held.margin:
        return (paid,)
    return (paid, position_changed(event.account_id, event.instrument_id, held))
