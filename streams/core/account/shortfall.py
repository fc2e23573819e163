"""Implementation shortfall: what a trade cost against its decision price, split into where it was lost.

Every benchmark is turned into an amount once (quantity times price, rounded like a posting), so the parts telescope:
each leg adds up exactly to its fills against its first benchmark.
Source: Perold; domain definitions, section 7 (golden case G9).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.account import Shortfall
from schemas.values import Money, bps, money
from streams.core.account.state import ZERO


@dataclass(frozen=True, slots=True)
class Amounts:
    """One side of a trade, as amounts of the traded quantity at each benchmark, in quote currency.

    decision: P0 (exit: X0); approval: P1; venue: P2, when the venue had the order; touch: T2, the near touch then;
    filled: what was traded.
    """

    decision: Decimal
    approval: Decimal
    venue: Decimal
    touch: Decimal
    filled: Decimal

    def costs(self, sign: int) -> tuple[Money, Money, Money, Money]:
        """Return (decision, delay, spread, impact), positive = cost; ``sign``: +1 where the leg buys."""
        return (
            cost(sign * (self.approval - self.decision)),
            cost(sign * (self.venue - self.approval)),
            cost(sign * (self.touch - self.venue)),
            cost(sign * (self.filled - self.touch)),
        )


def cost(value: Decimal) -> Money:
    """Return a cost rounded like a posting, never a negative zero."""
    return money(value + ZERO)


def amounts_at(quantity: Decimal, p0: Decimal, p1: Decimal, p2: Decimal, t2: Decimal, *, filled: Decimal) -> Amounts:
    """Return the leg of ``quantity`` base units whose fills were worth ``filled``."""
    return Amounts(money(quantity * p0), money(quantity * p1), money(quantity * p2), money(quantity * t2), filled)


def opportunity(*, sign: int, missed: Decimal, p0: Decimal, x0: Decimal) -> Money:
    """Return what the unfilled quantity would have made: ``s * (Q - q) * (X0 - P0)``, positive = cost.

    For an entry that never filled X0 is the mid at its expiry.
    """
    return cost(sign * missed * (x0 - p0))


def shortfall(
    *,
    sign: int,
    intended: Decimal,
    entered: Decimal,
    p0: Decimal,
    entry: Amounts,
    leave: Amounts,
    fees: Decimal,
    funding: Decimal,
    spread_observed: bool,
) -> Shortfall:
    """Return a closed trade's shortfall: ``s * Q * (X0 - P0) - net_pnl`` in its parts, positive = cost.

    ``intended`` Q and ``entered`` q in base units; ``fees`` with penalties; ``funding`` positive = received.
    """
    decision, delay, spread, impact = entry.costs(sign)
    exits = leave.costs(-sign)
    missed = opportunity(sign=sign, missed=intended - entered, p0=p0, x0=leave.decision / entered)
    total = decision + delay + spread + impact + sum(exits, ZERO) + fees - funding + missed
    return Shortfall(
        decision=decision,
        delay=delay,
        spread=spread,
        impact=impact,
        exit_decision=exits[0],
        exit_delay=exits[1],
        exit_spread=exits[2],
        exit_impact=exits[3],
        fee=Money(fees),
        funding=Money(funding),
        opportunity=missed,
        total=Money(total),
        total_bps=bps(total / (intended * p0) * 10000) if intended > 0 else None,
        spread_observed=spread_observed,
    )
