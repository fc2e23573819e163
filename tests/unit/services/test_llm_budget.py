"""What a day may cost: reserved before, booked after, forgotten at midnight; what is set free can be used again."""

from __future__ import annotations

from decimal import Decimal

from schemas.events.model import CompletionFailed, CompletionFailure
from schemas.values import Money
from services.llm.budget import DAY, Amount, Budget, most, spent_by

D = Decimal
NOON = 20_000 * DAY + DAY // 2
MIDNIGHT = 20_001 * DAY


def test_calls_under_way_count_as_what_they_may_take() -> None:
    budget = Budget(Amount(1000, D(1)))
    assert budget.reserve(Amount(600, D("0.1")), NOON) is None
    refused = budget.reserve(Amount(401, D(0)), NOON)
    assert refused == "0 of 1000 tokens spent today (UTC) and this may take 1001: TAPELINE_LLM_TOKENS_PER_DAY"
    budget.release(Amount(600, D("0.1")))
    budget.spend(Amount(200, D("0.05")), NOON)
    assert budget.reserve(Amount(800, D("0.95")), NOON) is None
    assert "TAPELINE_LLM_TOKENS_PER_DAY" in str(budget.reserve(Amount(1, D(0)), NOON))


def test_either_limit_binds_alone_and_to_the_last_cent() -> None:
    budget = Budget(Amount(1000, D("0.01")))
    assert budget.reserve(Amount(1, D("0.01")), NOON) is None
    assert "0.0000 of 0.01 USD spent today" in str(budget.reserve(Amount(1, D("0.00000001")), NOON))


def test_a_new_day_begins_with_nothing_spent_and_what_is_under_way() -> None:
    budget = Budget(Amount(1000, D(1)))
    budget.spend(Amount(900, D("0.9")), NOON)
    assert {name: round(left, 9) for name, left in budget.left(NOON).items()} == {"tokens": 0.1, "cost": 0.1}
    assert budget.reserve(Amount(50, D(0)), MIDNIGHT - 1) is None
    assert budget.left(MIDNIGHT) == {"tokens": 1.0, "cost": 1.0}
    assert budget.reserve(Amount(951, D(0)), MIDNIGHT) is not None
    budget.spend(Amount(500, D(0)), NOON)
    assert budget.spent(MIDNIGHT) == Amount(), "told late of the day before"


def test_the_most_a_call_takes_is_the_prompt_at_two_bytes_a_token_and_the_whole_answer() -> None:
    assert most(1000, 200, (D("0.001"), D("0.01"))) == Amount(701, D("2.501"))
    assert most(1000, 200, None) == Amount(701, D(0))


def test_an_attempt_nobody_reported_counts_at_its_most() -> None:
    event = CompletionFailed(
        "paper", "r", "m", "p", (), CompletionFailure.TIMEOUT, "", 10, 20, Money(D("0.1")), 5, 2,
        unreported_tokens=300, unreported_cost=Money(D("0.4")),
    )  # fmt: skip
    assert spent_by(event) == Amount(330, D("0.5"))


def test_where_no_usd_may_be_spent_no_share_of_it_is_left_to_watch() -> None:
    assert Budget(Amount(1000, D(0))).left(NOON) == {"tokens": 1.0}
