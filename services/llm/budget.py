"""What a UTC day may cost, in tokens and in USD: pure arithmetic, fed from the log first and from every answer after.

A call is let through only if the most it may take still fits beside what is spent and what calls under way may take. A
price nobody knows counts as 0 USD; the tokens bind all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events.model import CompletionFailed, CompletionReceived
from schemas.values import SECOND

DAY = 86_400 * SECOND
BYTES_PER_TOKEN = 2
"""Least bytes a token of a prompt stands for when its size is guessed beforehand; English and JSON have about four."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens, and USD where a price is known."""

    tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.cost - other.cost)


def most(prompt_bytes: int, max_tokens: int, prices: tuple[Decimal, Decimal] | None) -> Amount:
    """Return the most a call may take."""
    prompt = prompt_bytes // BYTES_PER_TOKEN + 1
    cost = Decimal(0) if prices is None else prices[0] * prompt + prices[1] * max_tokens
    return Amount(prompt + max_tokens, cost)


def spent_by(event: CompletionReceived | CompletionFailed) -> Amount:
    """Return what a recorded answer took, attempts nobody reported the usage of included."""
    tokens = event.prompt_tokens + event.completion_tokens + event.unreported_tokens
    return Amount(tokens, event.cost + (event.unreported_cost or Decimal(0)))


class Budget:
    """Spent and reserved of one UTC day; the next day begins with what is still reserved."""

    def __init__(self, limit: Amount) -> None:
        self.limit = limit
        self._day = 0
        self._spent = Amount()
        self._reserved = Amount()

    def spend(self, amount: Amount, now: int) -> None:
        """Count what was taken at a moment, microseconds; what an earlier day took does not count."""
        self._turn(now)
        if now // DAY == self._day:
            self._spent += amount

    def spent(self, now: int) -> Amount:
        """Return what the day of ``now`` took so far."""
        self._turn(now)
        return self._spent

    def reserve(self, amount: Amount, now: int) -> str | None:
        """Set aside what a call may take; return why it may not be made, where it does not fit."""
        self._turn(now)
        total = self._spent + self._reserved + amount
        if total.tokens > self.limit.tokens:
            return (
                f"{self._spent.tokens} of {self.limit.tokens} tokens spent today (UTC) and this may take "
                f"{total.tokens - self._spent.tokens}: TAPELINE_LLM_TOKENS_PER_DAY"
            )
        if total.cost > self.limit.cost:
            return (
                f"{self._spent.cost:.4f} of {self.limit.cost} USD spent today (UTC) and this may take "
                f"{total.cost - self._spent.cost:.4f}: TAPELINE_LLM_COST_PER_DAY"
            )
        self._reserved += amount
        return None

    def release(self, amount: Amount) -> None:
        """Give back what was set aside; what was really taken is told by ``spend``."""
        self._reserved -= amount

    def left(self, now: int) -> dict[str, float]:
        """Return the share of the day's tokens and USD that is not spent, 0 to 1; no USD allowed: no such share."""
        self._turn(now)
        left = {"tokens": 1 - self._spent.tokens / self.limit.tokens}
        if self.limit.cost:
            left["cost"] = float(1 - self._spent.cost / self.limit.cost)
        return {name: max(0.0, share) for name, share in left.items()}

    def _turn(self, now: int) -> None:
        if now // DAY > self._day:
            self._day, self._spent = now // DAY, Amount()
