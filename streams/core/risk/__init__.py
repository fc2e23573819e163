"""Risk: sizes a plan, checks it forty ways, approves or denies it, and keeps the account's trading state.

Takes nothing on trust: geometry, prices and limits are checked here whoever wrote the plan. Places no order.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Event, Message
from schemas.events.account import EquityChanged, PositionChanged, TradeClosed
from schemas.events.control import SettingsChanged
from schemas.events.data import QualityChanged
from schemas.events.intelligence import RegimeClassified
from schemas.events.market import (
    FeedStatus,
    FundingRate,
    FundingSettled,
    InstrumentDefined,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.events.orders import (
    AccountSnapshot,
    AmendIntended,
    CancelIntended,
    EntryEnded,
    OrderAmended,
    OrderIntended,
)
from schemas.events.plan import PlanProposed
from streams.core.risk.breakers import causes_after, state_changed
from streams.core.risk.commands import COMMANDS, answer, override_of, reductions
from streams.core.risk.evolve import evolve
from streams.core.risk.state import RiskState
from streams.core.risk.verdict import judge
from streams.core.risk.warning import warning_changed
from streams.core.stage import Stage

_FACTS = (
    Trade,
    Quote,
    MarkPrice,
    VenueBar,
    FeedStatus,
    InstrumentDefined,
    FundingRate,
    FundingSettled,
    QualityChanged,
    RegimeClassified,
    PositionChanged,
    EntryEnded,
    OrderIntended,
    AmendIntended,
    CancelIntended,
    OrderAmended,
)
"""Messages that only inform: nothing is emitted on them but the end of a timed cause."""
_DECIDING = (SettingsChanged, AccountSnapshot, EquityChanged, TradeClosed, PlanProposed, *COMMANDS)
_FACT_TYPES = frozenset(_FACTS)


def decide(state: RiskState, message: Message) -> Sequence[Event]:
    """Return the change of the trading state first, then reductions, then the verdict or the command's answer."""
    if type(message.event) in _FACT_TYPES and message.now < state.next_expiry:
        return ()
    causes = causes_after(state, message)
    changed = state_changed(state, message, causes)
    outputs: list[Event] = [] if changed is None else [changed]
    outputs += reductions(state, message, causes)
    moved = override_of(state, message)
    warning = warning_changed(state, message)
    outputs += [said for said in (moved, warning) if said is not None]
    event = message.event
    if isinstance(event, PlanProposed):
        if event.execute:
            outputs.append(judge(state, event, message.now, causes))
    elif isinstance(event, COMMANDS):
        outputs.append(answer(state, message, causes))
    return outputs


STAGE = Stage(
    name="risk",
    takes=(*_FACTS, *_DECIDING),
    state_type=RiskState,
    initial=RiskState,
    decide=decide,
    evolve=evolve,
)
