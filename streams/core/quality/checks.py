"""Verdict on one tick: None if later stages may act on it, else why not. Pure; the hot path of the whole trader.

The rules, in this order (the first that applies names the reason):

- UNKNOWN_INSTRUMENT: no InstrumentDefined came before it.
- INVALID: a price or quantity that is not positive; a bid above its ask; a bar whose high is below or low above the
  rest of it, of an unknown timeframe, off the UTC grid, or not closed yet.
- DUPLICATE: a trade id, a bar (timeframe and open time) or a funding settlement seen before.
- OUT_OF_ORDER: older than the newest of its channel and instrument.
- OUTLIER: further than ``*_LIMIT`` from the last price of its channel *and* from the other side's price (the mark for
  trades and bars, the last trade or bar for a mark), as far as those are fresh. The third trade or mark in a row
  (second bar) that agrees with the first is believed: a real fast move is delayed by two prints, never shut out.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas.envelope import Event
from schemas.events.data import QuarantineReason
from schemas.events.market import (
    BookTop,
    Channel,
    FundingRate,
    FundingSettled,
    IndexPrice,
    MarkPrice,
    Quote,
    Trade,
    VenueBar,
)
from schemas.timeframes import TIMEFRAMES
from schemas.values import SECOND, plain
from streams.core.quality.state import Lane, Slot

Verdict = tuple[QuarantineReason, str] | None

TRADE_LIMIT = Decimal("0.05")
"""A print more than 5 % off; the largest one-minute close-to-close move in the recorded files is 2.7 %."""
MARK_LIMIT = Decimal("0.20")
BAR_LIMITS: dict[str, Decimal] = {
    "1m": Decimal("0.10"),
    "5m": Decimal("0.15"),
    "15m": Decimal("0.20"),
    "1h": Decimal("0.30"),
    "4h": Decimal("0.40"),
}
"""Close-to-close, by timeframe; the largest 15m move of 2023-2025 in the recorded files is 14.3 % (ETH)."""
PRINTS_TO_BELIEVE = 3
BARS_TO_BELIEVE = 2
FRESH_US = 60 * SECOND
"""How long a price without a declared cadence counts as fresh."""


def judge_trade(slot: Slot, event: Trade, ts: int) -> Verdict:
    """Judge a public trade."""
    lane, price = slot.trades, event.last_price
    if not slot.defined:
        return _unknown(event.instrument_id)
    if price <= 0 or event.base_quantity <= 0:
        return QuarantineReason.INVALID, f"last_price={plain(price)}, base_quantity={plain(event.base_quantity)}"
    if event.trade_id in slot.trade_ids or event.trade_id in slot.trade_ids_before:
        return QuarantineReason.DUPLICATE, f"trade_id={event.trade_id}"
    if ts < lane.ts_last:
        return _late(ts, lane)
    if lane.low < price < lane.high:
        return None
    return _outlier(lane, price, ts, TRADE_LIMIT, PRINTS_TO_BELIEVE, slot.mark)


def judge_quote(slot: Slot, event: Quote, ts: int) -> Verdict:
    """Judge a best bid and ask."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    if not 0 < event.bid_price <= event.ask_price or event.bid_quantity < 0 or event.ask_quantity < 0:
        return QuarantineReason.INVALID, f"bid_price={plain(event.bid_price)}, ask_price={plain(event.ask_price)}"
    return _late(ts, slot.quotes) if ts < slot.quotes.ts_last else None


def judge_book(slot: Slot, event: BookTop, ts: int) -> Verdict:
    """Judge the best levels of a book; a side may be empty."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    bid = event.bids[0].price if event.bids else None
    ask = event.asks[0].price if event.asks else None
    if (bid is not None and bid <= 0) or (ask is not None and ask <= 0) or (bid and ask and bid > ask):
        return QuarantineReason.INVALID, ", ".join(
            f"{name}={plain(price)}" for name, price in (("bid_price", bid), ("ask_price", ask)) if price is not None
        )
    return _late(ts, slot.book) if ts < slot.book.ts_last else None


def judge_mark(slot: Slot, event: MarkPrice, ts: int) -> Verdict:
    """Judge a mark price."""
    lane, price = slot.mark, event.mark_price
    if not slot.defined:
        return _unknown(event.instrument_id)
    if price <= 0:
        return QuarantineReason.INVALID, f"mark_price={plain(price)}"
    if ts < lane.ts_last:
        return _late(ts, lane)
    if lane.low < price < lane.high:
        return None
    other = slot.trades if slot.trades.ts_last >= slot.bars.ts_last else slot.bars
    return _outlier(lane, price, ts, MARK_LIMIT, PRINTS_TO_BELIEVE, other)


def judge_index(slot: Slot, event: IndexPrice, ts: int) -> Verdict:
    """Judge an index price."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    if event.index_price <= 0:
        return QuarantineReason.INVALID, f"index_price={plain(event.index_price)}"
    return _late(ts, slot.index) if ts < slot.index.ts_last else None


def judge_forecast(slot: Slot, event: FundingRate, ts: int) -> Verdict:
    """Judge a funding forecast."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    return _late(ts, slot.funding) if ts < slot.funding.ts_last else None


def judge_settlement(slot: Slot, event: FundingSettled, _ts: int) -> Verdict:
    """Judge a funding settlement: each moment is settled once."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    if event.ts_funding == slot.ts_settled:
        return QuarantineReason.DUPLICATE, f"ts_funding={event.ts_funding}"
    if event.ts_funding < slot.ts_settled:
        return QuarantineReason.OUT_OF_ORDER, f"ts_funding={event.ts_funding}, newest={slot.ts_settled}"
    return None


def judge_bar(slot: Slot, event: VenueBar, ts: int) -> Verdict:
    """Judge a closed bar of the venue."""
    if not slot.defined:
        return _unknown(event.instrument_id)
    fault = _bar_fault(event, ts)
    if fault:
        return QuarantineReason.INVALID, fault
    newest = slot.bar_opens.get(event.timeframe, -1)
    if event.ts_open == newest:
        return QuarantineReason.DUPLICATE, f"{event.timeframe} bar opened {event.ts_open}"
    if event.ts_open < newest:
        return QuarantineReason.OUT_OF_ORDER, f"{event.timeframe} bar opened {event.ts_open}, newest {newest}"
    limit = BAR_LIMITS[event.timeframe]
    return _outlier(slot.bars, event.close_price, ts, limit, BARS_TO_BELIEVE, slot.mark)


JUDGES: dict[type[Event], Callable[[Slot, Any, int], Verdict]] = {
    Trade: judge_trade,
    Quote: judge_quote,
    BookTop: judge_book,
    MarkPrice: judge_mark,
    IndexPrice: judge_index,
    FundingRate: judge_forecast,
    FundingSettled: judge_settlement,
    VenueBar: judge_bar,
}
CHANNELS: dict[type[Event], Channel] = {
    Trade: Channel.TRADES,
    Quote: Channel.QUOTES,
    BookTop: Channel.BOOK,
    MarkPrice: Channel.MARK,
    IndexPrice: Channel.INDEX,
    FundingRate: Channel.FUNDING,
    FundingSettled: Channel.FUNDING,
    VenueBar: Channel.BARS,
}


def agrees(price: Decimal, reference: Decimal, limit: Decimal) -> bool:
    """Say whether two prices are within ``limit`` (a fraction of the reference) of each other."""
    return abs(price - reference) <= reference * limit


def fresh(lane: Lane, ts: int) -> bool:
    """Say whether a lane's last price may still be compared with."""
    return lane.price is not None and ts - lane.ts_last <= max(lane.stale_us or 0, FRESH_US)


def _outlier(lane: Lane, price: Decimal, ts: int, limit: Decimal, needed: int, other: Lane) -> Verdict:
    references = [side.price for side in (lane, other) if fresh(side, ts) and side.price is not None]
    if not references or any(agrees(price, reference, limit) for reference in references):
        return None
    in_a_row = lane.suspects if lane.suspect is not None and agrees(price, lane.suspect, limit) else 0
    if in_a_row + 1 >= needed:
        return None
    compared = ", ".join(plain(reference) for reference in references)
    return QuarantineReason.OUTLIER, f"price={plain(price)}, last_and_mark={compared}, limit={plain(limit)}"


def _bar_fault(event: VenueBar, ts: int) -> str:
    length = TIMEFRAMES.get(event.timeframe)
    if length is None:
        return f"timeframe={event.timeframe}: not one of {', '.join(TIMEFRAMES)}"
    low, high = event.low_price, event.high_price
    if not (0 < low <= min(event.open_price, event.close_price) and max(event.open_price, event.close_price) <= high):
        prices = (event.open_price, high, low, event.close_price)
        return "open, high, low, close = " + ", ".join(map(plain, prices))
    if event.base_volume < 0:
        return f"base_volume={plain(event.base_volume)}"
    if event.ts_open % length:
        return f"ts_open={event.ts_open}: not a multiple of {event.timeframe}"
    if ts < event.ts_open + length:
        return f"ts_event={ts}: before the close at {event.ts_open + length}"
    return ""


def _unknown(instrument_id: str) -> Verdict:
    return QuarantineReason.UNKNOWN_INSTRUMENT, f"{instrument_id}: no InstrumentDefined came before it"


def _late(ts: int, lane: Lane) -> Verdict:
    return QuarantineReason.OUT_OF_ORDER, f"ts_event={ts}, newest={lane.ts_last}"
