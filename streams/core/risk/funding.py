"""What funding a trade may meet: the predicted rate and how many settlements come before it must be over."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.plan import PlanProposed
from schemas.values import SECOND
from streams.core.risk.state import Funding, Market

SETTLEMENTS_WITHOUT_TIME_STOP = 3
"""Source: domain definitions, section 3, step 6."""


def rate_and_settlements(market: Market | None, plan: PlanProposed, now: int, *, spot: bool) -> tuple[Decimal, int]:
    """Return the predicted rate (the forecast, else the last settled one, else 0) and the settlements it is paid at."""
    if market is None or spot:
        return Decimal(0), 0
    funding = market.funding
    forecast_runs = funding.forecast_rate is not None and funding.forecast_at > now
    rate = funding.forecast_rate if forecast_runs or funding.settled_rate is None else funding.settled_rate
    return rate or Decimal(0), settlements(funding, now, plan.max_holding_s)


def settlements(funding: Funding, now: int, max_holding_s: int | None) -> int:
    """Return how many settlements fall in ``(now, now + max_holding_s]``; 3 without a time stop or a known interval."""
    if max_holding_s is None or funding.interval <= 0:
        return SETTLEMENTS_WITHOUT_TIME_STOP
    known = funding.forecast_at or funding.settled_at
    upcoming = known + max(0, (now - known) // funding.interval + 1) * funding.interval if known <= now else known
    end = now + max_holding_s * SECOND
    return 0 if upcoming > end else (end - upcoming) // funding.interval + 1
