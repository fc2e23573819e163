"""WebSocket channels: where each lives, what a subscription must say, and what it gets at once."""

from __future__ import annotations

from tests.fakes.okx import account_rows
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.push import PRIVATE, Push, Row
from tests.fakes.okx.venue import Venue

BY_INSTRUMENT = frozenset(
    {"trades", "books", "books5", "bbo-tbt", "books-l2-tbt", "books50-l2-tbt", "tickers", "mark-price", "funding-rate"}
)
PUBLIC = BY_INSTRUMENT | {"index-tickers", "instruments", "status"}
NEEDS_TYPE = frozenset({"orders", "orders-algo", "positions", "instruments"})
VIP = frozenset({"books-l2-tbt", "books50-l2-tbt", "fills"})
Argument = dict[str, str]


def home(channel: str) -> str:
    """Return the URL a channel lives on: public, private or business; "" if there is no such channel."""
    if channel.startswith(("candle", "mark-price-candle")) or channel in {"trades-all", "orders-algo"}:
        return "business"
    if channel in PRIVATE:
        return "private"
    return "public" if channel in PUBLIC else ""


def check(venue: Venue, url: str, argument: Argument, *, logged_in: bool) -> None:
    """Refuse a subscription as the venue does."""
    channel = argument.get("channel", "")
    spelled = ",".join(f"{name}:{value}" for name, value in argument.items())
    if home(channel) != url:
        raise VenueError("60018", spelled)
    if channel in PRIVATE and not logged_in:
        raise VenueError("60011")
    if channel in VIP and not venue.rules.vip:
        raise VenueError("64003")
    if channel in NEEDS_TYPE and not argument.get("instType"):
        raise VenueError("60018", spelled)
    if channel not in PRIVATE | {"instruments", "status"} and not _known(venue, channel, argument.get("instId", "")):
        raise VenueError("60018", spelled)


def _known(venue: Venue, channel: str, inst_id: str) -> bool:
    if channel == "index-tickers":
        return any(row.family == inst_id for row in venue.instruments.values())
    row = venue.instruments.get(inst_id)
    return row is not None and (row.is_swap or channel != "funding-rate")


def hears(argument: Argument, push: Push) -> bool:
    """Does the subscription cover the push?"""
    if argument["channel"] != push.channel:
        return False
    inst_id, kind = argument.get("instId", ""), argument.get("instType", "ANY")
    return (not inst_id or not push.inst_id or inst_id == push.inst_id) and (
        kind == "ANY" or not push.inst_type or kind == push.inst_type
    )


def first(venue: Venue, argument: Argument) -> list[Push]:
    """Return what a new subscription is sent: a snapshot where the channel has one."""
    channel, inst_id = argument["channel"], argument.get("instId", "")
    private = _first_private(venue, channel, inst_id)
    if private is not None:
        return private
    if channel == "instruments":
        rows = [row.row() for row in venue.instruments.values() if row.inst_type == argument["instType"]]
        return [Push(channel, rows)]
    if channel == "status":
        return [Push(channel, venue.status_rows)] if venue.status_rows else []
    if channel == "index-tickers":
        market = next(m for m in venue.markets.values() if m.instrument.family == inst_id)
        return [Push(channel, [market.index_row()])]
    return _first_market(venue, channel, inst_id)


def _first_private(venue: Venue, channel: str, inst_id: str) -> list[Push] | None:
    paging: Row = {"eventType": "snapshot", "curPage": 1, "lastPage": True}
    if channel == "account":
        return [Push(channel, [account_rows.account_row(venue)], fields=paging)]
    if channel == "positions":
        held = venue.account.open_positions(inst_id)
        return [Push(channel, [account_rows.position_row(venue, position) for position in held], fields=paging)]
    if channel == "balance_and_position":
        return [Push(channel, [venue.balance_and_position("snapshot", list(venue.account.cash))])]
    return [] if channel in PRIVATE else None


def _first_market(venue: Venue, channel: str, inst_id: str) -> list[Push]:
    market = venue.market(inst_id)
    rows: dict[str, Row] = {
        "books5": market.top(5),
        "bbo-tbt": market.top(1),
        "tickers": market.ticker_row(),
        "mark-price": market.mark_row(),
        "funding-rate": market.pushed_funding_row(),
    }
    if channel.startswith("books") and channel != "books5":
        return [Push(channel, [market.snapshot()], action="snapshot")]
    if "candle" in channel:
        return _last_candle(venue, channel, inst_id)
    return [Push(channel, [rows[channel]])] if channel in rows else []


def _last_candle(venue: Venue, channel: str, inst_id: str) -> list[Push]:
    market, bar = venue.market(inst_id), channel.partition("candle")[2]
    store = (market.mark_candles if channel.startswith("mark") else market.candles).get(bar, {})
    return [Push(channel, [store[max(store)]])] if store else []
