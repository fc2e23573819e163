"""The account stage: which message moves what, and when equity is told anew.

Equity is emitted whenever it moved: fills, funding, flows, a released drawdown halt, a new UTC day, and marks (or last,
where it stands in) while a position is open. A flat account says nothing on ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from schemas.envelope import Event, Message
from schemas.events.account import CashFlowed, EquityChanged, FlowKind
from schemas.events.common import OrderPurpose, PriceSource
from schemas.events.control import SettingsChanged, TimerFired, TransferCash
from schemas.events.data import QualityChanged
from schemas.events.gateway import VenueCharged, VenueTransferred
from schemas.events.market import (
    BookTop,
    Channel,
    FeedStatus,
    InstrumentDefined,
    InstrumentKind,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.events.orders import (
    AccountSnapshot,
    EntryEnded,
    FillBooked,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    VenueFunding,
)
from schemas.events.plan import PlanProposed
from schemas.events.risk import LimitOverridden, PlanApproved, TradingStateChanged
from schemas.settings import TradingSettings
from schemas.values import Money
from streams.core.account import cash, records
from streams.core.account.equity import DAY, effective_mark, measure, mid_of
from streams.core.account.excursion import see_bar, see_mark, see_price
from streams.core.account.fills import FILLS_REMEMBERED, Settled, settle
from streams.core.account.market import (
    leaves_in_bar,
    stopped_in_entry_bar,
    take_bar,
    take_mark,
    take_quality,
    take_trade,
)
from streams.core.account.review import missed_entry
from streams.core.account.state import AccountState, Desk, View
from streams.core.stage import Stage
from streams.core.twin import twin

Events = Sequence[Event]
NOTHING: Events = ()


def decide(state: AccountState, message: Message) -> Events:
    """Return what the message does to the account; on a new UTC day at least the equity it starts with."""
    handler = _DECIDE.get(type(message.event))
    events = NOTHING if handler is None else handler(state, message.event, message)
    if message.now < state.next_day or not state.ready:
        return events
    if any(isinstance(event, EquityChanged) for event in events):
        return events
    return (*events, measure(state, message.now))


def evolve(state: AccountState, message: Message) -> AccountState:
    """Return the account after a message, or after one of its own events."""
    handler = _EVOLVE.get(type(message.event))
    return state if handler is None else handler(state, message.event, message)


# --- money: the books move, then equity is measured on them


def _decide_snapshot(state: AccountState, event: AccountSnapshot, message: Message) -> Events:
    if state.ready:
        return NOTHING
    after = cash.open_books(state, event)
    amount = Money(after.flows - state.flows)
    return (CashFlowed(event.account_id, FlowKind.INITIAL, amount), measure(after, message.now, flow=amount))


def _decide_transfer(state: AccountState, event: TransferCash, message: Message) -> Events:
    events = cash.transfer_events(state, event, message.envelope.event_id)
    after = cash.transfer(state, event)
    return events if after is state else (*events, measure(after, message.now, flow=event.amount))


def _decide_venue_transfer(state: AccountState, event: VenueTransferred, message: Message) -> Events:
    after, flow = cash.venue_transfer(state, event), event.amount
    return NOTHING if after is state else (cash.flow_of(event), measure(after, message.now, flow=flow))


def _decide_venue_charge(state: AccountState, event: VenueCharged, message: Message) -> Events:
    after = cash.venue_charge(state, event)
    return NOTHING if after is state else (cash.charge_of(event), measure(after, message.now))


def _decide_funding(state: AccountState, event: VenueFunding, message: Message) -> Events:
    after = cash.fund(state, event)
    if after is state:
        return NOTHING
    return (*cash.funding_events(after, event), *_measured(after, message.now))


def _decide_fill(state: AccountState, event: FillBooked, message: Message) -> Events:
    settled = settle(state, event, message.now)
    if settled is None:
        return NOTHING
    if _waits_for_exit(settled, event, message.now):
        return settled.events
    return (*settled.events, *_measured(settled.state, message.now))


def _waits_for_exit(settled: Settled, event: FillBooked, now: int) -> bool:
    """Say whether another fill of this very bar follows that closes more of the position (see ``leaves_in_bar``)."""
    desk = settled.state.desks[event.instrument_id]
    bar = desk.view.bar
    if desk.position is None or bar is None or not _at_last(desk.view, now):
        return False
    if leaves_in_bar(desk, bar, now, own_order=event.client_order_id):
        return True
    return event.purpose is OrderPurpose.ENTRY and stopped_in_entry_bar(desk, bar, now)


def _evolve_fill(state: AccountState, event: FillBooked, message: Message) -> AccountState:
    settled = settle(state, event, message.now)
    if settled is None:
        return state
    ids = settled.state.fill_ids
    ids[event.fill_id] = message.now
    if len(ids) > FILLS_REMEMBERED:
        del ids[next(iter(ids))]
    return settled.state


def _measured(after: AccountState, now: int) -> Events:
    return (measure(after, now),) if after.ready else NOTHING


def _decide_trading_state(state: AccountState, event: TradingStateChanged, message: Message) -> Events:
    return (measure(state, message.now, reset_peak=True),) if event.peak_reset and state.ready else NOTHING


def _evolve_equity(state: AccountState, event: EquityChanged, message: Message) -> AccountState:
    state.equity, state.peak, state.day_start = event.equity, event.peak_equity, event.day_start_equity
    if message.now >= state.next_day:
        state.next_day = (message.now // DAY + 1) * DAY
    return state


def _decide_entry_ended(state: AccountState, event: EntryEnded, message: Message) -> Events:
    """Say what an entry missed that ended without a fill."""
    desk = state.desks.get(event.instrument_id)
    plan = None if desk is None else desk.plans.get(event.plan_id)
    if desk is None or plan is None or event.filled_quantity:
        return NOTHING
    return (missed_entry(event, plan, mid_of(desk.view)),)


# --- market: prices move in place; with a position open they move equity


def _decide_trade(state: AccountState, event: Trade, message: Message) -> Events:
    desk = state.desks.get(event.instrument_id)
    if desk is None or desk.position is None or (not desk.position.spot and not _at_last(desk.view, message.now)):
        return NOTHING
    view = twin(desk.view)
    take_trade(view, event, message.envelope.ts_event)
    return _revalued(state, desk, view, message.now)


def _evolve_trade(state: AccountState, event: Trade, message: Message) -> AccountState:
    desk = _desk(state, event.instrument_id)
    take_trade(desk.view, event, message.envelope.ts_event)
    if desk.position is not None:
        see_price(desk.track, event.last_price)
    return state


def _evolve_quote(state: AccountState, event: Quote, message: Message) -> AccountState:
    view = _desk(state, event.instrument_id).view
    view.bid, view.ask = event.bid_price, event.ask_price
    return state


def _evolve_book(state: AccountState, event: BookTop, message: Message) -> AccountState:
    view = _desk(state, event.instrument_id).view
    view.bid = event.bids[0].price if event.bids else None
    view.ask = event.asks[0].price if event.asks else None
    return state


def _decide_mark(state: AccountState, event: MarkPrice, message: Message) -> Events:
    desk = state.desks.get(event.instrument_id)
    if desk is None or desk.position is None or desk.position.spot:
        return NOTHING
    view = twin(desk.view)
    take_mark(view, event, message.envelope.ts_event, message.now)
    return _revalued(state, desk, view, message.now)


def _evolve_mark(state: AccountState, event: MarkPrice, message: Message) -> AccountState:
    desk = _desk(state, event.instrument_id)
    take_mark(desk.view, event, message.envelope.ts_event, message.now)
    if desk.position is not None:
        see_mark(desk.track, event.mark_price)
    return state


def _decide_bar(state: AccountState, event: VenueBar, message: Message) -> Events:
    desk = state.desks.get(event.instrument_id)
    if desk is None or desk.position is None or event.backfill:
        return NOTHING
    view = twin(desk.view)
    bar = take_bar(view, event, message.envelope.ts_event)
    if bar is None or (leaves_in_bar(desk, bar, message.now) and not desk.waiting):
        return NOTHING
    return _revalued(state, desk, view, message.now)


def _evolve_bar(state: AccountState, event: VenueBar, message: Message) -> AccountState:
    desk = _desk(state, event.instrument_id)
    bar = take_bar(desk.view, event, message.envelope.ts_event)
    if bar is not None and desk.position is not None:
        desk.waiting = leaves_in_bar(desk, bar, message.now)
        see_bar(desk.track, bar, desk.position.sign)
    return state


def _decide_quality(state: AccountState, event: QualityChanged, message: Message) -> Events:
    desk = state.desks.get(event.instrument_id)
    if desk is None or desk.position is None:
        return NOTHING
    view = twin(desk.view)
    take_quality(view, event)
    return _revalued(state, desk, view, message.now)


def _evolve_quality(state: AccountState, event: QualityChanged, message: Message) -> AccountState:
    take_quality(_desk(state, event.instrument_id).view, event)
    return state


def _revalued(state: AccountState, desk: Desk, view: View, now: int) -> Events:
    """Return the equity with an instrument seen as ``view``; nothing if it is what it was."""
    if not state.ready:
        return NOTHING
    event = measure(state, now, seen=(desk, view))
    return NOTHING if event.equity == state.equity else (event,)


def _at_last(view: View, now: int) -> bool:
    quoted = effective_mark(view, now)
    return quoted is None or quoted[1] is PriceSource.LAST


def _desk(state: AccountState, instrument_id: str) -> Desk:
    desk = state.desks.get(instrument_id)
    if desk is None:
        desk = state.desks[instrument_id] = Desk()
    return desk


# --- what the review needs of settings, instruments, plans and orders


def _evolve_settings(state: AccountState, event: SettingsChanged, message: Message) -> AccountState:
    settings = TradingSettings.from_values(event.values)
    state.account_id, state.slippage_buffer_pct = settings.account_id, settings.slippage_buffer_pct
    return state


def _evolve_override(state: AccountState, event: LimitOverridden, message: Message) -> AccountState:
    if event.name == "slippage_buffer_pct":
        state.slippage_buffer_pct = Decimal(event.value)
    return state


def _evolve_instrument(state: AccountState, event: InstrumentDefined, message: Message) -> AccountState:
    if event.kind is InstrumentKind.SPOT:
        _desk(state, event.instrument_id).view.min_quantity = event.min_quantity
    return state


def _evolve_feed(state: AccountState, event: FeedStatus, message: Message) -> AccountState:
    view = _desk(state, event.instrument_id).view
    if event.channel is Channel.MARK and event.cadence_us is not None:
        view.mark_cadence_us = event.cadence_us
    if event.channel in (Channel.QUOTES, Channel.BOOK) and event.state.is_down:
        view.bid, view.ask = None, None
    return state


def _evolve_proposal(state: AccountState, event: PlanProposed, message: Message) -> AccountState:
    if event.execute:
        records.note_proposal(_desk(state, event.instrument_id), event)
    return state


def _evolve_approval(state: AccountState, event: PlanApproved, message: Message) -> AccountState:
    records.note_approval(_desk(state, event.instrument_id), event)
    return state


def _evolve_intent(state: AccountState, event: OrderIntended, message: Message) -> AccountState:
    if event.plan_id:  # one without a plan closes what is not in these books
        records.note_intent(_desk(state, event.instrument_id), event, message.now)
    return state


def _evolve_accepted(state: AccountState, event: OrderAccepted, message: Message) -> AccountState:
    records.note_accepted(_desk(state, event.instrument_id), event)
    return state


def _evolve_amended(state: AccountState, event: OrderAmended, message: Message) -> AccountState:
    records.note_amended(_desk(state, event.instrument_id), event)
    return state


def _evolve_ended(
    state: AccountState, event: OrderCanceled | OrderExpired | OrderFilled | OrderRejected, message: Message
) -> AccountState:
    records.note_ended(_desk(state, event.instrument_id), event.client_order_id)
    return state


_DECIDE: dict[type[Event], Callable[[AccountState, Any, Message], Events]] = {
    Trade: _decide_trade,
    MarkPrice: _decide_mark,
    VenueBar: _decide_bar,
    QualityChanged: _decide_quality,
    AccountSnapshot: _decide_snapshot,
    FillBooked: _decide_fill,
    VenueFunding: _decide_funding,
    EntryEnded: _decide_entry_ended,
    TransferCash: _decide_transfer,
    VenueTransferred: _decide_venue_transfer,
    VenueCharged: _decide_venue_charge,
    TradingStateChanged: _decide_trading_state,
}

_EVOLVE: dict[type[Event], Callable[[AccountState, Any, Message], AccountState]] = {
    Quote: _evolve_quote,
    BookTop: _evolve_book,
    Trade: _evolve_trade,
    MarkPrice: _evolve_mark,
    VenueBar: _evolve_bar,
    QualityChanged: _evolve_quality,
    AccountSnapshot: lambda state, event, message: cash.open_books(state, event),
    FillBooked: _evolve_fill,
    VenueFunding: lambda state, event, message: cash.fund(state, event),
    TransferCash: lambda state, event, message: cash.transfer(state, event),
    VenueTransferred: lambda state, event, message: cash.venue_transfer(state, event),
    VenueCharged: lambda state, event, message: cash.venue_charge(state, event),
    EquityChanged: _evolve_equity,
    SettingsChanged: _evolve_settings,
    LimitOverridden: _evolve_override,
    InstrumentDefined: _evolve_instrument,
    FeedStatus: _evolve_feed,
    PlanProposed: _evolve_proposal,
    PlanApproved: _evolve_approval,
    OrderIntended: _evolve_intent,
    OrderAccepted: _evolve_accepted,
    OrderAmended: _evolve_amended,
    OrderCanceled: _evolve_ended,
    OrderExpired: _evolve_ended,
    OrderFilled: _evolve_ended,
    OrderRejected: _evolve_ended,
}

STAGE: Stage[AccountState] = Stage(
    name="account",
    takes=(
        *(kind for kind in _EVOLVE if kind is not EquityChanged),
        TradingStateChanged,
        EntryEnded,
        TimerFired,
    ),
    state_type=AccountState,
    initial=AccountState,
    decide=decide,
    evolve=evolve,
)
