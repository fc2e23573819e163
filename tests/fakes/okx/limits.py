"""Rate limits: so many requests in a sliding window for each endpoint, key and instrument.

Source: the "Rate Limit" lines of the v5 documentation; trading endpoints count by user and instrument, over REST and
WebSocket together; market data counts by address.
"""

from __future__ import annotations

from collections import defaultdict, deque

from tests.fakes.okx.clock import Clock
from tests.fakes.okx.errors import VenueError
from tests.fakes.okx.rules import Rules

WINDOW_MS = 2000
LIMITS: dict[str, int] = {
    "trade/order": 60,
    "trade/batch-orders": 300,
    "trade/cancel-order": 60,
    "trade/cancel-batch-orders": 300,
    "trade/amend-order": 60,
    "trade/amend-batch-orders": 300,
    "GET trade/order": 60,
    "trade/orders-pending": 60,
    "trade/orders-history": 40,
    "trade/orders-history-archive": 20,
    "trade/fills": 60,
    "trade/fills-history": 10,
    "trade/order-algo": 20,
    "GET trade/order-algo": 20,
    "trade/cancel-algos": 20,
    "trade/amend-algos": 20,
    "trade/orders-algo-pending": 20,
    "trade/orders-algo-history": 20,
    "trade/cancel-all-after": 2,  # one a second
    "trade/close-position": 20,
    "account/balance": 10,
    "account/positions": 10,
    "account/positions-history": 10,
    "account/bills": 10,
    "account/bills-archive": 10,
    "account/config": 5,
    "account/set-leverage": 40,
    "account/leverage-info": 20,
    "account/set-position-mode": 5,
    "account/trade-fee": 5,
    "account/max-size": 20,
    "account/instruments": 20,
    "asset/currencies": 12,
    "public/instruments": 20,
    "public/position-tiers": 10,
    "public/time": 10,
    "public/funding-rate": 10,
    "public/funding-rate-history": 10,
    "public/mark-price": 10,
    "public/price-limit": 20,
    "market/candles": 40,
    "market/history-candles": 20,
    "market/mark-price-candles": 20,
    "market/history-mark-price-candles": 20,
    "market/books": 40,
    "market/trades": 100,
    "market/ticker": 20,
    "market/tickers": 20,
    "market/index-tickers": 20,
}


class RateLimits:
    """Counts by (endpoint, whom it counts against)."""

    def __init__(self, clock: Clock, rules: Rules) -> None:
        """Count from nothing."""
        self._clock, self._rules = clock, rules
        self._seen: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)

    def count(self, endpoint: str, whom: str, times: int = 1) -> None:
        """Count a request (a batch: its orders); refuse it past the limit with 50011."""
        limit = LIMITS.get(endpoint)
        if self._rules.rate_limits and limit is not None:
            self._take(endpoint, whom, times, limit, "50011")

    def count_orders(self, times: int) -> None:
        """Count new and amended orders against the account's own limit, 50061."""
        if self._rules.rate_limits:
            self._take("orders", "account", times, self._rules.sub_account_orders_per_2s, "50061")

    def _take(self, endpoint: str, whom: str, times: int, limit: int, code: str) -> None:
        now, seen = self._clock.now_ms(), self._seen[endpoint, whom]
        while seen and seen[0] <= now - WINDOW_MS:
            seen.popleft()
        if len(seen) + times > limit:
            raise VenueError(code, http=self._rules.rate_limited_http if code == "50011" else None)
        seen.extend([now] * times)
