"""What the market gateway counts about itself: plain numbers, for health and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class MarketCounters:
    """Totals since the process started, unless said otherwise.

    frames: WebSocket messages read, also those without a tick. ticks: written, by event type. repeats: bars and trades
    that were on the log already and were dropped. quarantined: frames that could not be read. disconnects: connections
    that were up and ended. dial_failures: attempts that did not become a connection. gaps: sequence gaps of a book.
    resyncs: books whole again. backfilled_bars: bars fetched over REST. rest_failures: requests that failed, retried or
    not. inbox_max: most frames ever waiting. waits, waited_s: how often and for how long reading stopped because the
    log was slower than the feed. lag_us, lag_us_max: age of the oldest tick of an append when it was durable, of the
    last one and the largest so far.
    """

    frames: int = 0
    ticks: dict[str, int] = field(default_factory=dict)
    repeats: int = 0
    quarantined: int = 0
    disconnects: int = 0
    dial_failures: int = 0
    gaps: int = 0
    resyncs: int = 0
    backfilled_bars: int = 0
    rest_failures: int = 0
    inbox_max: int = 0
    waits: int = 0
    waited_s: float = 0.0
    lag_us: int = 0
    lag_us_max: int = 0

    def count_tick(self, kind: str) -> None:
        """Count one tick of an event type."""
        self.ticks[kind] = self.ticks.get(kind, 0) + 1
