"""The completion service over its restarts, takeovers and doubts: one answer a request, one payment a call."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from schemas.events.model import CompletionAttempted, CompletionFailed, CompletionFailure, CompletionsClaimed
from services.llm import service, topic
from services.llm.topic import CompletionsTopic
from services.sole_writer import AppendInDoubt, Displaced
from streams.log.base import Append, NewRecord
from tests.builders import T0
from tests.fakes.models.server import Fails, FakeModels, Hangs, Says, fake_models
from tests.llm_desk import MODEL, answers, ask, new_log, on, plan, serve, settings


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModels]:
    with fake_models() as running:
        yield running


@pytest.fixture
def fake(server: FakeModels) -> FakeModels:
    """The server with nothing scripted and nothing asked."""
    server.clear()
    return server


def test_what_a_service_left_unasked_the_next_one_asks_and_nothing_is_answered_twice(
    fake: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PARALLEL_MAX", 1)
    log = new_log()
    first, second, third = ask(log), ask(log), ask(log)
    ask(log, number=2)  # the trader published the same request again: a repeat, by its number
    fake.script.extend([Says(plan()), Hangs()])
    serve(log, settings(fake), until=lambda: len(answers(log)) == 1 and len(fake.asked) == 2)
    assert answers(log).keys() == {first}, "the one that hangs is given up with the service"
    fake.always = Says(plan())
    serve(log, settings(fake), until=lambda: len(answers(log)) == 3)
    assert answers(log).keys() == {first, second, third}
    assert len(fake.asked) == 3, "what was under way is not asked again"
    assert len(on(log, CompletionsClaimed)) == 2


def test_a_call_nobody_saw_the_end_of_is_not_made_again_and_counts_at_its_most(fake: FakeModels) -> None:
    log = new_log()
    request = ask(log)
    fake.script.extend([Fails(500), Hangs()])
    serve(log, settings(fake), until=lambda: len(fake.asked) == 2)
    attempts = [event for _, event in on(log, CompletionAttempted)]
    assert [(event.request_id, event.model, event.attempt) for event in attempts] == [
        (request, MODEL, 1), (request, MODEL, 2)
    ]  # fmt: skip
    assert attempts[0].tokens_max > 2000
    assert attempts[0].cost_max > Decimal("0.0012"), "2000 tokens of output alone"
    most = 2 * attempts[0].tokens_max
    fake.always = Says(plan())
    second = ask(log)
    serve(log, settings(fake, TOKENS_PER_DAY=str(most + 3000)))
    event = answers(log)[request]
    assert isinstance(event, CompletionFailed)
    assert (event.reason, event.model, event.attempts) == (CompletionFailure.PROVIDER_ERROR, MODEL, 2)
    assert event.detail.startswith("interrupted: a service ended while the model was asked")
    assert (event.unreported_tokens, event.unreported_cost) == (most, 2 * attempts[0].cost_max)
    over = answers(log)[second]
    assert isinstance(over, CompletionFailed)
    assert (over.reason, len(fake.asked)) == (CompletionFailure.OVER_BUDGET, 2), "the day has it, from the start"
    assert f"{most} of {most + 3000} tokens spent today" in over.detail


def test_a_call_that_cannot_be_put_on_the_log_is_not_made(fake: FakeModels) -> None:
    class Silent:
        """A log that gives no word on what is added at an offset."""

        def __getattr__(self, name: str) -> Any:
            return getattr(log, name)

        def append_at(self, record: NewRecord, expected_offset: int) -> Append:
            """Append, and say nothing."""
            log.append_at(record, expected_offset)
            return Append.UNSURE

    log = new_log()
    request = ask(log)
    with pytest.raises(AppendInDoubt):
        serve(Silent(), settings(fake))  # type: ignore[arg-type]
    serve(log, settings(fake))
    event = answers(log)[request]
    assert (type(event), fake.asked) == (CompletionFailed, []), "it had landed, and nobody can know that nobody asked"


def test_a_long_run_leaves_a_place_from_which_the_next_one_goes_on(
    fake: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic, "PLACE_AFTER", 3)
    log = new_log()
    fake.always = Says(plan())
    for _ in range(4):
        ask(log)
    serve(log, settings(fake), until=lambda: len(on(log, CompletionsClaimed)) == 2)
    begun, placed = [event for _, event in on(log, CompletionsClaimed)]
    assert (begun.prompts_offset, begun.claim_id) == (None, placed.claim_id)
    assert (placed.prompts_offset, placed.prompts_seq) == (4, 4)
    fifth = ask(log)
    serve(log, settings(fake))
    assert (fifth in answers(log), len(fake.asked)) == (True, 5)


def test_a_service_that_was_taken_over_asks_and_writes_nothing_more(fake: FakeModels) -> None:
    log = new_log()
    fake.always = Says(plan())

    def taken_over() -> bool:
        if len(answers(log)) == 1 and len(on(log, CompletionsClaimed)) == 1:
            CompletionsTopic(log, 0, "paper", lambda: T0).claim()
            ask(log)
        return False

    ask(log)
    with pytest.raises(Displaced, match="another completion service has taken over"):
        serve(log, settings(fake), until=taken_over)
    assert len(fake.asked) == len(answers(log)) == 1


def test_an_answer_that_comes_after_the_takeover_does_not_count(fake: FakeModels) -> None:
    log = new_log()
    ask(log)

    def answer_late(_: object) -> str:
        CompletionsTopic(log, 0, "paper", lambda: T0).claim()
        return plan()

    fake.script.append(Says(answer_late))
    with pytest.raises(Displaced):
        serve(log, settings(fake))
    assert answers(log) == {}


@pytest.mark.parametrize("kind", ["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_many_requests_are_each_answered_once(fake: FakeModels, kind: str, request: pytest.FixtureRequest) -> None:
    log = new_log("memory://" if kind == "memory" else request.getfixturevalue("kafka_url"))
    requests = [ask(log) for _ in range(16)]
    fake.always = Says(plan())
    serve(log, settings(fake))
    assert answers(log).keys() == set(requests)
    assert len(fake.asked) == 16
    assert len(on(log, CompletionsClaimed)) == 1
    log.close()
