"""Context: news, search trends and on-chain numbers, as they became available to us. Only the planner reads it.

``ts_event`` of each is when we had it, so that no future leaks into a replay. What a source says is data: text in it
can reach a model as text and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.envelope import Event
from schemas.values import Micros, Ratio


class SourceState(StrEnum):
    """Whether a source delivers. STALE: it answers, but with nothing new for longer than it may."""

    UP = "UP"
    STALE = "STALE"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True)
class NewsItem(Event):
    """A headline. ``ts_published``: what the source says, None where it does not.

    ``timely``: its time of availability can be trusted; one without is kept for the record and left out of decisions.
    """

    source: str
    item_id: str
    title: str
    url: str
    ts_published: Micros | None
    timely: bool


@dataclass(frozen=True, slots=True)
class TrendPoint(Event):
    """Search interest in a keyword, 0 to 100 within its export. ``partial``: the period was not over yet.

    ``anomaly``: why it was set aside; empty: it may be used.
    """

    source: str
    keyword: str
    value: Ratio
    ts_from: Micros
    ts_to: Micros
    partial: bool
    anomaly: str = ""


@dataclass(frozen=True, slots=True)
class OnchainMetric(Event):
    """One number about a chain or a market's mood. ``unit``: in words (sat/vB, USD, index 0-100, ...).

    ``ts_measured``: when it was true, by the source. ``anomaly``: why it was set aside; empty: it may be used.
    """

    source: str
    name: str
    value: Ratio
    unit: str
    ts_measured: Micros | None
    anomaly: str = ""


@dataclass(frozen=True, slots=True)
class SourceStatus(Event):
    """A source's state changed. ``ts_last_ok``: when it last gave something usable; None: never."""

    source: str
    state: SourceState
    previous: SourceState | None
    detail: str
    ts_last_ok: Micros | None
