"""Whether the venue's view of the account is the log's: its modes and the positions it holds.

Cash and open orders are compared where they are kept, by the account and execution stages.
Source: domain definitions, section 5 (account mode) and 11 (NOT_RECONCILED).
"""

from __future__ import annotations

from decimal import Decimal

from schemas.events.common import AccountMode, PositionMode
from schemas.events.orders import AccountSnapshot
from schemas.values import plain
from streams.core.risk.state import RiskState

ACCOUNT_MODE = AccountMode.FUTURES
POSITION_MODE = PositionMode.NET
_ZERO = Decimal(0)


def differences(state: RiskState, snapshot: AccountSnapshot) -> tuple[str, ...]:
    """Name what the venue says otherwise, modes first, then positions by instrument; empty: it agrees."""
    modes = (
        ("account_mode", snapshot.account_mode, ACCOUNT_MODE),
        ("position_mode", snapshot.position_mode, POSITION_MODE),
    )
    found = [f"{name}={said.value}, needed {needed.value}" for name, said, needed in modes if said is not needed]
    theirs: dict[str, Decimal] = {position.instrument_id: position.quantity for position in snapshot.positions}
    ours = {name: position.quantity for name, position in state.positions.items()}
    for name in sorted(theirs.keys() | ours.keys()):
        venue, log = theirs.get(name, _ZERO), ours.get(name, _ZERO)
        if venue != log:
            found.append(f"{name}: venue holds {plain(venue)}, the log {plain(log)}")
    return tuple(found)
