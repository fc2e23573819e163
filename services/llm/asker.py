"""Answer one request: ask the first model, again where that may help, then the other one; send a bad answer back once.

Everything that was sent, said and spent ends up in the one event this returns. It judges an answer only to decide on a
repair round; whether it becomes a plan is the trader's business, and nothing is cut out of prose here either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from schemas.events.model import (
    ChatMessage,
    CompletionAttempted,
    CompletionFailed,
    CompletionFailure,
    CompletionReceived,
    CompletionRequested,
)
from schemas.values import money, plain
from services.llm.budget import Amount, Budget, most
from services.llm.options import LlmOptions, ModelAccess
from services.llm.prompt import messages_for, problems_of, prompt_version, repair_messages
from services.llm.provider import CallFailed, Form, Provider, Reply

FIRST_SHARE = 0.6
"""Share of the time the first model may use where there is another one to ask."""
CALL_S_MIN = 0.2
"""With less time than this no call is begun."""
PAUSE_S_MAX = 10.0
REPAIRED_CHARS_MAX = 32_768
"""A longer answer is not sent back: the trader does not read one either."""
NOTE_MAX = 500
NOTES_MAX = 40
CUT_OFF = "length"
"""What a provider gives as the reason when an answer reached the token limit."""
_LESS = {Form.SCHEMA: Form.OBJECT, Form.OBJECT: Form.PLAIN}

Completion = CompletionReceived | CompletionFailed
Attempt = Callable[[CompletionAttempted], None]


@dataclass
class _Talk:
    """One request on its way to an answer. ``attempt``: told of every call first. ``deadline``: monotonic seconds."""

    request: CompletionRequested
    request_id: str
    attempt: Attempt
    messages: tuple[ChatMessage, ...]
    began: float
    deadline: float
    attempts: int = 0
    tokens: tuple[int, int] = (0, 0)
    cost: Decimal = Decimal(0)
    cost_known: bool = True
    unreported: Amount = field(default_factory=Amount)
    failures: list[str] = field(default_factory=list)
    cut_off: Reply | None = None

    def note(self, model: str, words: str) -> None:
        """Remember what went wrong on the way."""
        if len(self.failures) < NOTES_MAX:
            self.failures.append(f"{model}: {words}"[:NOTE_MAX])

    def latency_ms(self) -> int:
        """Return milliseconds since the request was taken up."""
        return int((time.monotonic() - self.began) * 1000)


class Asker:
    """Models, rules and budget of a service. Without models every request fails as not configured."""

    def __init__(
        self, provider: Provider, models: Sequence[ModelAccess], options: LlmOptions, budget: Budget, *,
        now: Callable[[], int],
    ) -> None:  # fmt: skip
        self.budget = budget
        self._provider = provider
        self._models = tuple(models)
        self._options = options
        self._now = now
        self._version = prompt_version()
        self._forms: dict[str, Form] = {}

    def interrupted(
        self, request: CompletionRequested, request_id: str, attempts: Sequence[CompletionAttempted]
    ) -> CompletionFailed:
        """Return the answer to a request whose calls nobody saw the end of: each counts at its most."""
        now = time.monotonic()
        talk = _Talk(request, request_id, lambda _: None, messages_for(request), now, now, len(attempts))
        for attempt in attempts:
            talk.unreported += Amount(attempt.tokens_max, attempt.cost_max)
        words = "interrupted: a service ended while the model was asked; that may be billed and is not asked again"
        newest = max(attempts, key=lambda attempt: attempt.attempt)
        return self._failed(talk, newest.model, CallFailed(CompletionFailure.PROVIDER_ERROR, words))

    async def answer(
        self, request: CompletionRequested, request_id: str, left_s: float, attempt: Attempt
    ) -> Completion:
        """Return the answer to a request, asked within ``left_s`` seconds. Raises what ``attempt`` does."""
        began = time.monotonic()
        talk = _Talk(request, request_id, attempt, messages_for(request), began, began + left_s)
        if left_s < CALL_S_MIN:
            return self._failed(
                talk, "", CallFailed(CompletionFailure.TIMEOUT, "past its deadline before it was asked")
            )
        if not self._models:
            words = "no model is set: TAPELINE_LLM_MODEL, and its key, on the service `tapeline llm`"
            return self._failed(talk, "", CallFailed(CompletionFailure.NOT_CONFIGURED, words))
        return await self._ask_models(talk)

    async def _ask_models(self, talk: _Talk) -> Completion:
        model, failure = "", None
        for access in self._models:
            model = access.model
            share = 1.0 if access is self._models[-1] else FIRST_SHARE
            now = time.monotonic()
            try:
                reply = await self._ask(talk, access, talk.messages, now + (talk.deadline - now) * share)
                if reply.finish_reason != CUT_OFF:
                    return self._received(talk, model, await self._repaired(talk, access, reply))
                talk.cut_off = reply
                raise CallFailed(
                    CompletionFailure.TRUNCATED,
                    f"cut off at {self._options.llm_max_tokens} tokens: TAPELINE_LLM_MAX_TOKENS",
                )
            except CallFailed as error:
                failure = error
                talk.note(model, str(error))
        assert failure is not None, "a service without models asks none"
        return self._failed(talk, model, failure)

    async def _ask(self, talk: _Talk, access: ModelAccess, messages: tuple[ChatMessage, ...], until: float) -> Reply:
        """Return a model's reply, asked again where that may help. Raises CallFailed."""
        if (lacking := self._provider.missing(access)) is not None:
            raise CallFailed(CompletionFailure.NOT_CONFIGURED, lacking)
        retrying = AsyncRetrying(
            stop=stop_after_attempt(1 + self._options.llm_retries) | stop_before_delay(until - time.monotonic()),
            wait=_pause,
            retry=retry_if_exception(lambda error: isinstance(error, CallFailed) and error.again),
            before_sleep=lambda state: talk.note(access.model, str(_error_of(state))),
            reraise=True,
        )
        reply: Reply = await retrying(self._attempt, talk, access, messages, until)
        return reply

    async def _attempt(
        self, talk: _Talk, access: ModelAccess, messages: tuple[ChatMessage, ...], until: float
    ) -> Reply:
        """Ask once; a form of JSON the provider does not take is let go of at once, and for good."""
        while True:
            form = self._forms.setdefault(access.model, self._provider.best_form(access.model))
            try:
                return await self._call(talk, access, messages, form, until - time.monotonic())
            except CallFailed as error:
                if not error.form_refused or form not in _LESS:
                    raise
                talk.note(access.model, str(error))
                self._forms[access.model] = _LESS[form]

    async def _call(
        self, talk: _Talk, access: ModelAccess, messages: tuple[ChatMessage, ...], form: Form, limit_s: float
    ) -> Reply:
        """Call inside the budget and book what it took, whatever came of it."""
        if limit_s < CALL_S_MIN:
            raise CallFailed(CompletionFailure.TIMEOUT, "no time left for another attempt")
        size = sum(len(message.content.encode()) for message in messages)
        amount = most(size, self._options.llm_max_tokens, self._provider.prices(access.model))
        if (refusal := self.budget.reserve(amount, self._now())) is not None:
            raise CallFailed(CompletionFailure.OVER_BUDGET, refusal)
        talk.attempts += 1
        try:
            talk.attempt(_attempted(talk, access.model, amount))
            reply = await self._provider.call(
                access, messages, form=form, limit_s=limit_s,
                temperature=self._options.llm_temperature, max_tokens=self._options.llm_max_tokens,
            )  # fmt: skip
        except CallFailed as error:
            if error.billed:
                self._book_unreported(talk, amount)
            raise
        finally:
            self.budget.release(amount)
        self._book(talk, reply, amount)
        return reply

    def _book(self, talk: _Talk, reply: Reply, amount: Amount) -> None:
        if reply.tokens is None:
            self._book_unreported(talk, amount)
            return
        talk.tokens = (talk.tokens[0] + reply.tokens[0], talk.tokens[1] + reply.tokens[1])
        talk.cost += reply.cost or 0
        talk.cost_known = talk.cost_known and reply.cost is not None
        self.budget.spend(Amount(sum(reply.tokens), reply.cost or Decimal(0)), self._now())

    def _book_unreported(self, talk: _Talk, amount: Amount) -> None:
        talk.unreported += amount
        self.budget.spend(amount, self._now())

    async def _repaired(self, talk: _Talk, access: ModelAccess, reply: Reply) -> Reply:
        """Return the answer to the repair round, where one is allowed and needed; else the reply as it is."""
        if not self._options.llm_repair or len(reply.text) > REPAIRED_CHARS_MAX:
            return reply
        problems = problems_of(reply.text, talk.request.instrument_id)
        if problems is None:
            return reply
        talk.note(access.model, problems)
        longer = (*talk.messages, *repair_messages(reply.text, problems))
        try:
            second = await self._ask(talk, access, longer, talk.deadline)
        except CallFailed as error:
            talk.note(access.model, f"repair: {error}")
            return reply
        talk.messages = longer
        return second

    def _received(self, talk: _Talk, model: str, reply: Reply) -> CompletionReceived:
        return CompletionReceived(
            account_id=talk.request.account_id,
            request_id=talk.request_id,
            model=model,
            temperature=plain(self._options.llm_temperature),
            prompt_version=self._version,
            messages=talk.messages,
            raw=reply.text,
            finish_reason=reply.finish_reason,
            prompt_tokens=talk.tokens[0],
            completion_tokens=talk.tokens[1],
            cost=money(talk.cost),
            latency_ms=talk.latency_ms(),
            attempts=talk.attempts,
            cost_known=talk.cost_known,
            failures=tuple(talk.failures),
            model_served=reply.model_served,
            unreported_tokens=talk.unreported.tokens,
            unreported_cost=money(talk.unreported.cost) if talk.unreported.tokens else None,
        )

    def _failed(self, talk: _Talk, model: str, failure: CallFailed) -> CompletionFailed:
        cut = talk.cut_off
        return CompletionFailed(
            account_id=talk.request.account_id,
            request_id=talk.request_id,
            model=model,
            prompt_version=self._version,
            messages=talk.messages if talk.attempts else (),
            reason=failure.reason,
            detail=failure.detail,
            prompt_tokens=talk.tokens[0],
            completion_tokens=talk.tokens[1],
            cost=money(talk.cost),
            latency_ms=talk.latency_ms(),
            attempts=talk.attempts,
            raw=cut.text if cut else "",
            finish_reason=cut.finish_reason if cut else "",
            temperature=plain(self._options.llm_temperature),
            cost_known=talk.cost_known,
            failures=tuple(talk.failures),
            unreported_tokens=talk.unreported.tokens,
            unreported_cost=money(talk.unreported.cost) if talk.unreported.tokens else None,
        )


def _attempted(talk: _Talk, model: str, amount: Amount) -> CompletionAttempted:
    request = talk.request
    return CompletionAttempted(
        request.account_id, talk.request_id, model, talk.attempts, amount.tokens, money(amount.cost)
    )


_JITTER = wait_random_exponential(multiplier=0.5, max=PAUSE_S_MAX)


def _pause(state: RetryCallState) -> float:
    """Return seconds to wait: growing and drawn, and never less than the provider asks for."""
    error = _error_of(state)
    return max(_JITTER(state), error.retry_after_s if isinstance(error, CallFailed) else 0.0)


def _error_of(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
