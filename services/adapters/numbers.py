"""Numbers about a chain, and a mood index: what each answer means, in which unit, and within which bounds.

Sources: mempool.space REST API, recommended fees; Blockchain.com statistics and charts API; DefiLlama API, historical
TVL of all chains; alternative.me, Crypto Fear & Greed API.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.context import OnchainMetric
from schemas.values import SECOND, Micros, plain
from services.adapters.errors import garbage
from services.adapters.fetching import Body
from services.adapters.reading import json_of, member, moment, number, rows, text_of, words

MILLIS = 1_000
AS_OF_NOW_US = 60 * SECOND
ROWS_MAX = 20_000
"""Days of a history that is answered whole; DefiLlama's begins in 2017."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a metric can be. ``low``, ``high``: outside them it is impossible; None: no bound.

    ``factor``: this many times the median of its history, or so small a part of it, is far outside; None: it may jump.
    """

    unit: str
    low: Decimal | None = Decimal(0)
    high: Decimal | None = None
    factor: Decimal | None = Decimal(10)

    def refuses(self, value: Decimal) -> str:
        """Return why a value is impossible; empty: it is not."""
        if self.low is not None and value < self.low:
            return f"below {plain(self.low)}"
        if self.high is not None and value > self.high:
            return f"above {plain(self.high)}"
        return ""


_FEE = Measure("sat/vB", high=Decimal(100_000), factor=Decimal(100))
MEASURES: dict[str, Measure] = {
    "fastest_fee": _FEE,
    "half_hour_fee": _FEE,
    "hour_fee": _FEE,
    "hash_rate": Measure("GH/s"),
    "transactions": Measure("transactions a day"),
    "minutes_between_blocks": Measure("minutes", high=Decimal(1_440)),
    "miners_revenue_usd": Measure("USD a day"),
    "estimated_transaction_volume_usd": Measure("USD a day"),
    "total_value_locked": Measure("USD"),
    "fear_greed_index": Measure("index 0-100", high=Decimal(100), factor=None),
}
"""Every metric with a name of our own; a chart's is the chart's, and may be anything but far outside its history."""
OF_A_CHART = Measure("", low=None)

_FEES = {"fastestFee": "fastest_fee", "halfHourFee": "half_hour_fee", "hourFee": "hour_fee"}
_STATS = {
    "hash_rate": "hash_rate",
    "n_tx": "transactions",
    "minutes_between_blocks": "minutes_between_blocks",
    "miners_revenue_usd": "miners_revenue_usd",
    "estimated_transaction_volume_usd": "estimated_transaction_volume_usd",
}
"""The fields of an answer that are taken, and our name for each."""


def measure_of(name: str) -> Measure:
    """Return what a metric can be."""
    return MEASURES.get(name, OF_A_CHART)


def parse_fees(source: str, body: Body, now: int) -> tuple[OnchainMetric, ...]:
    """Return the recommended fees. Raises SourceError.

    They are as of now and carry no time; of an answer that a server or a cache made longer than a minute ago, of then.
    """
    content = json_of(text_of(body))
    made = min(now if body.ts_dated is None else body.ts_dated, now - body.age_s * SECOND)
    ts = Micros(made) if now - made > AS_OF_NOW_US else None
    return tuple(_metric(source, name, member(content, field), ts) for field, name in _FEES.items())


def parse_stats(source: str, body: Body) -> tuple[OnchainMetric, ...]:
    """Return the day's statistics of the Bitcoin chain. Raises SourceError."""
    content = json_of(text_of(body))
    ts = moment(member(content, "timestamp"), "timestamp", per_second=MILLIS)
    return tuple(_metric(source, name, member(content, field), ts) for field, name in _STATS.items())


def parse_chart(source: str, body: Body) -> tuple[OnchainMetric, ...]:
    """Return a chart's newest point, under its own name and unit; no points: nothing. Raises SourceError."""
    content = json_of(text_of(body))
    name, unit = words(member(content, "name"), 80), words(member(content, "unit"), 40)
    if not name:
        raise garbage("name is no text")
    points = rows(member(content, "values"), "values", rows_max=ROWS_MAX)
    newest = max(((moment(member(p, "x"), "x"), number(member(p, "y"), "y")) for p in points), default=None)
    return () if newest is None else (OnchainMetric(source, name, newest[1], unit, newest[0]),)


def parse_tvl(source: str, body: Body) -> tuple[OnchainMetric, ...]:
    """Return the newest value locked in all chains; an empty history: nothing. Raises SourceError."""
    history = rows(json_of(text_of(body)), "the history", rows_max=ROWS_MAX)
    if not history:
        return ()
    newest = max(history, key=lambda row: moment(member(row, "date"), "date"))
    return (_metric(source, "total_value_locked", member(newest, "tvl"), moment(newest["date"], "date")),)


def parse_fear_greed(source: str, body: Body) -> tuple[OnchainMetric, ...]:
    """Return the newest day's index; no days: nothing. Raises SourceError."""
    days = rows(member(json_of(text_of(body)), "data"), "data", rows_max=ROWS_MAX)
    if not days:
        return ()
    newest = max(days, key=lambda day: moment(member(day, "timestamp"), "timestamp"))
    ts = moment(newest["timestamp"], "timestamp")
    return (_metric(source, "fear_greed_index", member(newest, "value"), ts),)


def _metric(source: str, name: str, value: object, ts: Micros | None) -> OnchainMetric:
    return OnchainMetric(source, name, number(value, name), MEASURES[name].unit, ts)
