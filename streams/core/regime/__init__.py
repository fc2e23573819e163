"""Regime: labels each instrument's market on every bar of the regime timeframe.

Emits RegimeClassified with the label after hysteresis, the probabilities and the uncertainty of the moment. UNKNOWN,
with equal probabilities and uncertainty 1, until UNKNOWN_BARS bars are in, and on a change point (``change``) and the
CHANGE_BARS bars after it. Out of UNKNOWN the likeliest label is taken at once; from then on a challenger takes over
when it is ahead of the label by LEAD on RUN bars running; a change of challenger starts the count again. A hole that
makes the features warm up again makes the regime UNKNOWN again. The classifier is ``classify``; the hidden Markov
filter of domain section 9 needs fitted parameters and is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from schemas.envelope import Event, Message
from schemas.events.common import Regime
from schemas.events.control import SettingsChanged
from schemas.events.intelligence import FeaturesComputed, RegimeClassified, RegimeProbability
from schemas.settings import TradingSettings
from schemas.values import Rate
from streams.core.regime.change import Watch, observe
from streams.core.regime.classify import LABELS, NEEDS, probabilities, uncertainty
from streams.core.stage import Stage

UNKNOWN_BARS = 200
CHANGE_BARS = 8
LEAD = Decimal("0.15")
RUN = 3
MODEL = "RULES"

_EQUAL = (Decimal(1) / len(LABELS),) * len(LABELS)


@dataclass(frozen=True, slots=True)
class Label:
    """Where one instrument stands. ``lead_run``: bars running that ``challenger`` has been ahead by LEAD."""

    regime: Regime = Regime.UNKNOWN
    challenger: Regime = Regime.UNKNOWN
    lead_run: int = 0
    bars_seen: int = 0
    watch: Watch = field(default_factory=Watch)


@dataclass(slots=True)
class RegimeState:
    """Labels by instrument, and the timeframe the settings ask for ('' before the first of them)."""

    timeframe: str = ""
    labels: dict[str, Label] = field(default_factory=dict)


_NEW = Label()


def decide(state: RegimeState, message: Message) -> Sequence[Event]:
    """Return the regime that one bar's features lead to."""
    event = message.event
    if not isinstance(event, FeaturesComputed) or event.timeframe != state.timeframe:
        return ()
    before = state.labels.get(event.instrument_id, _NEW)
    after, shares = _classified(before, event)
    return (
        RegimeClassified(
            instrument_id=event.instrument_id,
            timeframe=event.timeframe,
            regime=after.regime,
            previous=before.regime,
            probabilities=tuple(
                RegimeProbability(label, Rate(share)) for label, share in zip(LABELS, shares, strict=True)
            ),
            uncertainty=Rate(uncertainty(shares)),
            model=MODEL,
            bars_seen=after.bars_seen,
            features_event_id=message.envelope.event_id,
            backfill=event.backfill,
        ),
    )


def evolve(state: RegimeState, message: Message) -> RegimeState:
    """Fold one bar's features or new settings. Changes the state in place."""
    event = message.event
    if isinstance(event, FeaturesComputed) and event.timeframe == state.timeframe:
        before = state.labels.get(event.instrument_id, _NEW)
        state.labels[event.instrument_id] = _classified(before, event)[0]
    elif isinstance(event, SettingsChanged):
        timeframe = TradingSettings.from_values(event.values).regime_timeframe
        if timeframe != state.timeframe:
            return RegimeState(timeframe)
    return state


def _classified(before: Label, event: FeaturesComputed) -> tuple[Label, tuple[Decimal, ...]]:
    """Return where the instrument stands after these features, and the probabilities behind it."""
    watch = observe(before.watch, event.features["close"])
    bars_seen = before.bars_seen + 1
    if bars_seen >= UNKNOWN_BARS and not all(need in event.features for need in NEEDS):
        return Label(), _EQUAL
    if bars_seen < UNKNOWN_BARS or watch.since <= CHANGE_BARS:
        return Label(bars_seen=bars_seen, watch=watch), _EQUAL
    shares = probabilities(event.features)
    return replace(_held(before, shares), bars_seen=bars_seen, watch=watch), shares


def _held(before: Label, shares: tuple[Decimal, ...]) -> Label:
    """Apply the hysteresis."""
    top = max(shares)
    challenger = LABELS[shares.index(top)]
    if before.regime is Regime.UNKNOWN:
        return Label(challenger)
    if challenger is before.regime or top - shares[LABELS.index(before.regime)] < LEAD:
        return Label(before.regime)
    lead_run = before.lead_run + 1 if challenger is before.challenger else 1
    if lead_run >= RUN:
        return Label(challenger)
    return Label(before.regime, challenger, lead_run)


STAGE = Stage(
    name="regime",
    takes=(SettingsChanged, FeaturesComputed),
    state_type=RegimeState,
    initial=RegimeState,
    decide=decide,
    evolve=evolve,
)
