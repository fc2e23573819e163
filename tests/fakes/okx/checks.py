"""What the venue refuses before an order reaches the book."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.instruments import LIVE, Instrument
from tests.fakes.okx.numbers import is_multiple, parse, text
from tests.fakes.okx.push import Row

if TYPE_CHECKING:
    from tests.fakes.okx.orders import Order
    from tests.fakes.okx.venue import Venue

CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
TAG = re.compile(r"[A-Za-z0-9]{0,16}")
SLIPPAGE_MAX = Decimal("0.05")
PRICED = ("limit", "post_only", "fok", "ioc")
ORDER_TYPES = (*PRICED, "market", "optimal_limit_ioc")
NOT_TRADING = {"suspend": "51022", "preopen": "51021", "expired": "51027", "settling": "51030", "rebase": "51022"}


def flatten(raw: Row) -> dict[str, str]:
    """Return the scalar fields of a request as text: JSON true is "true", null is absent."""
    return {name: _scalar(value) for name, value in raw.items() if value is not None and not isinstance(value, list)}


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def require(request: dict[str, str], *names: str) -> None:
    """Refuse a request that leaves one of these out."""
    for name in names:
        if not request.get(name):
            raise VenueError("50014", name)


def check_ids(request: dict[str, str], *names: str) -> None:
    """Refuse client ids and tags of another form: alphanumerics, 32 at most; a tag 16."""
    for name in names:
        if request.get(name) and not CLIENT_ID.fullmatch(request[name]):
            raise VenueError("51000", name)
    if not TAG.fullmatch(request.get("tag", "")):
        raise VenueError("51000", "tag")


def check_mode(venue: Venue, instrument: Instrument, request: dict[str, str]) -> None:
    """Refuse a margin mode or position side the account's settings do not allow."""
    level, mode = venue.account.level, request["tdMode"]
    if not instrument.is_swap:
        if mode != "cash":
            raise VenueError("54000")
        return
    if level == "1":
        raise VenueError("51010")
    if mode not in {"cross", "isolated"}:
        raise VenueError("51000", "tdMode")
    if mode == "isolated" and level in {"3", "4"}:
        raise VenueError("51010")
    hedged = venue.account.position_mode == "long_short_mode"
    if request.get("posSide", "net") not in ({"long", "short"} if hedged else {"net"}):
        raise VenueError("51000", "posSide")
    if hedged and request.get("reduceOnly") == "true":
        raise VenueError("51205")


def check_trading(instrument: Instrument, order_type: str) -> None:
    """Refuse an instrument that is not open for this order type."""
    if instrument.state == "post_only" and order_type == "post_only":
        return
    if instrument.state != LIVE:
        raise VenueError(NOT_TRADING.get(instrument.state, "51022"))


def read_size(
    instrument: Instrument, request: dict[str, str], *, in_quote: bool = False, market_price: Decimal | None = None
) -> Decimal:
    """Return the size, refusing what is no number, no multiple of the lot, too small or too large.

    ``market_price``: of a market order, at which the value of a spot one counts.
    """
    size = parse(request.get("sz"))
    if size is None or size <= 0:
        raise VenueError("51000", "sz")
    if in_quote:
        return size
    if not is_multiple(size, instrument.lot):
        raise VenueError("51121")
    if size < instrument.min_size:
        raise VenueError("51020")
    if size > instrument.limit_max:
        raise VenueError("51101", text(instrument.limit_max))
    if market_price is not None:
        _check_market_size(instrument, size if instrument.is_swap else size * market_price)
    return size


def _check_market_size(instrument: Instrument, counted: Decimal) -> None:
    if instrument.market_max is not None and counted > instrument.market_max:
        raise VenueError("51202", text(instrument.market_max))


def read_price(venue: Venue, instrument: Instrument, request: dict[str, str], name: str = "px") -> Decimal:
    """Return the limit price, refusing what is missing, off the tick or outside the venue's price limit."""
    if not request.get(name):
        raise VenueError("51204")
    price = parse(request[name])
    if price is None or price <= 0 or not is_multiple(price, instrument.tick):
        raise VenueError("51000", name)
    mark, band = venue.market(instrument.inst_id).mark, venue.rules.price_band
    highest, lowest = mark * (1 + band), mark * (1 - band)
    if (request["side"] == "buy" and price > highest) or (request["side"] == "sell" and price < lowest):
        raise VenueError(*(("51137", text(highest)) if request["side"] == "buy" else ("51138", text(lowest))))
    return price


def check_attached(attached: list[Row], side: str, reference: Decimal, *, market: bool) -> None:
    """Refuse attached prices on the wrong side of the order's price (of the best one for a market order)."""
    for row in attached:
        profit, stop = parse(row.get("tpTriggerPx") or None), parse(row.get("slTriggerPx") or None)
        if profit is None and stop is None:
            raise VenueError("51000", "attachAlgoOrds")
        if stop is not None and not row.get("slOrdPx"):
            raise VenueError("51000", "slOrdPx")
        if profit is not None and not row.get("tpOrdPx"):
            raise VenueError("51000", "tpOrdPx")
        buy = side == "buy"
        if profit is not None and (profit <= reference if buy else profit >= reference):
            raise VenueError(("51050" if buy else "51052") if market else ("51046" if buy else "51048"))
        if stop is not None and (stop >= reference if buy else stop <= reference):
            raise VenueError(("51051" if buy else "51053") if market else ("51047" if buy else "51049"))


def check_deadline(venue: Venue, deadline: str) -> None:
    """Refuse a request whose ``expTime`` has passed at the venue; one that is no number is refused too."""
    if not deadline:
        return
    if not deadline.isdigit():
        raise VenueError("51000", "expTime")
    if int(deadline) < venue.clock.now_ms():
        raise VenueError("50036")


def check_quote_currency(venue: Venue, instrument: Instrument, request: dict[str, str]) -> None:
    """Refuse a spot order in another currency than the pair's, or, by the venue's rules, without a word on it."""
    named = request.get("tradeQuoteCcy", "")
    if named and (instrument.is_swap or named != instrument.quote):
        raise VenueError("51000", "tradeQuoteCcy")
    if not named and not instrument.is_swap and venue.rules.quote_currency_named:
        raise VenueError("50014", "tradeQuoteCcy")


def check_slippage(venue: Venue, order: Order) -> None:
    """Refuse a market order sized in the coin it receives that would go further than its ``slippagePct``; default 0."""
    allowed = parse(order.asked("slippagePct", "0"))
    if allowed is None or not 0 <= allowed <= SLIPPAGE_MAX:
        raise VenueError("54085")
    buy, market = order.side == "buy", venue.market(order.instrument.inst_id)
    left, worst = order.size, market.best(order.side)
    for price, size in sorted((market.asks if buy else market.bids).items(), reverse=not buy):
        if left <= 0:
            break
        worst, left = price, left - (size if buy else size * price)
    if abs(worst - market.best(order.side)) > market.best(order.side) * allowed:
        raise VenueError("54084")
