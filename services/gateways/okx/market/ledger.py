"""What has been written once and is not written again: bars by open time, trades by id. Pure, of bounded size.

A bar is written once, in order; one that leaves a hole waits until the hole is filled. Exact repeats of trades, which a
venue may send after a reconnect, are dropped by id here; an older trade with a new id passes, and the trader's quality
stage judges it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from schemas.timeframes import TIMEFRAMES
from services.gateways.okx.market.subscriptions import BAR_TIMEFRAME

BAR_US = TIMEFRAMES[BAR_TIMEFRAME]
TRADE_IDS_KEPT = 2_000
"""Trade ids remembered, by instrument."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Bars of one instrument that are missing: those that open in [first, end), microseconds."""

    instrument_id: str
    first: int
    end: int


class Place(Enum):
    """Where a bar stands: the next one, one that is written already, or one behind a hole."""

    NEXT = "next"
    KNOWN = "known"
    BEHIND_A_HOLE = "behind a hole"


class BarLedger:
    """The newest bar written, by instrument. ``warmup_us``: history wanted where there is none, or a longer hole."""

    def __init__(self, warmup_us: int) -> None:
        self._warmup_us = warmup_us
        self._newest: dict[str, int] = {}

    def place(self, instrument_id: str, ts_open: int) -> Place:
        """Say where a bar stands; it is not taken in yet."""
        newest = self._newest.get(instrument_id)
        if newest is not None and ts_open <= newest:
            return Place.KNOWN
        follows = newest is not None and ts_open == newest + BAR_US
        return Place.NEXT if follows else Place.BEHIND_A_HOLE

    def take(self, instrument_id: str, ts_open: int) -> bool:
        """Note that a bar is written; False where it is known already."""
        if ts_open <= self._newest.get(instrument_id, -1):
            return False
        self._newest[instrument_id] = ts_open
        return True

    def hole(self, instrument_id: str, until: int) -> Hole | None:
        """Return the closed bars that are missing at ``until``; None: there are none.

        A bar counts as closed once ``until`` has reached its end. Nothing older than the warm-up is asked for.
        """
        end = until - until % BAR_US
        first = end - self._warmup_us
        newest = self._newest.get(instrument_id)
        if newest is not None:
            first = max(first, newest + BAR_US)
        return Hole(instrument_id, first, end) if first < end else None


class TradeLedger:
    """The newest trade ids, by instrument."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, None]] = {}

    def take(self, instrument_id: str, trade_id: str) -> bool:
        """Note that a trade is written; False where it is among the newest already."""
        ids = self._ids.setdefault(instrument_id, {})
        if trade_id in ids:
            return False
        ids[trade_id] = None
        if len(ids) > TRADE_IDS_KEPT:
            del ids[next(iter(ids))]
        return True
