"""What a venue can be asked, and what its answers are worth: the line between protocol and translation.

The order protocol (claims, attempts, in-doubt handling, reports: ``kernel.md`` section 7) stands on one side, the
client that speaks to OKX on the other; they share these types and nothing else. The client decides nothing: it sends
once, never again, and sorts every answer by how certain it is. ``facts.py`` has what the venue holds.

Certain and not certain, in one place:

- ``Accepted``, ``Refused``: certain. Refused means that the venue did nothing and will do nothing for this request.
- ``InDoubt``: the request may have been executed, may still be, or never arrived. Ask ``find_order``; never send again.
- A query that returns is the venue's word at that moment; one that cannot be answered raises ``VenueUnavailable``.
- The update stream is complete between a CONNECTED and the next LOST and says nothing about the time outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schemas.events.common import MarginMode, OrderType, PositionSide
from schemas.events.market import InstrumentDefined, InstrumentKind
from schemas.events.orders import AmendIntended, OrderIntended
from schemas.values import Micros, Quantity
from services.gateways.okx.facts import (
    AccountConfig,
    ClosedPosition,
    FeeRates,
    PositionMode,
    VenueBalance,
    VenueBill,
    VenueExecution,
    VenueHolding,
    VenueOrder,
)

SEND_DEADLINE_US = 10_000_000
"""An order without ``valid_until``, or an amendment, that reaches the venue later than this after it was sent is
refused by the venue. So a regular order that is absent this long (and a clock margin) after its attempt never comes.
Algo orders (``is_algo``) have no deadline at the venue."""


class VenueUnavailable(Exception):
    """A question got no answer: nobody knows. The message says what was asked and what went wrong."""


# --- Outcomes of a request


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue took the request. Of an order: it has it, which is not a fill. Of an amendment or a cancel: it will
    try; whether it did shows in the order's next update or in ``find_order``, and the order may fill meanwhile.

    venue_order_id: OKX's ``ordId``, or ``algoId`` of an algo order (see ``is_algo``). ts_in, ts_out: when the venue's
    gateway received the request and answered it; None where it does not say (algo orders).
    """

    venue_order_id: str
    ts_in: Micros | None = None
    ts_out: Micros | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was not executed and never will be. ``code``: OKX's, or one of ours below.

    retryable: the refusal was about load or the moment, not about the order (rate limit, algo timeout): the caller may
    send the same request, with the same client order id, again. Ours, all before anything was sent: ``NOT_SENDABLE``
    (the order cannot be written in OKX's terms exactly; ``detail`` names the field), ``PAST_VALID_UNTIL``.
    """

    code: str
    detail: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Nobody knows whether the request was executed: time-out, broken connection, 5xx, an unreadable or unknown answer,
    or a client order id that the venue already has (then somebody sent it before: this order exists). ``code``: OKX's
    where it gave one, else empty.
    """

    reason: str
    code: str = ""


Outcome = Accepted | Refused | InDoubt


@dataclass(frozen=True, slots=True)
class LeverageSet:
    """The venue confirmed, when asked again after the change, that this leverage is in force."""

    margin_leverage: Quantity


# --- Private updates, in the order the venue sent them within one connection


class Link(StrEnum):
    """Whether private updates arrive."""

    CONNECTED = "CONNECTED"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """CONNECTED: logged in and every private channel confirmed. What happened before is not repeated: query open
    orders, fills since the last LOST (and some overlap), positions and bills. LOST: says why; the client tries on.
    """

    link: Link
    detail: str
    ts_event: Micros


@dataclass(frozen=True, slots=True)
class BillsDue:
    """The venue booked something that has no update of its own (``funding_fee``, ``liquidation``, ``transferred``):
    ask ``bills``, which may lag this by seconds."""

    event_type: str
    ts_event: Micros


@dataclass(frozen=True, slots=True)
class UpdateUnreadable:
    """A private message that could not be read, in whole or in part. Something happened; only queries can tell what."""

    channel: str
    reason: str
    raw: str


Update = LinkChanged | VenueOrder | VenueExecution | VenueHolding | VenueBalance | BillsDue | UpdateUnreadable


def is_algo(order: OrderIntended) -> bool:
    """Return whether an order lives at the venue as an algo order: every stop, protective or entry.

    Algo orders survive ``cancel_all_after`` and are found, amended and canceled apart from the others. The venue has no
    expiry for them: a stop entry is not sent past ``valid_until``, but one that arrived is only ended by a cancel.
    """
    return order.type is OrderType.STOP


class VenueClient(Protocol):
    """A venue that can be traded on. Requests never raise for what the venue or the network does; queries raise
    VenueUnavailable. A cancelled task leaves its request in doubt. ``position_mode``: the one its orders are written
    in."""

    position_mode: PositionMode

    async def submit(self, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        """Send an order, once; the venue refuses it after ``valid_until``, or SEND_DEADLINE_US without one."""

    async def amend(self, change: AmendIntended, order: OrderIntended, instrument: InstrumentDefined) -> Outcome:
        """Change a resting order: ``order`` as intended; ``change.quantity``: the new total, filled part included.

        Asking again for the same values is harmless. Refused 51503, 51510, 51527: no longer there to be changed.
        """

    async def cancel(self, order: OrderIntended) -> Outcome:
        """Take a resting order away; asking again is harmless.

        Refused 51400..51402, 51416: already filled, canceled, triggered or never there: ``find_order`` tells.
        Refused 51410: an earlier cancel is at work.
        """

    async def find_order(self, client_order_id: str, instrument_id: str, *, is_algo: bool) -> VenueOrder | None:
        """Return the newest order with this id; of a triggered algo order its child's fills are folded in.

        None: the venue says it does not know it. Final only once its deadline and a margin have passed (it may still
        be on its way), and within two hours: OKX forgets canceled orders without a fill after that.
        """

    async def open_orders(self) -> Sequence[VenueOrder]:
        """Return every resting order and algo order of the account, ours or not, oldest first."""

    async def fills(self, since: Micros) -> Sequence[VenueExecution]:
        """Return every fill at or after a moment (at most three months back), each once, oldest first.

        Fills of a child of one of our algo orders carry the algo order's client order id where the venue still shows
        the child; a fill may appear here some seconds later than in the updates.
        """

    async def positions(self) -> Sequence[VenueHolding]:
        """Return every open position."""

    async def balances(self) -> Sequence[VenueBalance]:
        """Return every currency with a balance."""

    async def bills(self, since: Micros) -> Sequence[VenueBill]:
        """Return the ledger's lines at or after a moment (at most three months back), oldest first."""

    async def account_config(self) -> AccountConfig:
        """Return the account's modes and the key's permissions."""

    async def fee_rates(self, kind: InstrumentKind, instrument_ids: Sequence[str] = ()) -> FeeRates:
        """Return the account's worst fees in force for these instruments (none, or one unknown: for all of a kind)."""

    async def closed_positions(self, since: Micros) -> Sequence[ClosedPosition]:
        """Return what OKX booked for positions closed since a moment (at most three months back), oldest first."""

    async def set_leverage(
        self,
        instrument_id: str,
        margin_mode: MarginMode,
        margin_leverage: int,
        *,
        position_side: PositionSide | None = None,
    ) -> LeverageSet | Refused | InDoubt:
        """Set the margin leverage of an instrument and read it back; only LeverageSet allows an entry.

        ``position_side``: needed in long/short mode with isolated margin, ignored else. Repeating is harmless.
        """

    async def cancel_all_after(self, timeout_s: int) -> Micros | None:
        """Arm (10..120 s) or disarm (0) the venue's dead man's switch; return when it will fire, None: disarmed.

        It cancels resting *entries* only (they carry our tag; targets do not); algo orders are out of its reach. It
        takes a few seconds to act and works one order at a time. At most once a second.
        """

    async def server_time(self) -> Micros:
        """Return the venue's clock, asked anew."""

    def updates(self) -> AsyncIterator[Update]:
        """Yield private updates for ever, reconnecting with back-off; one consumer only. Ends when closed.

        Never blocks the connection: what is not consumed waits, and at 10,000 waiting the connection is given up (LOST,
        then CONNECTED), so that nothing is dropped unseen.
        """

    async def close(self) -> None:
        """End the updates and close every connection."""
