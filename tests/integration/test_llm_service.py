"""The completion service over real HTTP through the real litellm: one answer a request, whatever the provider does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from schemas.envelope import NOT_SEQUENCED
from schemas.events.model import (
    CompletionFailed,
    CompletionFailure,
    CompletionReceived,
)
from schemas.settings import SettingsError
from services.llm.library import BODY_BYTES_MAX
from services.llm.prompt import prompt_version
from tests.builders import T0
from tests.fakes.models.openai import KEY
from tests.fakes.models.server import Drops, Fails, FakeModels, Hangs, Says, Scripted, Sends, fake_models
from tests.llm_desk import BTC, FACTS, MODEL, answer_of, answers, ask, new_log, on, plan, serve, settings

PROVIDERS = ("openai", "deepseek", "anthropic", "gemini", "groq", "mistral", "ollama_chat", "openrouter", "xai")
"""Both ways litellm goes out: through OpenAI's client, and through its own handler."""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModels]:
    with fake_models() as running:
        yield running


@pytest.fixture
def fake(server: FakeModels) -> FakeModels:
    """The server with nothing scripted and nothing asked."""
    server.clear()
    return server


def received(fake: FakeModels, *script: Scripted, **variables: str) -> CompletionReceived:
    fake.script.extend(script)
    event = answer_of(settings(fake, **variables))
    assert isinstance(event, CompletionReceived), event
    return event


def failed(fake: FakeModels, always: Scripted, *, limit_s: float = 60, **variables: str) -> CompletionFailed:
    fake.always = always
    event = answer_of(settings(fake, **variables), limit_s=limit_s)
    assert isinstance(event, CompletionFailed), event
    return event


def test_a_good_answer_is_recorded_with_all_that_was_sent_and_what_it_cost(fake: FakeModels) -> None:
    log = new_log()
    request = ask(log)
    fake.script.append(Says(plan()))
    serve(log, settings(fake, TEMPERATURE="0.7", MAX_TOKENS="900"))
    (envelope, event) = on(log, CompletionReceived)[0]
    assert (event.request_id, event.account_id, event.model) == (request, "paper", MODEL)
    assert (event.model_served, event.temperature, event.finish_reason) == ("gpt-4o-mini-2025-03-01", "0.7", "stop")
    assert event.prompt_version == prompt_version()
    assert [message.role for message in event.messages] == ["system", "user"]
    assert event.messages[1].content == FACTS
    assert event.raw == plan()
    assert (event.prompt_tokens, event.completion_tokens, event.attempts, event.failures) == (1000, 200, 1, ())
    assert (event.cost, event.cost_known) == (Decimal("0.00027"), True)  # 1000 x 0.15 and 200 x 0.60 USD a million
    assert (envelope.causation_id, envelope.correlation_id) == (request, "idea-0")
    assert (envelope.stage, envelope.seq, envelope.ts_event) == ("llm", NOT_SEQUENCED, T0)
    (asked,) = fake.asked
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("gpt-4o-mini", 0.7, 900)
    assert asked["response_format"]["type"] == "json_schema"
    assert asked["messages"] == [{"role": said.role, "content": said.content} for said in event.messages]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("I would go long here.", "not JSON"),
        (f"Here it is:\n```json\n{plan()}\n```", "not JSON"),
        (plan(quantity="5"), "$.quantity: unknown field"),
        (plan(instrument_id="ETH-USDT-SWAP"), "$.instrument_id: ETH-USDT-SWAP, but the facts are about BTC-USDT-SWAP"),
        ("", "not JSON"),
    ],
    ids=["prose", "fenced", "unknown-field", "other-instrument", "nothing"],
)
def test_an_answer_that_is_no_plan_goes_back_once_with_what_is_wrong(fake: FakeModels, bad: str, says: str) -> None:
    event = received(fake, Says(bad), Says(plan()))
    assert event.raw == plan()
    assert [message.role for message in event.messages] == ["system", "user", "assistant", "user"]
    assert event.messages[2].content == bad
    assert says in event.messages[3].content
    assert says in event.failures[0]
    assert (event.attempts, event.prompt_tokens, event.completion_tokens) == (2, 2000, 400)
    assert event.cost == Decimal("0.00054")


def test_a_second_bad_answer_is_recorded_as_it_is_and_nothing_is_asked_again(fake: FakeModels) -> None:
    event = received(fake, Says("no"), Says("still no"))
    assert (event.raw, event.attempts, len(fake.asked)) == ("still no", 2, 2)


def test_without_repair_the_first_answer_stands_and_no_plan_needs_none(fake: FakeModels) -> None:
    assert received(fake, Says("no"), REPAIR="false").attempts == 1
    nothing = json.dumps({"no_plan": "no edge"})
    assert received(fake, Says(nothing)).raw == nothing
    assert len(fake.asked) == 2


def test_a_repair_that_fails_leaves_the_first_answer(fake: FakeModels) -> None:
    event = received(fake, Says("no"), Fails(401))
    assert (event.raw, len(event.messages)) == ("no", 2)
    assert "repair: NOT_CONFIGURED" in event.failures[-1]


@pytest.mark.parametrize("trouble", [Fails(429, headers={"retry-after": "0.1"}), Fails(500), Fails(503), Drops()])
def test_what_passes_is_asked_again(fake: FakeModels, trouble: Scripted) -> None:
    event = received(fake, trouble, Says(plan()))
    assert (event.raw, event.attempts, len(event.failures)) == (plan(), 2, 1)
    assert (event.unreported_tokens > 0) == isinstance(trouble, Drops), "only a lost answer may be billed"


@pytest.mark.parametrize(
    ("always", "reason", "says", "attempts"),
    [
        (Fails(429, message="slow down"), CompletionFailure.RATE_LIMITED, "slow down", 2),
        (Fails(500, message="overloaded"), CompletionFailure.PROVIDER_ERROR, "overloaded", 2),
        (Fails(400, message="too long"), CompletionFailure.PROVIDER_ERROR, "too long", 1),
        (Fails(404, message="no such model"), CompletionFailure.NOT_CONFIGURED, "no such model", 1),
        (Fails(400, message="half a pair: \ud800"), CompletionFailure.PROVIDER_ERROR, "half a pair: ?", 1),
        (Fails(302, headers={"location": "http://127.0.0.1:9/"}), CompletionFailure.PROVIDER_ERROR, "", 1),
        (Sends(b"x" * 65_536, times=20_000), CompletionFailure.PROVIDER_ERROR, f"larger than {BODY_BYTES_MAX}", 1),
        (Sends(b" " * 65_536, times=300, compressed=True), CompletionFailure.PROVIDER_ERROR, "compressed (gzip)", 1),
        (Sends(b"<html>"), CompletionFailure.PROVIDER_ERROR, "", 2),
        (Sends(b'{"choices": []}'), CompletionFailure.PROVIDER_ERROR, "cannot be read", 2),
        (
            Sends(b'{"choices":[{"message":{"content":"\\ud800"},"finish_reason":"stop"}],"model":"m"}'),
            CompletionFailure.PROVIDER_ERROR, "surrogates not allowed", 2,
        ),
        (Says(plan()[:-9], finish_reason="length"), CompletionFailure.TRUNCATED, "cut off at 2000 tokens", 1),
    ],
    ids=["429", "500", "400", "404", "half", "redirect", "huge", "bomb", "html", "empty", "surrogate", "length"],
)  # fmt: skip
def test_what_does_not_pass_is_a_failure_with_its_reason(
    fake: FakeModels, always: Scripted, reason: CompletionFailure, says: str, attempts: int
) -> None:
    event = failed(fake, always)
    assert (event.reason, event.attempts) == (reason, attempts)
    assert says in event.detail
    assert [message.role for message in event.messages] == ["system", "user"]
    assert event.raw == (plan()[:-9] if reason is CompletionFailure.TRUNCATED else "")


@pytest.mark.parametrize("always", [Hangs(), Sends(b" ", times=10_000, pause_s=0.05)], ids=["hangs", "drips"])
def test_an_answer_that_does_not_come_in_time_is_cut_off_and_its_most_counted(
    fake: FakeModels, always: Scripted
) -> None:
    event = failed(fake, always, limit_s=1.0)
    assert (event.reason, event.attempts) == (CompletionFailure.TIMEOUT, 1)
    assert event.latency_ms >= 900
    assert event.unreported_tokens > 2000
    assert (event.unreported_cost or 0) > Decimal("0.0012"), "2000 tokens of output alone"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_is_bounded_whichever_way_litellm_asks(fake: FakeModels, provider: str) -> None:
    event = failed(fake, Sends(b"x" * 65_536, times=20_000), MODEL=f"{provider}/some-model", API_BASE=f"{fake.host}/x")
    assert event.detail == f"the answer is larger than {BODY_BYTES_MAX} bytes"


@pytest.mark.parametrize("provider", ["openai", "deepseek", "anthropic", "ollama_chat"])
def test_an_answer_that_is_none_is_a_failure_that_may_be_billed(fake: FakeModels, provider: str) -> None:
    for body in (b"null", b'{"choices":[{"message":null}]}', b'{"content":[{"type":5}]}', b"[" * 100_000, b"\xff\x00"):
        event = failed(fake, Sends(body), MODEL=f"{provider}/some-model", API_BASE=f"{fake.host}/x", RETRIES="0")
        assert event.reason is CompletionFailure.PROVIDER_ERROR, body[:40]
        assert event.unreported_tokens > 2000, body[:40]
        assert "Traceback" not in event.detail


def test_a_key_the_provider_refuses_is_told_without_the_key(fake: FakeModels) -> None:
    wrong = "sk-wrong-Key987654321zyxwvutsrqponmlk"
    event = failed(fake, Says(plan()), API_KEY=wrong)
    assert event.reason is CompletionFailure.NOT_CONFIGURED
    assert "Incorrect API key provided" in event.detail
    assert fake.refused == [wrong]
    assert wrong not in repr(event)


def test_a_server_that_repeats_our_key_does_not_get_it_onto_the_log(fake: FakeModels) -> None:
    event = received(fake, Says(plan(rationale={"summary": f"your key is {KEY}"})))
    assert "your key is [redacted]" in event.raw
    assert KEY not in repr(failed(fake, Fails(500, message=f"who are you, {KEY}?")))


def test_a_wait_longer_than_the_time_left_is_not_waited_for(fake: FakeModels) -> None:
    event = failed(fake, Fails(429, headers={"retry-after": "120"}))
    assert (event.reason, event.attempts) == (CompletionFailure.RATE_LIMITED, 1)
    assert event.latency_ms < 50_000


def test_json_by_words_where_the_provider_takes_no_schema(fake: FakeModels) -> None:
    refuses = Fails(400, "invalid_request_error", "response_format of this type is not supported")
    event = received(fake, refuses, refuses, Says(plan()))
    forms = [asked.get("response_format", {}).get("type") for asked in fake.asked]
    assert forms == ["json_schema", "json_object", None]
    assert (event.raw, event.attempts) == (plan(), 3)


def test_a_model_that_takes_no_temperature_is_asked_without(fake: FakeModels) -> None:
    event = received(fake, Says(plan()), MODEL="openai/gpt-5-mini")
    assert "temperature" not in fake.asked[0]
    assert fake.asked[0]["max_completion_tokens"] == 2000
    assert event.cost == Decimal("0.00065")  # 1000 x 0.25 and 200 x 2.00 USD a million


def test_the_other_model_is_asked_where_the_first_gives_no_answer(fake: FakeModels) -> None:
    fallback = {"FALLBACK_MODEL": "openai/gpt-4.1-nano", "FALLBACK_API_KEY": KEY, "FALLBACK_API_BASE": fake.base}
    event = received(fake, Fails(404), Says(plan()), **fallback)
    assert (event.model, event.raw) == ("openai/gpt-4.1-nano", plan())
    assert event.failures[0].startswith(f"{MODEL}: NOT_CONFIGURED")
    assert failed(fake, Fails(404), **fallback).model == "openai/gpt-4.1-nano"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MODEL": ""}, "no model is set: TAPELINE_LLM_MODEL"),
        ({"API_KEY": "", "API_BASE": ""}, f"{MODEL} needs a key"),
        ({"MODEL": "gpt-what", "API_BASE": ""}, "litellm knows no such provider"),
    ],
)
def test_without_a_model_or_its_key_every_request_is_answered_so_at_once(
    fake: FakeModels, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with capture_logs() as said:
        event = failed(fake, Says(plan()), **variables)
    assert (event.reason, event.attempts, event.messages) == (CompletionFailure.NOT_CONFIGURED, 0, ())
    assert says in event.detail
    (warning,) = [row for row in said if row["log_level"] == "warning"]
    assert says.rpartition(": ")[2] in str(warning)
    assert fake.asked == []


def test_a_key_does_not_travel_in_the_clear_to_another_machine(fake: FakeModels) -> None:
    with pytest.raises(
        SettingsError, match=r"TAPELINE_LLM_API_BASE: the key would travel unencrypted to models\.example"
    ):
        answer_of(settings(fake, API_BASE="http://models.example/v1"))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"TOKENS_PER_DAY": "8000"}, "1200 of 8000 tokens spent today"),
        ({"COST_PER_DAY": "0.002"}, "0.0003 of 0.002 USD spent today"),
    ],
)
def test_a_day_costs_what_it_may_and_a_restart_forgets_nothing(
    fake: FakeModels, variables: dict[str, str], says: str
) -> None:
    """A call may take the prompt at two bytes a token and 2000 tokens of answer: the first fits, a second does not."""
    log = new_log()
    fake.always = Says(plan())
    facts = json.dumps({"instrument_id": BTC, "padding": "x" * 6_000})
    ask(log, facts=facts)
    serve(log, settings(fake, **variables))
    second = ask(log, facts=facts)
    serve(log, settings(fake, **variables))
    event = answers(log)[second]
    assert isinstance(event, CompletionFailed)
    assert (event.reason, event.attempts) == (CompletionFailure.OVER_BUDGET, 0)
    assert says in event.detail
    assert len(fake.asked) == 1


def test_the_price_of_an_unknown_model_is_unknown_and_its_tokens_count(fake: FakeModels) -> None:
    event = received(fake, Says(plan()), MODEL="openai/our-own-model", COST_PER_DAY="0")
    assert (event.cost, event.cost_known) == (0, False)
    over = failed(fake, Says(plan()), MODEL="openai/our-own-model", TOKENS_PER_DAY="1000")
    assert over.reason is CompletionFailure.OVER_BUDGET


def test_a_request_past_its_deadline_is_answered_and_not_asked(fake: FakeModels) -> None:
    event = failed(fake, Says(plan()), limit_s=0)
    assert (event.reason, event.detail) == (CompletionFailure.TIMEOUT, "past its deadline before it was asked")
    assert (event.attempts, fake.asked) == (0, [])


def test_a_feed_that_stands_still_does_not_lengthen_the_time_there_is(fake: FakeModels) -> None:
    log = new_log()
    fake.always = Hangs()
    request = ask(log, limit_s=1, ts=T0 + 3_000_000_000)
    serve(log, settings(fake))
    event = answers(log)[request]
    assert isinstance(event, CompletionFailed)
    assert (event.reason, event.latency_ms < 30_000) == (CompletionFailure.TIMEOUT, True)


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    [
        ("API_BASE", "models.example/v1", "must be a URL such as https://HOST/v1"),
        ("TEMPERATURE", "2.1", "less than or equal to 2"),
        ("MAX_TOKENS", "10", "greater than or equal to 64"),
        ("TOKENS_PER_DAY", "0", "greater than or equal to 1"),
        ("COST_PER_DAY", "-1", "greater than or equal to 0"),
        ("RETRIES", "11", "less than or equal to 10"),
    ],
)
def test_a_setting_that_does_not_fit_stops_the_start_and_is_named(
    fake: FakeModels, variable: str, text: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=f"TAPELINE_LLM_{variable}: .*{says}"):
        settings(fake, **{variable: text})
