"""Fetch what was missed: closed bars and settlements of the time nobody was listening, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.events.market import FundingSettled, VenueBar
from schemas.values import Micros, Rate
from services.feeds.model import RANK_SETTLED, Parsed
from services.feeds.numbers import milliseconds, number
from services.feeds.okx_raw import OkxParser
from services.gateways.okx.market.errors import VenueUnreachable
from services.gateways.okx.market.ledger import Hole
from services.gateways.okx.market.rest import PublicApi, short
from services.gateways.okx.market.subscriptions import BAR_TIMEFRAME

_BAD = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


async def missing_bars(api: PublicApi, parser: OkxParser, hole: Hole, ts_ingest: int) -> list[Parsed]:
    """Return the closed bars of a hole, marked as backfill, as far as the venue has them.

    Pages run back in time, each further than the one before; the recent endpoint first, then the one for history.
    Raises VenueUnreachable, VenueRefused.
    """
    found: dict[int, Parsed] = {}
    before, recent = hole.end, True
    while before > hole.first:
        rows = await api.candles(hole.instrument_id, before=before, recent=recent)
        oldest = before
        for row in rows:
            ts_open, bar = _bar(parser, row, hole, ts_ingest)
            oldest = min(oldest, ts_open)
            if bar is not None and hole.first <= ts_open < hole.end:
                found[ts_open] = bar
        if oldest >= before:
            if not recent:
                break
            recent = False
        before = oldest
    return [found[ts_open] for ts_open in sorted(found)]


def _bar(parser: OkxParser, row: Sequence[str], hole: Hole, ts_ingest: int) -> tuple[int, Parsed | None]:
    try:
        parsed = parser.closed_bar(row, hole.instrument_id, BAR_TIMEFRAME, ts_ingest)
        if parsed is None or not isinstance(parsed.event, VenueBar):
            return milliseconds(row[0], "ts"), None
        return parsed.event.ts_open, parsed._replace(event=replace(parsed.event, backfill=True))
    except _BAD as error:
        raise VenueUnreachable(f"OKX: a candle of {hole.instrument_id} in an unknown form: {short(error)}") from error


async def missing_settlements(api: PublicApi, instrument_id: str, since: int, ts_ingest: int) -> list[Parsed]:
    """Return the settlements after ``since``. Source: OKX v5, funding rate history: ``realizedRate`` is what was paid.

    Raises VenueUnreachable, VenueRefused.
    """
    found: list[Parsed] = []
    for row in await api.settled(instrument_id):
        try:
            ts = milliseconds(str(row["fundingTime"]), "fundingTime")
            rate = Rate(number(str(row["realizedRate"]), "realizedRate", "Rate"))
        except _BAD as error:
            raise VenueUnreachable(f"OKX: funding of {instrument_id} in an unknown form: {short(error)}") from error
        if ts > since:
            event = FundingSettled(instrument_id, rate, Micros(ts))
            found.append(Parsed(ts, ts_ingest, RANK_SETTLED, instrument_id, str(ts), event))
    return sorted(found, key=lambda parsed: parsed.ts_event)
