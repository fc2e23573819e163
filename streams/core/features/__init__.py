"""Features: turns closed bars into named numbers, each from the bar its own warm-up ends.

Emits FeaturesComputed for every closed bar of the decision and regime timeframes of the settings and of 1h, also while
warming up, so that every bar has an answer. A series begins with a complete bar; afterwards incomplete bars count too,
because their close is real. A hole of more than HOLE_BARS bars starts the series afresh: a mean over a night that is
missing describes no market. Leaves out what the numbers mean; signals and regime say that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.envelope import Event, Message
from schemas.events.control import SettingsChanged
from schemas.events.data import BarClosed
from schemas.events.intelligence import FeaturesComputed
from schemas.settings import TradingSettings
from streams.core.features.indicators import FloatBar, Series, advance, features, warming_up
from streams.core.stage import Stage

ALWAYS = ("1h",)
"""Timeframes computed whatever the settings say: the wider view every plan is shown."""
HOLE_BARS = 12


@dataclass(slots=True)
class Track:
    """One instrument and timeframe. ``ts_close``: of the newest bar."""

    ts_close: int = 0
    series: Series = field(default_factory=Series)


@dataclass(slots=True)
class FeaturesState:
    """Tracks by ``instrument|timeframe``, and the timeframes that are computed."""

    timeframes: tuple[str, ...] = ALWAYS
    tracks: dict[str, Track] = field(default_factory=dict)


def decide(state: FeaturesState, message: Message) -> Sequence[Event]:
    """Return the features of a closed bar."""
    bar = message.event
    if not isinstance(bar, BarClosed) or not _counts(state, bar):
        return ()
    series = _advanced(state, bar)
    return (
        FeaturesComputed(
            instrument_id=bar.instrument_id,
            timeframe=bar.timeframe,
            ts_close=bar.ts_close,
            bar_event_id=message.envelope.event_id,
            features=features(series),
            warming_up=warming_up(series),
            backfill=bar.backfill,
        ),
    )


def evolve(state: FeaturesState, message: Message) -> FeaturesState:
    """Fold a closed bar or new settings. Changes the state in place; the stage's own events hold nothing new."""
    event = message.event
    if isinstance(event, BarClosed) and _counts(state, event):
        state.tracks[_key(event)] = Track(event.ts_close, _advanced(state, event))
    elif isinstance(event, SettingsChanged):
        settings = TradingSettings.from_values(event.values)
        wanted = (settings.decision_timeframe, settings.regime_timeframe, *ALWAYS)
        state.timeframes = tuple(dict.fromkeys(wanted))
        state.tracks = {key: track for key, track in state.tracks.items() if key.split("|")[1] in state.timeframes}
    return state


def _counts(state: FeaturesState, bar: BarClosed) -> bool:
    if bar.timeframe not in state.timeframes:
        return False
    return bar.complete or _continues(state.tracks.get(_key(bar)), bar)


def _continues(track: Track | None, bar: BarClosed) -> bool:
    return track is not None and bar.ts_open - track.ts_close <= HOLE_BARS * (bar.ts_close - bar.ts_open)


def _advanced(state: FeaturesState, bar: BarClosed) -> Series:
    track = state.tracks.get(_key(bar))
    series = track.series if track is not None and _continues(track, bar) else Series()
    return advance(
        series,
        FloatBar(float(bar.high_price), float(bar.low_price), float(bar.close_price), float(bar.base_volume)),
    )


def _key(bar: BarClosed) -> str:
    return f"{bar.instrument_id}|{bar.timeframe}"


STAGE = Stage(
    name="features",
    takes=(SettingsChanged, BarClosed),
    state_type=FeaturesState,
    initial=FeaturesState,
    decide=decide,
    evolve=evolve,
)
