"""What a gateway says of itself: that it owns the reports, and what it does not know yet."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.envelope import Event
from schemas.events.common import Repair
from schemas.values import Micros, Money

FOREIGN = "foreign:"
"""How a snapshot names an order that is not of this log: this, then the venue's own id."""


@dataclass(frozen=True, slots=True)
class GatewayClaimed(Event):
    """A gateway took the account's reports; from here on only records with its ``claim_id`` are its word.

    ``venue_account``: the account at the venue and whether it is demo or live; a log keeps to one for life.
    """

    account_id: str
    claim_id: str
    gateway: str
    code_version: str
    venue_account: str


@dataclass(frozen=True, slots=True)
class SubmitInDoubt(Event):
    """An order was sent and nobody knows whether the venue has it; the gateway asks until it knows."""

    client_order_id: str
    account_id: str
    instrument_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class VenueTransferred(Event):
    """Money moved into (positive) or out of the account at the venue: neither profit nor loss. Once per ``bill_id``."""

    account_id: str
    bill_id: str
    currency: str
    amount: Money


@dataclass(frozen=True, slots=True)
class VenueCharged(Event):
    """The venue charged (negative) or credited the account outside of any trade: interest. Once per ``bill_id``.

    ``venue_type``: the line's type and subtype as the venue numbers them.
    """

    account_id: str
    bill_id: str
    venue_type: str
    instrument_id: str
    currency: str
    amount: Money


@dataclass(frozen=True, slots=True)
class DifferenceFound(Event):
    """The venue shows what the log should have had by then. Told before the reports that repair it, if any can.

    ``subject``: ``fill <instrument> <trade id>``, ``order <client order id>``, ``funding <instrument> <UTC>``,
    ``transfer <bill>``, ``charge <bill>``, ``bill <bill>`` (nothing explains it) or ``closed <position id> <UTC ms>``
    (its parts are not its whole). ``venue``, ``log``: what either says. ``since``: since when the venue has had it.
    ``repair``: GATEWAY, or NONE where only a person can say what it is.
    """

    account_id: str
    subject: str
    venue: str
    log: str
    since: Micros
    repair: Repair
