"""Risk: sizes a plan, checks it forty ways, approves or denies it, and keeps the account's trading state.

Takes nothing on trust: geometry, prices and limits are checked here whoever wrote the plan. Places no order.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Event, Message
from schemas.events.account import EquityChanged, TradeClosed
from schemas.events.control import SettingsChanged
from schemas.events.gateway import DifferenceFound
from schemas.events.orders import AccountSnapshot
from schemas.events.plan import PlanProposed
from streams.core.risk.breakers import causes_after, is_foreign, state_changed
from streams.core.risk.commands import COMMANDS, answer, override_of, reductions
from streams.core.risk.evolve import LEARNED, evolve
from streams.core.risk.reconcile import told, told_of
from streams.core.risk.state import RiskState
from streams.core.risk.verdict import judge
from streams.core.risk.warning import warning_changed
from streams.core.stage import Stage

_DECIDING = (SettingsChanged, AccountSnapshot, DifferenceFound, EquityChanged, TradeClosed, PlanProposed, *COMMANDS)
_FACTS = frozenset(LEARNED) - frozenset(_DECIDING)
"""Messages that only inform: nothing is emitted on them but the end of a timed cause."""


def decide(state: RiskState, message: Message) -> Sequence[Event]:
    """Return what a message means: state, reductions, limit and warning changes, then the verdict or the answer."""
    if type(message.event) in _FACTS and message.now < state.next_expiry:
        return ()
    causes = causes_after(state, message)
    changed = (state_changed(state, message, causes), override_of(state, message), warning_changed(state, message))
    outputs: list[Event] = [event for event in changed if event is not None]
    outputs += reductions(state, message, causes)
    event = message.event
    if isinstance(event, AccountSnapshot) and not is_foreign(state, event):
        outputs += told(state, event, message.now)
    if isinstance(event, DifferenceFound) and not is_foreign(state, event):
        outputs += told_of(state, event, message.now)
    if isinstance(event, PlanProposed):
        if event.execute:
            outputs.append(judge(state, event, message.now, causes))
    elif isinstance(event, COMMANDS):
        outputs.append(answer(state, message, causes))
    return outputs


STAGE = Stage(
    name="risk",
    takes=tuple(dict.fromkeys((*LEARNED, *_DECIDING))),
    state_type=RiskState,
    initial=RiskState,
    decide=decide,
    evolve=evolve,
)
