"""The order protocol, decided without any I/O: what an order needs now, and what an answer lets us report.

An attempt is on the log before anything is sent. Once it is there the order is in doubt until the venue has answered
for it: it is asked, never sent again. "Not sent" is said only when the venue can no longer take what may still be under
way: past the deadline the request itself carried, plus a margin between clocks (kernel, section 7; ADR 21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

from schemas.envelope import Event
from schemas.events.common import MarginMode, NotSentReason
from schemas.events.gateway import SubmitInDoubt
from schemas.events.orders import (
    NotSent,
    OrderIntended,
    OrderOperation,
    SubmitAttempted,
    VenueAccepted,
    VenueAmended,
    VenueCanceled,
    VenueFill,
    VenueRejected,
)
from schemas.values import SECOND, Micros
from services.gateways.okx.facts import Category, OrderStatus, VenueExecution, VenueOrder
from services.gateways.okx.tracked import Phase, Tracked
from services.gateways.okx.venue import (
    SEND_DEADLINE_US,
    Accepted,
    InDoubt,
    LeverageSet,
    Outcome,
    Refused,
    is_algo,
)

CLOCK_MARGIN_US = 5 * SECOND
"""How far our clock and the venue's may be apart, and how long a request may take inside the venue."""
VANISHED_US = 10 * SECOND
"""How long queries must not know an order that the venue had, before it counts as taken away."""
BACK_US = 10 * SECOND
"""How long the venue must show an order that the log holds to be over, before it is believed to be there."""
LOOK_US = 1 * SECOND
"""Pause between two questions about one order."""
RETRIES_MAX = 12
"""Refusals for load in a row after which an entry is given up; the pauses before add up to about a minute."""
RETRY_US, RETRY_MAX_US = SECOND // 4, 8 * SECOND
"""First and longest pause after a refusal for load; each is twice the one before."""
PAST_VALID_UNTIL, NOT_SENDABLE = "PAST_VALID_UNTIL", "NOT_SENDABLE"
TOO_LATE = frozenset({PAST_VALID_UNTIL, "50036", "50037"})
"""Refused because this request came too late, here or at the venue: the order may be sent again while it is valid."""
EXPIRED = "EXPIRED"
"""The reason of a cancel, and the code of its report, that ends an entry because its time is over."""


class Need(StrEnum):
    """What an order needs."""

    SEND = "SEND"
    GIVE_UP = "GIVE_UP"  # say that it was not sent: nothing was, and nothing will be
    LOOK = "LOOK"  # ask the venue where it is
    CANCEL = "CANCEL"
    AMEND = "AMEND"


def need_of(order: Tracked, now: int) -> Need | None:
    """Return what an order needs now; None: nothing, or not yet."""
    pace = order.pace
    if pace.busy or now < pace.not_before or order.phase is Phase.OVER:
        return None
    if order.phase is Phase.FRESH or pace.refused:
        return Need.GIVE_UP if is_too_late(order, now) or order.cancel_reason is not None else Need.SEND
    if order.phase is Phase.ATTEMPTED or pace.look:
        return Need.LOOK
    if order.cancel_due:
        return Need.CANCEL
    return Need.AMEND if order.amend_due else None


def is_too_late(order: Tracked, now: int) -> bool:
    """Whether the time in which an order may be sent is over."""
    return order.intent.valid_until is not None and now >= order.intent.valid_until


def give_up(order: Tracked, claim_id: str, now: int) -> NotSent:
    """Say that an order was not sent: it is fresh, or refused for certain, and is not wanted any more."""
    reason = NotSentReason.EXPIRED if is_too_late(order, now) else NotSentReason.CANCELED
    return NotSent(*order.names, reason, claim_id)


def attempt_of(order: Tracked, claim_id: str, now: int) -> SubmitAttempted:
    """Return the attempt that must be on the log before the order is sent, with the deadline it must carry."""
    deadline = now + SEND_DEADLINE_US
    if order.intent.valid_until is not None:
        deadline = min(deadline, order.intent.valid_until)
    return SubmitAttempted(*order.names, claim_id, Micros(deadline))


def as_sent(order: Tracked, attempt: SubmitAttempted) -> OrderIntended:
    """Return the order as the client must send it: the venue refuses it past the attempt's deadline, which a successor
    reads from the log, not past one counted from whenever this process gets to it.
    """
    return replace(order.intent, valid_until=attempt.deadline)


def sets_leverage(order: OrderIntended) -> bool:
    """Whether the margin leverage must be confirmed before an order goes out. Source: domain definitions, 5."""
    return not order.reduce_only and order.margin_mode is not MarginMode.CASH


# --- answers


def after_leverage(
    order: Tracked, answer: LeverageSet | Refused | InDoubt, claim_id: str, now: int
) -> tuple[bool, list[Event]]:
    """Return whether the entry may go out, and what to report if it never may."""
    if isinstance(answer, LeverageSet) and answer.margin_leverage == order.intent.margin_leverage:
        return True, []
    if isinstance(answer, Refused) and not answer.retryable:
        return False, [NotSent(*order.names, NotSentReason.LEVERAGE, claim_id, f"{answer.code}: {answer.detail}")]
    slow_down(order, now)
    if order.pace.tries > RETRIES_MAX:
        detail = f"not confirmed after {RETRIES_MAX} tries: {answer}"
        return False, [NotSent(*order.names, NotSentReason.LEVERAGE, claim_id, detail)]
    return False, []


def after_submit(order: Tracked, answer: Outcome, claim_id: str, now: int) -> list[Event]:
    """Return what the answer to a send lets us report."""
    if isinstance(answer, Accepted):
        order.pace.tries = 0
        return [VenueAccepted(*order.names, answer.venue_order_id)] if order.phase is Phase.ATTEMPTED else []
    if isinstance(answer, InDoubt):
        return [SubmitInDoubt(*order.names, answer.reason)] if order.phase is Phase.ATTEMPTED else []
    if order.phase is not Phase.ATTEMPTED:
        return []  # an update said otherwise before: what the venue shows outweighs what it answered
    return _refused(order, answer, claim_id, now)


def _refused(order: Tracked, answer: Refused, claim_id: str, now: int) -> list[Event]:
    if answer.code == NOT_SENDABLE:
        return [NotSent(*order.names, NotSentReason.UNSENDABLE, claim_id, answer.detail)]
    if answer.code not in TOO_LATE and not answer.retryable:
        return [VenueRejected(*order.names, answer.code, answer.detail)]
    slow_down(order, now)
    if order.pace.tries > RETRIES_MAX and not order.intent.reduce_only:  # protection is not given up, only slowed down
        detail = f"refused {RETRIES_MAX} times for load: {answer.code}"
        return [NotSent(*order.names, NotSentReason.UNSENDABLE, claim_id, detail)]
    order.pace.refused = True
    return []


def after_change(order: Tracked, answer: Outcome, now: int) -> None:
    """Take the answer to an amendment or a cancel: whether it was done shows when the venue is asked."""
    order.pace.look = True
    if isinstance(answer, Refused) and answer.retryable:
        slow_down(order, now)
    else:
        order.pace.tries = 0


def amend_refused(order: Tracked, answer: Outcome) -> list[Event]:
    """Return the refusal of an amendment of an order that, asked for, is still there."""
    if not isinstance(answer, Refused) or answer.retryable or order.phase is not Phase.AT_VENUE or not order.amend_due:
        return []
    return [VenueRejected(*order.names, answer.code, answer.detail, OrderOperation.AMEND)]


def absent(order: Tracked, asked_at: int, claim_id: str) -> list[Event]:
    """Return what it lets us report that the venue, asked at ``asked_at``, does not know an order."""
    order.pace.not_before = asked_at + LOOK_US
    if order.phase is Phase.ATTEMPTED:
        if order.deadline is not None and asked_at <= order.deadline + CLOCK_MARGIN_US:
            return []  # it may still be under way
        expired = order.intent.valid_until is not None and asked_at > order.intent.valid_until
        reason = NotSentReason.EXPIRED if expired else NotSentReason.ABSENT
        return [NotSent(*order.names, reason, claim_id, "asked after its deadline")]
    if order.phase is not Phase.AT_VENUE:
        return []
    since = order.pace.absent_since = asked_at if order.pace.absent_since is None else order.pace.absent_since
    return [VenueCanceled(*order.names, "VANISHED")] if asked_at - since >= VANISHED_US else []


def terms_seen(order: Tracked, found: VenueOrder) -> list[Event]:
    """Return what to report of the venue's view of an order before its fills: that it is there, and its terms."""
    order.pace.refused, order.pace.absent_since = False, None
    events: list[Event] = []
    if order.phase is not Phase.AT_VENUE and (order.not_sent or order.phase is not Phase.OVER):
        events.append(VenueAccepted(*order.names, found.venue_order_id))
    if (events or order.phase is not Phase.OVER) and _changed(order, found):
        events.append(VenueAmended(*order.names, found.quantity, found.trigger_price))
    return events


def is_back(order: Tracked, found: VenueOrder, now: int) -> bool:
    """Return whether an order that the log holds to be over is at the venue after all, and has been for a while.

    The venue's lists lag: what they show filled less than was reported is older than the report.
    """
    pace = order.pace
    resting = found.status in (OrderStatus.RESTING, OrderStatus.PARTIALLY_FILLED)
    if order.phase is not Phase.OVER or not resting or found.filled_quantity < order.filled:
        pace.back_since = None
        return False
    pace.back_since = now if pace.back_since is None else pace.back_since
    return now - pace.back_since >= BACK_US


def end_seen(order: Tracked, found: VenueOrder, now: int) -> list[Event]:
    """Return the end of an order, once every fill the venue shows is reported; until then it is looked at again."""
    pace = order.pace
    pace.look = found.filled_quantity > order.filled
    if pace.look:
        pace.not_before = max(pace.not_before, now + LOOK_US)
        return []
    ended = found.status in (OrderStatus.CANCELED, OrderStatus.FAILED)
    if not ended or order.phase is Phase.OVER:
        return []
    return [VenueCanceled(*order.names, _end_code(order, found))]


def _changed(order: Tracked, found: VenueOrder) -> bool:
    """Whether other terms are in force than were reported; the order that an algo order became has its own."""
    if found.is_algo is not is_algo(order.intent) or found.status is OrderStatus.TRIGGERED:
        return False
    terms: tuple[Decimal, Decimal | None] = (found.quantity, found.trigger_price)
    return terms != (order.quantity, order.trigger_price)


def _end_code(order: Tracked, found: VenueOrder) -> str:
    if found.status is OrderStatus.FAILED:
        return f"FAILED {found.cancel_code}".strip()
    if order.cancel_reason is not None:
        return EXPIRED if order.cancel_reason == EXPIRED else "CANCELED"
    return f"VENUE {found.cancel_code}".strip()


def fill_of(execution: VenueExecution, order: Tracked | None, account_id: str) -> VenueFill:
    """Return an execution as a report; of an order that is not of this log without a client order id."""
    return VenueFill(
        client_order_id="" if order is None else order.intent.client_order_id,
        account_id=account_id,
        instrument_id=execution.instrument_id,
        venue_trade_id=execution.trade_id,
        side=execution.side,
        last_quantity=execution.last_quantity,
        last_price=execution.last_price,
        liquidity=execution.liquidity,
        fee=execution.fee,
        fee_currency=execution.fee_currency,
        arrival_price=None,
        trigger_source=None if order is None else order.intent.trigger_price_type,
        liquidation=execution.category in (Category.LIQUIDATION, Category.ADL),
        adl=execution.category is Category.ADL,
        position_side=execution.position_side,
    )


def of_order(executions: Sequence[VenueExecution], order: Tracked) -> list[VenueExecution]:
    """Return the fills of one order."""
    return [each for each in executions if each.client_order_id == order.intent.client_order_id]


def slow_down(order: Tracked, now: int) -> None:
    """Ask again later, and later still the next time."""
    pace = order.pace
    pace.not_before = now + min(RETRY_US << min(pace.tries, 10), RETRY_MAX_US)
    pace.tries += 1
