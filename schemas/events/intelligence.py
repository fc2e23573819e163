"""Features, signals and regimes: numbers about the market. Floats live here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.envelope import Event
from schemas.events.common import Regime
from schemas.values import Micros, Rate


@dataclass(frozen=True, slots=True)
class FeaturesComputed(Event):
    """Named features of one closed bar. Only features that finished their warm-up are in ``features``.

    ``backfill``: computed on history; nothing is decided on it.
    """

    instrument_id: str
    timeframe: str
    ts_close: Micros
    bar_event_id: str
    features: dict[str, float]
    warming_up: tuple[str, ...]
    backfill: bool


@dataclass(frozen=True, slots=True)
class SignalScored(Event):
    """A strategy's view: ``score`` in [-1, 1] (positive: up) over ``horizon_s`` seconds."""

    instrument_id: str
    timeframe: str
    strategy: str
    score: float
    horizon_s: int
    reason: str
    features_event_id: str
    backfill: bool


@dataclass(frozen=True, slots=True)
class RegimeProbability:
    """Probability of one label, quantised to 9 decimals before it enters anything."""

    regime: Regime
    probability: Rate


@dataclass(frozen=True, slots=True)
class RegimeClassified(Event):
    """The market's label after hysteresis, with the probabilities and uncertainty (0..1, 9 decimals) it rests on."""

    instrument_id: str
    timeframe: str
    regime: Regime
    previous: Regime
    probabilities: tuple[RegimeProbability, ...]
    uncertainty: Rate
    model: str
    bars_seen: int
    features_event_id: str
    backfill: bool
