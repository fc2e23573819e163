"""Public REST endpoints: time, instruments, prices, books, candles, funding, status."""

from __future__ import annotations

from decimal import Decimal

from tests.fakes.okx.asked import Asked, Endpoint
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.market import Market
from tests.fakes.okx.numbers import text
from tests.fakes.okx.push import Row

TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")


def server_time(asked: Asked) -> list[Row]:
    """``/public/time``."""
    return [{"ts": str(asked.venue.clock.now_ms())}]


def instruments(asked: Asked) -> list[Row]:
    """``/public/instruments``: of one type, perhaps one id."""
    wanted = asked.need("instType")
    if wanted not in TYPES:
        raise VenueError("51000", "instType")
    rows = [row.row() for row in asked.venue.instruments.values() if row.inst_type == wanted]
    if asked.get("instId") and asked.get("instId") not in asked.venue.instruments:
        raise VenueError("51001")
    return [row for row in rows if asked.matches(row, "instId", "uly", "instFamily")]


def position_tiers(asked: Asked) -> list[Row]:
    """``/public/position-tiers``: of an instrument family or an instrument."""
    kind, mode = asked.need("instType"), asked.need("tdMode")
    if mode not in {"cross", "isolated"}:
        raise VenueError("51000", "tdMode")
    family, inst_id = asked.get("instFamily") or asked.get("uly"), asked.get("instId")
    if not family and not inst_id:
        raise VenueError("50015", "instFamily", "instId")
    swap = kind == "SWAP"
    rows: list[Row] = []
    for row in asked.venue.instruments.values():
        if row.is_swap == swap and (row.family in family.split(",") or row.inst_id == inst_id):
            rows += [dict(tier) for tier in row.tier_rows()]
    return [row for row in rows if asked.matches(row, "tier")]


def _market(asked: Asked) -> Market:
    inst_id = asked.need("instId")
    asked.venue.instrument(inst_id)
    return asked.venue.market(inst_id)


def _markets(asked: Asked) -> list[Market]:
    markets = asked.venue.markets.values()
    if asked.get("instId"):
        return [_market(asked)]
    return [m for m in markets if m.instrument.inst_type == asked.need("instType")]


def candles(asked: Asked) -> list[list[str]]:
    """``/market/candles``: newest first, the running one included."""
    return _candles(asked, _market(asked).candles, 300)


def history_candles(asked: Asked) -> list[list[str]]:
    """``/market/history-candles``: completed ones."""
    return [row for row in _candles(asked, _market(asked).candles, 300) if row[-1] == "1"]


def mark_candles(asked: Asked) -> list[list[str]]:
    """``/market/mark-price-candles`` and its history."""
    return _candles(asked, _market(asked).mark_candles, 100)


def _candles(asked: Asked, store: dict[str, dict[int, list[str]]], most: int) -> list[list[str]]:
    rows = store.get(asked.get("bar", "1m"), {})
    return asked.page(rows.values(), lambda row: int(row[0]), most=most)


def funding_rate(asked: Asked) -> list[Row]:
    """``/public/funding-rate``."""
    if asked.get("instId") == "ANY":
        return [m.funding_row() for m in asked.venue.markets.values() if m.instrument.is_swap]
    market = _market(asked)
    if not market.instrument.is_swap:
        raise VenueError("51000", "instId")
    return [market.funding_row()]


def funding_history(asked: Asked) -> list[Row]:
    """``/public/funding-rate-history``: newest first."""
    market = _market(asked)
    rows = [
        {
            "formulaType": "withRate",
            "fundingRate": text(rate),
            "fundingTime": str(moment),
            "instId": market.instrument.inst_id,
            "instType": market.instrument.inst_type,
            "method": "current_period",
            "realizedRate": text(realized),
        }
        for moment, rate, realized in market.funding.settled
    ]
    return asked.page(rows, lambda row: int(str(row["fundingTime"])), most=400)


def mark_price(asked: Asked) -> list[Row]:
    """``/public/mark-price``."""
    return [market.mark_row() for market in _markets(asked)]


def price_limit(asked: Asked) -> list[Row]:
    """``/public/price-limit``."""
    market, band = _market(asked), asked.venue.rules.price_band
    return [
        {
            "instType": market.instrument.inst_type,
            "instId": market.instrument.inst_id,
            "buyLmt": text(market.mark * (1 + band)),
            "sellLmt": text(market.mark * (1 - band)),
            "ts": str(asked.venue.clock.now_ms()),
            "enabled": True,
        }
    ]


def books(asked: Asked) -> list[Row]:
    """``/market/books``: as many levels as ``sz`` says, 400 at most."""
    depth = asked.get("sz", "1")
    if not depth.isdigit():
        raise VenueError("51000", "sz")
    return [_market(asked).rest_book(min(int(depth), 400))]


def trades(asked: Asked) -> list[Row]:
    """``/market/trades``: newest first."""
    market = _market(asked)
    return [dict(row) | {"source": "0"} for row in reversed(market.trades)][: asked.limit(100, 500)]


def history_trades(asked: Asked) -> list[Row]:
    """``/market/history-trades``: paged by trade id."""
    market = _market(asked)
    rows = [dict(row) | {"source": "0"} for row in market.trades]
    return asked.page(rows, lambda row: int(str(row["tradeId"])))


def tickers(asked: Asked) -> list[Row]:
    """``/market/ticker`` and ``/market/tickers``."""
    return [market.ticker_row() for market in _markets(asked)]


def index_tickers(asked: Asked) -> list[Row]:
    """``/market/index-tickers``: by index or by quote currency."""
    rows = {str(m.index_row()["instId"]): m.index_row() for m in asked.venue.markets.values()}
    if asked.get("instId"):
        if asked.get("instId") not in rows:
            raise VenueError("51014")
        return [rows[asked.get("instId")]]
    return [row for name, row in rows.items() if name.endswith("-" + asked.need("quoteCcy"))]


def open_interest(asked: Asked) -> list[Row]:
    """``/public/open-interest``: a made-up constant of the right shape."""
    now = str(asked.venue.clock.now_ms())
    size = Decimal(1_000_000)
    return [
        {
            "instType": m.instrument.inst_type,
            "instId": m.instrument.inst_id,
            "oi": text(size),
            "oiCcy": text(size * m.instrument.ct_val),
            "oiUsd": text(m.instrument.notional(size, m.mark)),
            "ts": now,
        }
        for m in _markets(asked)
    ]


def status(asked: Asked) -> list[Row]:
    """``/system/status``: maintenance announced or going on."""
    return [row for row in asked.venue.status_rows if asked.matches(row, "state")]


ENDPOINTS: dict[str, Endpoint] = {
    "public/time": server_time,
    "public/instruments": instruments,
    "public/position-tiers": position_tiers,
    "public/funding-rate": funding_rate,
    "public/funding-rate-history": funding_history,
    "public/mark-price": mark_price,
    "public/price-limit": price_limit,
    "public/open-interest": open_interest,
    "market/candles": candles,
    "market/history-candles": history_candles,
    "market/mark-price-candles": mark_candles,
    "market/history-mark-price-candles": mark_candles,
    "market/books": books,
    "market/trades": trades,
    "market/history-trades": history_trades,
    "market/ticker": tickers,
    "market/tickers": tickers,
    "market/index-tickers": index_tickers,
    "system/status": status,
}
