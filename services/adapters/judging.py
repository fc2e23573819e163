"""Judge what a source said: may a decision use it, and does the source still deliver. Pure; times in microseconds.

What is set aside stays on the log with the reason: a headline without a trustworthy time as ``timely=False``, a number
as its ``anomaly``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median

from schemas.envelope import Event
from schemas.events.context import NewsItem, OnchainMetric, SourceState, TrendPoint
from schemas.values import SECOND, Ratio, plain
from services.adapters.numbers import measure_of

AHEAD_US = 300 * SECOND
"""How far in the future a source may date something before its clock is not believed."""
NEWS_AGE_US = 86_400 * SECOND
"""A headline older than this, seen for the first time now, was somewhere else before: when, nobody knows."""
HISTORY_MIN = 5
"""Values there must be before one can be far outside them."""

Known = Callable[[str, str], Sequence[Ratio]]
"""The last values of a metric, by source and name, also those that were far outside."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an answer. ``events``: as they go on the log; ``usable``: how many may be used."""

    state: SourceState
    detail: str
    events: tuple[Event, ...] = ()
    usable: int = 0


def judge(answer: Sequence[Event], now: int, *, stale_after_us: int | None, known: Known) -> Verdict:
    """Return an answer with what is to be set aside marked, and the state of its source.

    ``stale_after_us``: the source is STALE when its newest word is older; None: there is none, it did not answer.
    """
    events = tuple(_judged(event, now, stale_after_us, known) for event in answer)
    if not events:
        return Verdict(SourceState.STALE, "no data: the answer holds nothing")
    usable = sum(not aside(event) for event in events)
    newest = max((when for event in events if (when := _dated(event)) is not None and when <= now), default=None)
    if newest is not None and stale_after_us is not None and now - newest > stale_after_us:
        why = f"nothing newer than {_iso(newest)}; {_hours(stale_after_us)} are allowed"
        return Verdict(SourceState.STALE, why, events, usable)
    if not usable:
        return Verdict(SourceState.STALE, f"nothing usable: {aside(events[-1])}", events)
    return Verdict(SourceState.UP, "", events, usable)


def aside(event: Event) -> str:
    """Return why an event was set aside; empty: it may be used."""
    if isinstance(event, NewsItem):
        return "" if event.timely else "no time of publication that can be trusted"
    return event.anomaly if isinstance(event, OnchainMetric | TrendPoint) else ""


def _judged(event: Event, now: int, stale_after_us: int | None, known: Known) -> Event:
    match event:
        case NewsItem():
            return replace(event, timely=_is_timely(event.ts_published, now))
        case OnchainMetric():
            wrong = measure_of(event.name).refuses(event.value)
            old = _out_of_date(event.ts_measured, now, stale_after_us)
            return replace(event, anomaly=wrong or old or _far_outside(event, known))
        case TrendPoint():
            wrong = "" if 0 <= event.value <= 100 else "outside 0 to 100"
            dated = event.ts_from if event.partial else event.ts_to
            return replace(event, anomaly=wrong or _out_of_date(dated, now, stale_after_us))
        case _:
            return event


def _is_timely(ts_published: int | None, now: int) -> bool:
    return ts_published is not None and now - NEWS_AGE_US <= ts_published <= now + AHEAD_US


def _out_of_date(when: int | None, now: int, stale_after_us: int | None) -> str:
    if when is None:
        return ""
    if when > now + AHEAD_US:
        return f"dated in the future: {_iso(when)}"
    if stale_after_us is not None and now - when > stale_after_us:
        return f"older than {_hours(stale_after_us)}: of {_iso(when)}"
    return ""


def _far_outside(event: OnchainMetric, known: Known) -> str:
    """Say that a value is far from the median of its history; a level that stays becomes the median in the end."""
    factor, history = measure_of(event.name).factor, known(event.source, event.name)
    if factor is None or len(history) < HISTORY_MIN:
        return ""
    middle = abs(median(history))
    if middle > 0 and not middle / factor <= abs(event.value) <= middle * factor:
        return f"far outside its history: the median of the last {len(history)} is {plain(middle)}"
    return ""


def _dated(event: Event) -> int | None:
    match event:
        case NewsItem():
            return event.ts_published
        case OnchainMetric():
            return event.ts_measured
        case TrendPoint():
            return event.ts_from if event.partial else event.ts_to
        case _:
            return None


def _hours(length_us: int) -> str:
    hours = length_us / (3_600 * SECOND)
    return f"{hours:g} h" if hours >= 1 else f"{hours * 60:g} min"


def _iso(when: int) -> str:
    return datetime.fromtimestamp(when // SECOND, UTC).isoformat().replace("+00:00", "Z")
