"""Whether the venue's view of the account is the log's: modes, positions, orders that are not ours, cash.

Source: domain definitions, section 5 (account mode) and 11 (NOT_RECONCILED).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from schemas.envelope import Event
from schemas.events.common import AccountMode, PositionMode, Repair
from schemas.events.gateway import FOREIGN, DifferenceFound
from schemas.events.market import InstrumentKind
from schemas.events.orders import AccountSnapshot
from schemas.events.risk import ReconciliationDiffered, ReconciliationSettled
from schemas.values import Micros, plain
from streams.core.risk.state import OpenDifference, RiskState

ACCOUNT_MODE = AccountMode.FUTURES
POSITION_MODE = PositionMode.NET
"""Where the gateway does not say which it writes its orders in. Either will do: one side of an instrument is held."""
CASH_TOLD = Decimal("0.01")
"""Cash that differs by more is told: what is below is rounding."""
OF_CASH = ("bill ", "closed ")
"""How what may explain a difference in cash is named, ledger lines and closed positions: open for as long as that."""
CASH_HALT_PCT = Decimal(1)
"""Cash that differs by more than this share of the venue's holds trading: sizes would rest on money not there."""
OPEN_MAX = 1_000
"""Open differences a gateway can add to; what it finds beyond is on the log as it told it."""
_ZERO = Decimal(0)


class Difference(NamedTuple):
    """One thing the venue says otherwise; ``words``: as a check shows it; ``holds``: no trading while it lasts."""

    subject: str
    venue: str
    log: str
    words: str
    holds: bool


def differences(state: RiskState, snapshot: AccountSnapshot) -> tuple[str, ...]:
    """Name what the venue says otherwise and holds trading, modes first, then positions; empty: it agrees."""
    return tuple(difference.words for difference in compare(state, snapshot) if difference.holds)


def compare(state: RiskState, snapshot: AccountSnapshot) -> tuple[Difference, ...]:
    """Return everything the venue says otherwise than the log."""
    return (*_modes(snapshot), *_positions(state, snapshot), *_orders(snapshot), *_cash(state, snapshot))


def _modes(snapshot: AccountSnapshot) -> Iterator[Difference]:
    modes = (
        ("account_mode", snapshot.account_mode, ACCOUNT_MODE),
        ("position_mode", snapshot.position_mode, snapshot.position_mode_needed or POSITION_MODE),
    )
    for name, said, needed in modes:
        if said is not needed:
            words = f"{name}={said.value}, needed {needed.value}"
            yield Difference(name, said.value, needed.value, words, holds=True)


def _positions(state: RiskState, snapshot: AccountSnapshot) -> Iterator[Difference]:
    theirs: dict[str, Decimal] = {}
    for held in snapshot.positions:  # an instrument may have two: isolated and cross, long and short
        other = theirs.get(held.instrument_id, _ZERO)
        theirs[held.instrument_id] = other + held.quantity
        if other * held.quantity < 0:
            both = f"{plain(other)} and {plain(held.quantity)}"
            words = f"{held.instrument_id}: venue holds {both} at once, one side of an instrument is counted with"
            yield Difference(f"hedge {held.instrument_id}", both, "one side", words, holds=True)
    ours = {name: position.quantity for name, position in state.positions.items()}
    for name in sorted(theirs.keys() | ours.keys()):
        venue, log = theirs.get(name, _ZERO), ours.get(name, _ZERO)
        if abs(venue - log) > _dust(state, name):
            words = f"{name}: venue holds {plain(venue)}, the log {plain(log)}"
            yield Difference(f"position {name}", plain(venue), plain(log), words, holds=True)


def _dust(state: RiskState, instrument_id: str) -> Decimal:
    """Return what may differ: of a spot pair what is too little to be sold, which a closed trade leaves."""
    market = state.markets.get(instrument_id)
    instrument = None if market is None else market.instrument
    return instrument.min_quantity if instrument is not None and instrument.kind is InstrumentKind.SPOT else _ZERO


def _orders(snapshot: AccountSnapshot) -> Iterator[Difference]:
    for name in snapshot.open_orders:
        if name.startswith(FOREIGN):
            order = name.removeprefix(FOREIGN)
            yield Difference(
                f"order {order}", "open", "none", f"order {order}: at the venue, not on the log", holds=True
            )


def _cash(state: RiskState, snapshot: AccountSnapshot) -> Iterator[Difference]:
    """Compare cash with what the account stage booked; before its first equity there is nothing to compare with."""
    if state.account is None:
        return
    venue, log = snapshot.cash, state.account.cash
    if abs(venue - log) > CASH_TOLD:
        holds = abs(venue - log) * 100 > abs(venue) * CASH_HALT_PCT
        words = f"cash: venue says {plain(venue)}, the log {plain(log)}"
        yield Difference("cash", plain(venue), plain(log), words, holds=holds)


def beside(state: RiskState, instrument_id: str) -> Decimal:
    """Return the position the venue holds beside the log's, by the last snapshot; 0: none, or it only lowers ours."""
    known = state.open_differences.get(f"position {instrument_id}")
    if known is None:
        return _ZERO
    venue = Decimal(known.venue)
    theirs = venue - Decimal(known.log)
    return theirs if theirs * venue > 0 else _ZERO


def told(state: RiskState, snapshot: AccountSnapshot, now: int) -> list[Event]:
    """Return the events for what appeared, changed or went since the snapshot before."""
    found = {difference.subject: difference for difference in compare(state, snapshot)}
    events: list[Event] = []
    for subject, known in state.open_differences.items():
        if subject not in found and not (subject.startswith(OF_CASH) and "cash" in found):
            since = Micros(known.since)
            events.append(ReconciliationSettled(state.account_id, subject, since, now - known.since))
    for subject, difference in found.items():
        before = state.open_differences.get(subject)
        if before is not None and (before.venue, before.log) == (difference.venue, difference.log):
            continue
        since = Micros(now if before is None else before.since)
        repair = Repair.OPERATOR if difference.holds else Repair.NONE
        terms = (difference.venue, difference.log, since, now - since, repair)
        events.append(ReconciliationDiffered(state.account_id, subject, *terms))
    return events


def told_of(state: RiskState, event: DifferenceFound, now: int) -> list[Event]:
    """Return the event for what a gateway found; it is gone with the next snapshot in which it does not show."""
    known = state.open_differences.get(event.subject)
    if known is not None and (known.venue, known.log) == (event.venue, event.log):
        return []  # found again by a gateway that was started anew before it could repair it
    if known is None and len(state.open_differences) >= OPEN_MAX:
        return []
    terms = (event.venue, event.log, event.since, max(0, now - event.since), event.repair)
    return [ReconciliationDiffered(state.account_id, event.subject, *terms)]


def fold_differed(state: RiskState, event: ReconciliationDiffered) -> None:
    """Remember a difference."""
    state.open_differences[event.subject] = OpenDifference(event.venue, event.log, event.since)


def fold_settled(state: RiskState, event: ReconciliationSettled) -> None:
    """Forget a difference that is gone."""
    state.open_differences.pop(event.subject, None)
