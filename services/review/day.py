"""The review of one UTC day of one account, from the projections: what it came to, in a message's length.

The day of a row is that of its ``ts_event``, the market's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from schemas.values import plain
from services.query.database import ReadDatabase

ZERO = Decimal(0)
CODES_SHOWN = 3

_EQUITY = """
SELECT (SELECT equity FROM equity_points WHERE account_id = %(account)s AND ts_event < %(start)s
        ORDER BY ts_event DESC, log_offset DESC LIMIT 1) AS before,
       (SELECT equity FROM equity_points WHERE account_id = %(account)s AND ts_event >= %(start)s AND ts_event < %(end)s
        ORDER BY ts_event, log_offset LIMIT 1) AS first,
       (SELECT equity FROM equity_points WHERE account_id = %(account)s AND ts_event < %(end)s
        ORDER BY ts_event DESC, log_offset DESC LIMIT 1) AS last,
       (SELECT coalesce(sum(amount), 0) FROM cash_flows WHERE account_id = %(account)s AND kind <> 'INITIAL'
        AND ts_event >= %(start)s AND ts_event < %(end)s) AS flows,
       (SELECT coalesce(sum(amount), 0) FROM charges WHERE account_id = %(account)s
        AND ts_event >= %(start)s AND ts_event < %(end)s) AS charges,
       EXISTS (SELECT FROM equity_points WHERE account_id = %(account)s AND ts_event >= %(end)s) AS complete,
       (SELECT max(drawdown_pct) FROM equity_points
        WHERE account_id = %(account)s AND ts_event >= %(start)s AND ts_event < %(end)s) AS drawdown
"""
_TRADES = """
SELECT count(*) AS closed, count(*) FILTER (WHERE net_pnl > 0) AS won, coalesce(sum(net_pnl), 0) AS net,
       coalesce(sum(fees), 0) AS fees, coalesce(sum(funding), 0) AS funding, coalesce(sum(r_multiple), 0) AS r
FROM trades_closed WHERE account_id = %(account)s AND ts_event >= %(start)s AND ts_event < %(end)s
"""
_PLANS = """
SELECT (SELECT count(*) FROM plan_proposals
        WHERE account_id = %(account)s AND ts_event >= %(start)s AND ts_event < %(end)s) AS proposed,
       (SELECT count(*) FROM verdicts
        WHERE account_id = %(account)s AND approved AND ts_event >= %(start)s AND ts_event < %(end)s) AS approved
"""
_DENIED = """
SELECT code, count(*) AS times FROM verdicts
WHERE account_id = %(account)s AND NOT approved AND ts_event >= %(start)s AND ts_event < %(end)s
GROUP BY code ORDER BY times DESC, code
"""
_STATES = """
SELECT (SELECT count(*) FROM trading_states WHERE account_id = %(account)s AND state = 'HALTED' AND previous <> 'HALTED'
        AND ts_event >= %(start)s AND ts_event < %(end)s) AS halts,
       (SELECT state FROM trading_states WHERE account_id = %(account)s AND ts_event < %(end)s
        ORDER BY ts_event DESC, log_offset DESC LIMIT 1) AS state
"""


@dataclass(frozen=True, slots=True)
class DayReview:
    """What a day came to. equity_start: at the end of the day before, else the day's first; drawdown_pct: the worst.

    flows: paid in less taken out, in equity_end and no result. charges: of the venue outside of trades, positive =
    received, a result. complete: the tables reach beyond the day's end (a new day begins with its equity).
    denied: plans by denial code, most frequent first. state: at the day's end, None where none was ever told.
    """

    account_id: str
    day: date
    equity_start: Decimal
    equity_end: Decimal
    flows: Decimal
    charges: Decimal
    complete: bool
    drawdown_pct: Decimal
    closed: int
    won: int
    net_pnl: Decimal
    fees: Decimal
    funding: Decimal
    r_sum: Decimal
    proposed: int
    approved: int
    denied: Mapping[str, int]
    halts: int
    state: str | None


def review_day(database: ReadDatabase, account_id: str, day: date) -> DayReview | None:
    """Return the review of a day; None: the account had no equity on it. Raises DatabaseUnavailable."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    scope = {"account": account_id, "start": start, "end": start + timedelta(days=1)}
    with database.connection() as connection:
        equity = _row(connection, _EQUITY, scope)
        if equity["first"] is None:
            return None
        trades, plans = _row(connection, _TRADES, scope), _row(connection, _PLANS, scope)
        states, denied = _row(connection, _STATES, scope), _rows(connection, _DENIED, scope)
    return DayReview(
        account_id=account_id,
        day=day,
        equity_start=equity["before"] if equity["before"] is not None else equity["first"],
        equity_end=equity["last"],
        flows=equity["flows"],
        charges=equity["charges"],
        complete=equity["complete"],
        drawdown_pct=equity["drawdown"],
        closed=trades["closed"],
        won=trades["won"],
        net_pnl=trades["net"],
        fees=trades["fees"],
        funding=trades["funding"],
        r_sum=trades["r"],
        proposed=plans["proposed"],
        approved=plans["approved"],
        denied={row["code"]: row["times"] for row in denied},
        halts=states["halts"],
        state=states["state"],
    )


def headline(review: DayReview) -> str:
    """Return the day in one line."""
    return (
        f"{review.day}, account {review.account_id}: {_signed(review.net_pnl)} USDT from {review.closed} trades, "
        f"equity {_money(review.equity_end)}"
    )


def text(review: DayReview) -> str:
    """Return the day in a few lines."""
    start, end = review.equity_start, review.equity_end
    flows = f" without transfers of {_signed(review.flows)} USDT" if review.flows else ""
    change = f" ({_signed((end - review.flows - start) / start * 100)} %{flows})" if start > 0 else ""
    charges = f" Charged by the venue outside of trades: {_signed(review.charges)}." if review.charges else ""
    codes = ", ".join(f"{code} {times}" for code, times in list(review.denied.items())[:CODES_SHOWN])
    more = len(review.denied) - CODES_SHOWN
    denied = sum(review.denied.values())
    lines = [
        f"Equity {_money(start)} -> {_money(end)} USDT{change}; deepest drawdown {_money(review.drawdown_pct)} %.",
        f"Trades closed: {review.closed}, won {review.won}; net {_signed(review.net_pnl)} USDT "
        f"({_signed(review.r_sum)} R), in it fees {_money(review.fees)} paid and funding {_signed(review.funding)}."
        + charges,
        f"Plans: {review.proposed} proposed, {review.approved} approved, {denied} denied"
        + (f" ({codes}{f' and {more} codes more' if more > 0 else ''})." if denied else "."),
        f"Trading is {review.state or 'not begun'}; halted {review.halts} times.",
    ]
    if not review.complete:
        lines.append("The tables do not reach the end of the day: this is what was known when it was told.")
    return "\n".join(lines)


def content(review: DayReview) -> dict[str, Any]:
    """Return the day for machines: numbers as plain strings."""
    values = {name: getattr(review, name) for name in review.__dataclass_fields__}
    return {
        name: plain(value) if isinstance(value, Decimal) else str(value) if isinstance(value, date) else value
        for name, value in values.items()
    }


def _money(value: Decimal) -> str:
    return f"{value:.2f}"


def _signed(value: Decimal) -> str:
    return f"{value:+.2f}"


def _row(connection: psycopg.Connection[Any], query: str, scope: Mapping[str, Any]) -> dict[str, Any]:
    return _rows(connection, query, scope)[0]


def _rows(connection: psycopg.Connection[Any], query: str, scope: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, scope).fetchall()
