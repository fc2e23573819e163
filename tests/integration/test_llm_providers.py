"""Each provider in its own wire format, through the real litellm: plan, tokens, price, reasons, forms of JSON, keys."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from schemas.events.model import CompletionFailed, CompletionFailure, CompletionReceived
from tests.fakes.models import anthropic, ollama, openai
from tests.fakes.models.server import Drops, Fails, FakeModels, Says, Scripted, fake_models
from tests.llm_desk import FACTS, answer_of, plan, settings


@dataclass(frozen=True)
class Provider:
    """How a provider is set, and what litellm makes of it. ``usd``: of 1000 tokens in and 200 out; None: no price."""

    model: str
    key: str
    path: str
    base: str
    served: str
    usd: str | None
    overloaded: int = 503


OPENAI = Provider(
    "openai/gpt-4o-mini", openai.KEY, "/v1/chat/completions", "/v1", "gpt-4o-mini-2025-03-01", "0.00027"
)  # 0.15 and 0.60 USD a million
DEEPSEEK = Provider(
    "deepseek/deepseek-chat", openai.DEEPSEEK_KEY, "/chat/completions", "", "deepseek-chat", "0.000364"
)  # 0.28 and 0.42
ANTHROPIC = Provider(
    "anthropic/claude-sonnet-4-5", anthropic.KEY, "/v1/messages", "", "claude-sonnet-4-5-20250929", "0.006", 529
)  # 3 and 15
BY_WORDS = Provider(
    "anthropic/claude-sonnet-4-20250514", anthropic.KEY, "/v1/messages", "", "claude-sonnet-4-20250514-20250929", None
)
OLLAMA = Provider("ollama_chat/llama3.1", "", "/api/chat", "", "ollama_chat/llama3.1", None)
OLLAMA_BY_ITS_OTHER_NAME = Provider("ollama/qwen3:8b", "", "/api/chat", "", "ollama_chat/qwen3:8b", None)
PROVIDERS = [OPENAI, DEEPSEEK, ANTHROPIC, BY_WORDS, OLLAMA, OLLAMA_BY_ITS_OTHER_NAME]
each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=[provider.model for provider in PROVIDERS])


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModels]:
    with fake_models() as running:
        yield running


@pytest.fixture
def fake(server: FakeModels) -> FakeModels:
    """The server with nothing scripted and nothing asked."""
    server.clear()
    return server


def received(fake: FakeModels, provider: Provider, *script: Scripted, **variables: str) -> CompletionReceived:
    fake.script.extend(script)
    event = answer_of(settings(fake, **_given(fake, provider), **variables))
    assert isinstance(event, CompletionReceived), (event, fake.problems)
    return event


def failed(fake: FakeModels, provider: Provider, always: Scripted, **variables: str) -> CompletionFailed:
    fake.always = always
    event = answer_of(settings(fake, **_given(fake, provider), **variables))
    assert isinstance(event, CompletionFailed), event
    return event


def _given(fake: FakeModels, provider: Provider, prefix: str = "") -> dict[str, str]:
    return {
        f"{prefix}MODEL": provider.model, f"{prefix}API_KEY": provider.key,
        f"{prefix}API_BASE": f"{fake.host}{provider.base}",
    }  # fmt: skip


@each_provider
def test_a_good_answer_is_recorded_with_tokens_price_and_why_it_ended(fake: FakeModels, provider: Provider) -> None:
    event = received(fake, provider, Says(plan()), MAX_TOKENS="900")
    assert fake.problems == [], "as the provider documents it, at the first attempt"
    assert (event.raw, event.model, event.model_served) == (plan(), provider.model, provider.served)
    assert (event.prompt_tokens, event.completion_tokens, event.attempts, event.failures) == (1000, 200, 1, ())
    assert (event.cost_known, event.cost) == (provider.usd is not None, Decimal(provider.usd or 0))
    assert event.finish_reason == "stop"
    assert [path for path, _ in fake.seen] == [provider.path]
    (asked,) = fake.asked
    assert FACTS in repr(asked["messages"][-1]["content"])


@each_provider
def test_an_answer_that_was_cut_off_is_truncated_and_not_sent_back(fake: FakeModels, provider: Provider) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 900}
    event = failed(fake, provider, Says(plan()[:-9], "length", usage), MAX_TOKENS="900")
    assert (event.reason, event.finish_reason, event.attempts) == (CompletionFailure.TRUNCATED, "length", 1)
    assert (event.prompt_tokens, event.completion_tokens) == (1000, 900), "it is paid all the same"
    assert "TAPELINE_LLM_MAX_TOKENS" in event.detail


@each_provider
def test_what_passes_is_asked_again_and_what_does_not_goes_to_the_other_model(
    fake: FakeModels, provider: Provider
) -> None:
    busy = Fails(429, "rate_limit_error", "slow down", {"retry-after": "0.1"})
    event = received(fake, provider, busy, Says(plan()))
    assert (event.raw, event.attempts, event.unreported_tokens) == (plan(), 2, 0)
    assert "RATE_LIMITED" in event.failures[0]
    overloaded = Fails(provider.overloaded, "overloaded_error", "Overloaded")
    event = received(fake, provider, overloaded, Says(plan()))
    assert (event.attempts, "PROVIDER_ERROR" in event.failures[0]) == (2, True)
    event = received(fake, provider, Drops(), Says(plan()))
    assert (event.attempts, event.unreported_tokens > 2000) == (2, True), "a lost answer may be billed"
    other = OPENAI if provider is not OPENAI else ANTHROPIC
    broken = Fails(500, "api_error", "internal error")
    fake.seen.clear()
    event = received(fake, provider, broken, broken, Says(plan()), **_given(fake, other, "FALLBACK_"))
    assert (event.model, event.raw) == (other.model, plan())
    assert [path for path, _ in fake.seen] == [provider.path, provider.path, other.path]
    event = failed(fake, provider, broken)
    assert (event.reason, event.attempts) == (CompletionFailure.PROVIDER_ERROR, 2)


@each_provider
def test_a_model_that_is_not_there_or_a_key_that_is_none_is_not_asked_again(
    fake: FakeModels, provider: Provider
) -> None:
    event = failed(fake, provider, Fails(404, "not_found_error", "model 'x' not found"))
    assert (event.reason, event.attempts) == (CompletionFailure.NOT_CONFIGURED, 1)
    event = failed(fake, provider, Fails(401, "authentication_error", "invalid key"))
    assert (event.reason, event.attempts) == (CompletionFailure.NOT_CONFIGURED, 1)


def test_a_wait_that_anthropic_asks_for_and_there_is_no_time_for_is_not_waited_for(fake: FakeModels) -> None:
    event = failed(fake, ANTHROPIC, Fails(429, "rate_limit_error", "slow down", {"retry-after": "120"}))
    assert (event.reason, event.attempts) == (CompletionFailure.RATE_LIMITED, 1)


@each_provider
def test_an_answer_is_held_to_json_as_strictly_as_the_provider_takes_it(fake: FakeModels, provider: Provider) -> None:
    received(fake, provider, Says(plan()))
    (asked,) = fake.asked
    forms = {
        OPENAI: lambda: asked["response_format"]["json_schema"]["schema"],
        ANTHROPIC: lambda: asked["output_format"]["schema"],
        OLLAMA: lambda: asked["format"],
        OLLAMA_BY_ITS_OTHER_NAME: lambda: asked["format"],
    }
    if provider is DEEPSEEK:
        assert asked["response_format"] == {"type": "json_object"}
    elif provider is BY_WORDS:
        assert asked.keys() == {"model", "messages", "system", "max_tokens", "temperature"}
    else:
        assert {"instrument_id", "entry", "no_plan"} < forms[provider]()["properties"].keys()


def test_a_schema_that_is_refused_is_let_go_of_whatever_the_status(fake: FakeModels) -> None:
    event = received(fake, OLLAMA, Fails(500, message="invalid JSON schema in format"), Says(plan()))
    assert [asked.get("format") == "json" for asked in fake.asked] == [False, True]
    assert (event.raw, event.attempts) == (plan(), 2)
    fake.asked.clear()
    refusal = Fails(400, "invalid_request_error", "output_format.schema: too complex")
    received(fake, ANTHROPIC, refusal, Says(plan()))
    assert ["output_format" in asked for asked in fake.asked] == [True, False]


def test_a_repair_goes_back_in_each_format(fake: FakeModels) -> None:
    for provider in PROVIDERS:
        fake.clear()
        event = received(fake, provider, Says('{"entry": 5}'), Says(plan()))
        assert (event.raw, event.attempts, fake.problems) == (plan(), 2, []), provider
        assert "entry" in repr(fake.asked[1]["messages"][-2]["content"])


def test_ollama_is_given_a_window_for_all_of_prompt_and_answer(fake: FakeModels) -> None:
    event = received(fake, OLLAMA, Says(plan()), MAX_TOKENS="4000")
    (asked,) = fake.asked
    window = asked["options"]["num_ctx"]
    size = sum(len(message.content) for message in event.messages)
    assert window >= size // 2 + 4000
    assert window & (window - 1) == 0, "a power of two: it loads a model again for another window"
    assert asked["options"]["num_predict"] == 4000


def test_a_model_of_ones_own_costs_nothing_that_is_known_and_its_tokens_bind(fake: FakeModels) -> None:
    event = received(fake, OLLAMA, Says(plan()), COST_PER_DAY="0")
    assert (event.cost, event.cost_known) == (0, False)
    over = failed(fake, OLLAMA, Says(plan()), TOKENS_PER_DAY="1000")
    assert (over.reason, over.attempts) == (CompletionFailure.OVER_BUDGET, 0)


def test_a_temperature_anthropic_does_not_take_is_said_by_name(fake: FakeModels) -> None:
    event = failed(fake, ANTHROPIC, Says(plan()), TEMPERATURE="1.5")
    assert (event.reason, event.attempts) == (CompletionFailure.PROVIDER_ERROR, 1)
    assert "temperature: range: 0..1" in event.detail


KEYS = (openai.KEY, openai.DEEPSEEK_KEY, anthropic.KEY, ollama.KEY)
WITH_KEYS = [OPENAI, DEEPSEEK, ANTHROPIC, Provider(OLLAMA.model, ollama.KEY, OLLAMA.path, "", OLLAMA.served, None)]


@pytest.mark.parametrize("provider", WITH_KEYS, ids=[provider.model for provider in WITH_KEYS])
def test_a_key_reaches_its_provider_alone_and_is_never_recorded(
    fake: FakeModels, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for other in [other for other in WITH_KEYS if other is not provider]:
        fake.clear()
        quotes = f"no: {provider.key}"
        fake.script.extend([Fails(500, message=quotes), Fails(401, message=quotes), Says(plan())])
        with capture_logs() as said:
            event = answer_of(settings(fake, **_given(fake, provider), **_given(fake, other, "FALLBACK_")))
        assert (event.model, len(fake.seen)) == (other.model, 3)
        for path, headers in fake.seen:
            expected = provider if path == provider.path else other
            assert [key for key in KEYS if key in str(headers)] == [expected.key]
        assert [key for key in KEYS if key in repr(event) or key in str(said) + caplog.text] == []
        assert "no: " in repr(event), "what it said is there"


def test_a_variable_of_litellms_own_does_not_send_our_key_elsewhere(
    fake: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE", "DEEPSEEK_API_BASE"):
        monkeypatch.setenv(name, f"{fake.host}/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nor does this test ask the real ones
    with capture_logs() as said:
        for provider in (OPENAI, ANTHROPIC, DEEPSEEK):
            event = answer_of(settings(None, MODEL=provider.model, API_KEY=provider.key, RETRIES="0"))
            assert isinstance(event, CompletionFailed), event
    assert fake.seen == []
    ignored = {row["variable"] for row in said if row["event"].startswith("ignored")}
    assert {"OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "DEEPSEEK_API_BASE"} <= ignored
