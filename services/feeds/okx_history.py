"""Fetch OKX's public history through ccxt into files the importers read: 1m bars, hourly marks, settled funding.

Raw replies are used, not ccxt's unified ones: those are floats. Needs the internet, no key. A day that is complete is
kept and not fetched again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.feeds.bars import BAR_HEADER, FUNDING_HEADER, MARK_HEADER
from services.feeds.model import FeedError

INSTRUMENTS = ("BTC-USDT-SWAP", "ETH-USDT-SWAP")
DAYS = 10
ATTEMPTS = 3
PAGE = "100"
"""Rows a request. Source: OKX v5, history candles, mark price candles and funding history: at most 100."""
TIMEOUT_MS = 10_000

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

Call = Callable[[dict[str, str]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Series:
    """One endpoint and the file it fills. ``lead_ms``: how much earlier than the bars it starts."""

    method: str
    name: str
    header: str
    lead_ms: int
    parameters: dict[str, str]
    row: Callable[[Any], tuple[int, str]]


def _candle(row: Any) -> tuple[int, str]:
    """Return time and line of a bar. Source: OKX v5: ts,o,h,l,c,vol,volCcy,volCcyQuote,confirm; of swaps volCcy."""
    return int(row[0]), ",".join((row[0], *row[1:5], row[6]))


def _mark(row: Any) -> tuple[int, str]:
    return int(row[0]), ",".join(row[:5])


def _funding(row: Any) -> tuple[int, str]:
    return int(row["fundingTime"]), f"{row['fundingTime']},{row['realizedRate']}"


_SERIES = (
    _Series("public_get_market_history_candles", "{}_1m_{}", BAR_HEADER, 0, {"bar": "1m"}, _candle),
    _Series(
        "public_get_market_history_mark_price_candles", "{}_mark_1h_{}", MARK_HEADER, _HOUR_MS, {"bar": "1H"}, _mark
    ),
    _Series("public_get_public_funding_rate_history", "{}_funding_8h_{}", FUNDING_HEADER, 8 * _HOUR_MS, {}, _funding),
)


def fetch_okx_history(
    folder: Path,
    *,
    instruments: Sequence[str] = INSTRUMENTS,
    days: int = DAYS,
    base_url: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """Return the files of the last ``days`` whole UTC days, fetched into ``folder`` where they are not there yet.

    The venue's clock decides what the last day is. ``base_url``: another host speaking the same API. Raises FeedError
    when the venue cannot be reached or refuses, after three attempts a request.
    """
    exchange = _exchange(base_url)
    stamp = _ask(exchange.public_get_public_time, {}, pause)["data"][0]["ts"]
    end = int(stamp) // _DAY_MS * _DAY_MS
    start = end - days * _DAY_MS
    folder.mkdir(parents=True, exist_ok=True)
    span = f"{_day(start)}-{_day(end - _DAY_MS)}"
    result = []
    for instrument_id in instruments:
        for series in _SERIES:
            path = folder / f"{series.name.format(instrument_id, span)}.csv"
            if not path.exists():
                progress(f"fetching {path.name}")
                rows = _pages(getattr(exchange, series.method), series, instrument_id, start, end, pause)
                _write(path, series.header, sorted(dict(rows).items()))
            result.append(path)
    return result


def _exchange(base_url: str | None) -> Any:
    import ccxt  # loaded only here: it brings every exchange with it

    exchange = ccxt.okx({"enableRateLimit": base_url is None, "timeout": TIMEOUT_MS})
    if base_url is not None:
        exchange.urls["api"] = {"rest": base_url}
    return exchange


def _pages(
    call: Call, series: _Series, instrument_id: str, start: int, end: int, pause: Callable[[float], None]
) -> Iterator[tuple[int, str]]:
    """Yield time and line of every row in [start - lead, end), newest page first; each page must reach further back."""
    first, after = start - series.lead_ms, end
    while after > first:
        parameters = {"instId": instrument_id, "after": str(after), "limit": PAGE, **series.parameters}
        try:
            rows = [series.row(row) for row in _ask(call, parameters, pause)["data"]]
        except (LookupError, TypeError, ValueError) as error:
            raise FeedError(f"public OKX history: {series.method} answered in an unknown form: {error}") from error
        oldest = min((ts for ts, _ in rows), default=after)
        if oldest >= after:
            return
        yield from ((ts, line) for ts, line in rows if first <= ts < end)
        after = oldest


def _ask(call: Call, parameters: dict[str, str], pause: Callable[[float], None]) -> dict[str, Any]:
    """Return the reply to one request, tried three times when the network is at fault."""
    import ccxt

    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call(parameters)
        except ccxt.NetworkError as error:
            if attempt == ATTEMPTS:
                raise _unreachable(error) from error
            pause(0.5 * 2**attempt)
        except ccxt.BaseError as error:
            raise FeedError(f"public OKX history: the venue refuses: {_short(error)}") from error
    raise AssertionError("the last attempt returns or raises")


def _unreachable(error: Exception) -> FeedError:
    return FeedError(
        f"public OKX history: cannot be reached after {ATTEMPTS} attempts ({_short(error)}); "
        "name recorded files with --feed, or run on the synthetic tape"
    )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _write(path: Path, header: str, rows: Sequence[tuple[int, str]]) -> None:
    """Write the file whole or not at all: a half-fetched one must not look complete."""
    if not rows:
        raise FeedError(f"public OKX history: no row for {path.name}")
    partial = path.with_suffix(".partial")
    partial.write_text("\n".join((header, *(line for _, line in rows))) + "\n", encoding="utf-8")
    partial.replace(path)


def _day(milliseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).strftime("%Y%m%d")
