"""Signals: scores each strategy of the settings on every bar of the decision timeframe.

Emits SignalScored, one per strategy whose features are warm, in the order of the settings, a score of 0 included: no
view is a view. Strategy names without a scorer here (an operator's own) are passed over. Leaves out whether to act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.envelope import Event, Message
from schemas.events.control import SettingsChanged
from schemas.events.intelligence import FeaturesComputed, SignalScored
from schemas.settings import TradingSettings
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND
from streams.core.signals.scores import STRATEGIES, Strategy
from streams.core.stage import Stage


@dataclass(frozen=True, slots=True)
class SignalsState:
    """What the settings in force ask for; nothing before the first of them."""

    timeframe: str = ""
    strategies: tuple[str, ...] = ()


def decide(state: SignalsState, message: Message) -> Sequence[Event]:
    """Return the scores of one bar's features."""
    event = message.event
    if not isinstance(event, FeaturesComputed) or event.timeframe != state.timeframe:
        return ()
    wanted = ((name, STRATEGIES[name]) for name in state.strategies if name in STRATEGIES)
    return tuple(
        _scored(name, strategy, message, event)
        for name, strategy in wanted
        if all(need in event.features for need in strategy.needs)
    )


def _scored(name: str, strategy: Strategy, message: Message, event: FeaturesComputed) -> SignalScored:
    score, reason = strategy.score(event.features)
    return SignalScored(
        instrument_id=event.instrument_id,
        timeframe=event.timeframe,
        strategy=name,
        score=score,
        horizon_s=strategy.horizon_bars * TIMEFRAMES[event.timeframe] // SECOND,
        reason=reason,
        features_event_id=message.envelope.event_id,
        backfill=event.backfill,
    )


def evolve(state: SignalsState, message: Message) -> SignalsState:
    """Fold new settings; scores depend on nothing else that came before."""
    event = message.event
    if not isinstance(event, SettingsChanged):
        return state
    settings = TradingSettings.from_values(event.values)
    return SignalsState(settings.decision_timeframe, settings.strategies)


STAGE = Stage(
    name="signals",
    takes=(SettingsChanged, FeaturesComputed),
    state_type=SignalsState,
    initial=SignalsState,
    decide=decide,
    evolve=evolve,
)
