"""What a gateway says of itself: that it owns the reports, and what it does not know yet."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.envelope import Event
from schemas.values import Money

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
