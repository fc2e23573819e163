"""One gateway's orders at work: every action is a coroutine that asks the venue and puts the answer on the log.

The order of things inside an action is the protocol: the attempt is accepted by the log before the send, fills are
reported before the end of their order. Any number of actions may run at once, one for an order; appends are not
awaited, so that no two of them interleave. Nothing here sleeps or knows an event loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.common import NotSentReason, Repair
from schemas.events.gateway import DifferenceFound
from schemas.events.market import InstrumentDefined
from schemas.events.orders import AmendIntended, NotSent, VenueAccepted, VenueCanceled
from schemas.values import SECOND, Micros, Price, Quantity, plain
from services.gateways.okx import protocol
from services.gateways.okx.counters import GatewayCounters
from services.gateways.okx.facts import Category, VenueExecution, VenueOrder
from services.gateways.okx.owner import ORDERS, Owner, ReportsTopic, read_intents
from services.gateways.okx.protocol import Need, need_of
from services.gateways.okx.tracked import Orders, Pace, Phase, Tracked
from services.gateways.okx.venue import (
    SEND_DEADLINE_US,
    Outcome,
    Refused,
    VenueClient,
    VenueUnavailable,
    is_algo,
)
from streams.log.base import EventLog
from streams.reader import SeqReader

FILLS_OVERLAP_US = 60 * SECOND
"""How far before the oldest moment of interest fills are asked for: clocks differ, and repeats are dropped."""
LATE_US = 10 * SECOND
"""What the venue has had for longer than this, and the log has not, is a difference: it is told, then reported."""
FORCED = frozenset({Category.LIQUIDATION, Category.ADL})
Instruments = Callable[[str], InstrumentDefined | None]


async def _as_they_are(instrument_id: str) -> None:
    """Leave an instrument's terms as they are known."""


class OrderDesk:
    """The orders of one shard and the one gateway that may act for them.

    ``open`` first; then, again and again, ``read`` and the coroutines of ``due``. GatewayStopped is its end. ``renew``:
    asks the venue for an instrument's terms again.
    """

    def __init__(
        self,
        log: EventLog,
        shard: int,
        client: VenueClient,
        owner: Owner,
        *,
        clock: Callable[[], int],
        instruments: Instruments,
        renew: Callable[[str], Awaitable[None]] = _as_they_are,
        counters: GatewayCounters | None = None,
    ) -> None:
        self.client = client
        self.clock = clock
        self.orders = Orders()
        self.reports = ReportsTopic(log, shard, owner, clock, self.orders.reported)
        self.intents = SeqReader(log, ORDERS, shard)
        self.instruments, self._renew = instruments, renew
        self.counters = counters or GatewayCounters()
        self.counters.watch(self.orders, self.reports.written, clock)
        self._actions: dict[Need, Callable[[Tracked], Coroutine[Any, Any, None]]] = {
            Need.SEND: self.send,
            Need.GIVE_UP: self.give_up,
            Need.LOOK: self.look,
            Need.CANCEL: self.cancel,
            Need.AMEND: self.amend,
        }

    def open(self) -> None:
        """Claim the reports and learn from the log where every order is. Raises GatewayStopped, OtherAccount."""
        self._learn(self.reports.end() - 1)  # first: what refuses us must not cost another gateway its hold
        self._learn(self.reports.claim())
        self.look_again()

    def _learn(self, end: int) -> None:
        """Take the reports up to ``end``, and before them the intents: every report follows its intent."""
        self.read()
        self.reports.take_up_to(end)

    def read(self) -> int:
        """Take new intents; return how many records counted."""
        return read_intents(self.intents, self.orders)

    def look_again(self) -> None:
        """Ask the venue for every order it should have: at the start, and after a time without its updates."""
        for order in self.orders.live():
            order.pace.look = order.phase is Phase.AT_VENUE

    def due(self) -> list[Coroutine[Any, Any, None]]:
        """Return the actions that are due now, each marked as under way: run every one of them to its end."""
        now = self.clock()
        found = [(order, need) for order in self.orders.live() if (need := need_of(order, now)) is not None]
        return [self._act(order, need) for order, need in found]

    def _act(self, order: Tracked, need: Need) -> Coroutine[Any, Any, None]:
        order.pace.busy = True
        return self._acting(order, need)

    async def _acting(self, order: Tracked, need: Need) -> None:
        try:
            await self._actions[need](order)
        finally:
            order.pace.busy = False

    # -- actions --------------------------------------------------------------------------------------------------

    async def send(self, order: Tracked) -> None:
        """Confirm the leverage an entry needs, log the attempt, send once, report the answer."""
        instrument = self.instruments(order.intent.instrument_id)
        if instrument is None:
            detail = f"{order.intent.instrument_id}: no such instrument at the venue"
            return self._say(order, [NotSent(*order.names, NotSentReason.UNSENDABLE, self.reports.claim_id, detail)])
        if protocol.sets_leverage(order.intent) and not await self._leverage(order):
            return None
        now = self.clock()
        if order.phase is Phase.OVER or order.cancel_reason is not None or protocol.is_too_late(order, now):
            return None  # meanwhile; what it needs now is another matter
        attempt = protocol.attempt_of(order, self.reports.claim_id, now)
        self._say(order, [attempt])
        order.pace.refused = False
        sent = protocol.as_sent(order, attempt)
        answer = await self._fitting(instrument, lambda terms: self.client.submit(sent, terms))
        self.counters.answered("submit", answer)
        return self._say(order, protocol.after_submit(order, answer, self.reports.claim_id, self.clock()))

    async def _fitting(
        self, instrument: InstrumentDefined, ask: Callable[[InstrumentDefined], Awaitable[Outcome]]
    ) -> Outcome:
        """Return the answer to a request; one that does not fit the terms known was not sent: they are asked anew."""
        answer = await ask(instrument)
        if not isinstance(answer, Refused) or answer.code != protocol.NOT_SENDABLE:
            return answer
        await self._renew(instrument.instrument_id)
        renewed = self.instruments(instrument.instrument_id)
        return answer if renewed is None or renewed == instrument else await ask(renewed)

    async def _leverage(self, order: Tracked) -> bool:
        intent = order.intent
        answer = await self.client.set_leverage(
            intent.instrument_id, intent.margin_mode, intent.margin_leverage, position_side=intent.position_side
        )
        self.counters.answered("leverage", answer)
        may, events = protocol.after_leverage(order, answer, self.reports.claim_id, self.clock())
        self._say(order, events)
        return may

    async def give_up(self, order: Tracked) -> None:
        """Say that an order was not sent."""
        self._say(order, [protocol.give_up(order, self.reports.claim_id, self.clock())])

    async def look(self, order: Tracked) -> None:
        """Ask the venue where an order is and report what that lets us say."""
        asked_at = self.clock()
        order.pace.not_before = asked_at + protocol.LOOK_US
        try:
            found = await self.client.find_order(
                order.intent.client_order_id, order.intent.instrument_id, is_algo=is_algo(order.intent)
            )
            unknown = found is None or found.filled_quantity > order.filled
            executions = await self.client.fills(self._since(order)) if unknown else ()
        except VenueUnavailable:
            return  # nobody knows yet
        if found is not None:
            self._show(order, found, protocol.terms_seen(order, found))
        for execution in protocol.of_order(executions, order):
            self._fill(order, execution)
        if found is None:
            self._miss(order, protocol.absent(order, asked_at, self.reports.claim_id))
        else:
            self._show(order, found, protocol.end_seen(order, found, self.clock()))

    def _since(self, order: Tracked) -> Micros:
        attempted = self.clock() if order.deadline is None else order.deadline - SEND_DEADLINE_US
        return Micros(attempted - FILLS_OVERLAP_US)

    async def cancel(self, order: Tracked) -> None:
        """Ask the venue to take an order away, then where it is."""
        answer = await self.client.cancel(order.intent)
        self.counters.answered("cancel", answer)
        protocol.after_change(order, answer, self.clock())
        await self.look(order)

    async def amend(self, order: Tracked) -> None:
        """Ask the venue to change an order to what is wanted now, then how it stands."""
        instrument = self.instruments(order.intent.instrument_id)
        if instrument is None:
            return
        change, asked = _change(order), order.amend_id
        answer = await self._fitting(instrument, lambda terms: self.client.amend(change, order.intent, terms))
        self.counters.answered("amend", answer)
        protocol.after_change(order, answer, self.clock())
        await self.look(order)
        if order.amend_id == asked:
            self._say(order, protocol.amend_refused(order, answer), causation_id=asked)

    # -- what the venue says by itself ----------------------------------------------------------------------------

    def seen(self, found: VenueOrder) -> None:
        """Report what the venue's view of an order of ours lets us say; of another's, nothing."""
        order = self._order(found.client_order_id)
        if order is not None:
            self._show(order, found, protocol.terms_seen(order, found))
            self._show(order, found, protocol.end_seen(order, found, self.clock()))

    def back(self, found: VenueOrder) -> None:
        """Take an order that the log holds to be over and the venue goes on showing: it is there, and not wanted."""
        order = self.orders.orders.get(found.client_order_id or "")
        if order is None or not protocol.is_back(order, found, self.clock()) or order.pace.back_since is None:
            return
        venue = _terms(found.status.value, found.quantity, found.trigger_price)
        self.differs(_subject(order), venue, _as_known(order), order.pace.back_since)
        order.pace = Pace()
        self._say(order, [VenueAccepted(*order.names, found.venue_order_id)])

    def fills(self, executions: Sequence[VenueExecution]) -> None:
        """Report the executions that were not reported yet.

        Not those of an order whose change is under way: its terms come first, so the venue is asked for both. Not those
        by force: ``forced.py`` tells them, with the penalty.
        """
        for execution in executions:
            if execution.category in FORCED:
                continue
            order = self._order(execution.client_order_id)
            if order is None or not order.amend_due:
                self._fill(order, execution)
            else:
                order.pace.look, order.pace.not_before = True, 0

    def _order(self, client_order_id: str | None) -> Tracked | None:
        """Return an order of ours; None only if it is on the log nowhere: a successor may have sent what we did not
        read yet, and calling that somebody else's would be a false fact.
        """
        if client_order_id and client_order_id not in self.orders.orders:
            self.read()
        return self.orders.orders.get(client_order_id or "")

    def fill(self, execution: VenueExecution) -> None:
        """Report one execution as it is."""
        self._fill(self._order(execution.client_order_id), execution)

    def _fill(self, order: Tracked | None, execution: VenueExecution) -> None:
        if self.orders.knows(execution.instrument_id, execution.trade_id):
            return
        if self._is_late(execution.ts_event):
            what = f"{execution.side.value} {plain(execution.last_quantity)} at {plain(execution.last_price)}"
            subject = f"fill {execution.instrument_id} {execution.trade_id}"
            self.differs(subject, what, "none", execution.ts_event)
        event = protocol.fill_of(execution, order, self.reports.owner.account_id)
        if order is None:
            self.reports.report(event, ts_event=execution.ts_event)
        else:
            self._say(order, [event], ts_event=execution.ts_event)

    def differs(self, subject: str, venue: str, log: str, since: int, repair: Repair = Repair.GATEWAY) -> None:
        """Tell what the venue shows and the log should have had by now; its repair, if it has one, comes next."""
        account = self.reports.owner.account_id
        self.say(DifferenceFound(account, subject, venue, log, Micros(since), repair), ts_event=self.clock())

    def _is_late(self, moment: int) -> bool:
        return self.clock() - moment > LATE_US

    def _show(self, order: Tracked, found: VenueOrder, events: Sequence[Event]) -> None:
        """Report what the venue's view of an order lets us say."""
        if events and self._is_late(found.ts_updated):
            venue = _terms(found.status.value, found.quantity, found.trigger_price)
            self.differs(_subject(order), venue, _as_known(order), found.ts_updated)
        self._say(order, events, ts_event=found.ts_updated)

    def _miss(self, order: Tracked, events: Sequence[Event]) -> None:
        """Report what it lets us say that the venue does not know an order."""
        if any(isinstance(event, VenueCanceled) for event in events) and order.pace.absent_since is not None:
            self.differs(_subject(order), "none", _as_known(order), order.pace.absent_since)
        self._say(order, events)

    def say(self, event: Event, *, ts_event: int) -> None:
        """Report what is not about one order."""
        self.reports.report(event, ts_event=ts_event)

    def _say(
        self, order: Tracked, events: Sequence[Event], *, ts_event: int | None = None, causation_id: str = ""
    ) -> None:
        for event in events:
            self.reports.report(
                event,
                ts_event=self.clock() if ts_event is None else ts_event,
                causation_id=causation_id or order.intent_id,
                plan_id=order.intent.plan_id,
            )


def _subject(order: Tracked) -> str:
    return f"order {order.intent.client_order_id}"


def _as_known(order: Tracked) -> str:
    return _terms(order.phase.value, order.quantity, order.trigger_price)


def _terms(state: str, quantity: Decimal, trigger_price: Decimal | None) -> str:
    trigger = "" if trigger_price is None else f", trigger {plain(trigger_price)}"
    return f"{state} {plain(quantity)}{trigger}"


def _change(order: Tracked) -> AmendIntended:
    """Return the change from what is in force to what is wanted."""
    quantity = None if order.wanted_quantity == order.quantity else Quantity(order.wanted_quantity)
    moved = order.wanted_trigger is not None and order.wanted_trigger != order.trigger_price
    trigger = Price(order.wanted_trigger) if moved and order.wanted_trigger is not None else None
    return AmendIntended(
        order.intent.client_order_id,
        order.intent.plan_id,
        order.intent.account_id,
        order.intent.instrument_id,
        quantity,
        trigger,
        None,
    )
