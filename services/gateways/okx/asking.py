"""Questions to OKX over REST: pages of rows, bounded; an answer that is none raises VenueUnavailable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp
import ccxt

from services.gateways.okx.exchange import OkxExchange, VenueReply
from services.gateways.okx.fields import PayloadError, Row
from services.gateways.okx.pace import NoTurn, Pace
from services.gateways.okx.venue import VenueUnavailable

PAGE = 100
PAGES_MAX = 100
"""More rows than this in one answer is not a question we ask."""
NOT_FOUND = frozenset({"51603"})
"""OKX: the order does not exist."""
FAILURES = (ccxt.BaseError, aiohttp.ClientError, OSError, TimeoutError, NoTurn)

T = TypeVar("T")


class Questions:
    """Asks one OKX client, each question in its turn."""

    def __init__(self, exchange: OkxExchange, pace: Pace) -> None:
        self._exchange, self._pace = exchange, pace

    async def rows(
        self, path: str, parameters: Mapping[str, str] | None = None, *, public: bool = False
    ) -> list[dict[str, Any]]:
        """Return the rows of an answer; none where OKX says that the order does not exist."""
        access = "public" if public else "private"
        try:
            await self._pace.turn(f"GET {path}")
            reply = await self._exchange.request(path, [access], "GET", dict(parameters or {}))
        except VenueReply as error:
            if str(error.reply["code"]) in NOT_FOUND:
                return []
            raise VenueUnavailable(f"{path}: {error}") from error
        except FAILURES as error:
            raise VenueUnavailable(f"{path}: {type(error).__name__}: {str(error)[:200]}") from error
        found = reply.get("data") if isinstance(reply, dict) else None
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise VenueUnavailable(f"{path}: answered without rows: {str(reply)[:200]}")
        return found

    async def row(self, path: str, parameters: Mapping[str, str] | None = None, *, public: bool = False) -> Row:
        """Return the one row of an answer."""
        found = await self.rows(path, parameters, public=public)
        if len(found) != 1:
            raise VenueUnavailable(f"{path}: answered {len(found)} rows, expected 1")
        return found[0]

    async def pages(
        self,
        path: str,
        parameters: Mapping[str, str],
        cursor: str,
        *,
        enough: Callable[[Row], bool] = lambda row: False,
    ) -> list[dict[str, Any]]:
        """Return all rows, newest first, going back page by page from the ``cursor`` field of the last row.

        ``enough``: whether a row is so old that no page after it is of interest.
        """
        found: list[dict[str, Any]] = []
        asked = {**parameters, "limit": str(PAGE)}
        for _ in range(PAGES_MAX):
            page = await self.rows(path, asked)
            found += page
            if len(page) < PAGE or enough(page[-1]):
                return found
            asked["after"] = str(page[-1].get(cursor, ""))
        raise VenueUnavailable(f"{path}: more than {PAGE * PAGES_MAX} rows")


def read_all(path: str, rows: Sequence[Row], reader: Callable[[Row], T]) -> list[T]:
    """Return every row read; raises VenueUnavailable naming the first that cannot be."""
    try:
        return [reader(row) for row in rows]
    except PayloadError as error:
        raise VenueUnavailable(f"{path}: {error}") from error
