"""One call to one model through litellm: a reply with its usage, or a failure that says what the next call may do.

Nothing is retried, chosen or judged here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

import httpx
import openai

from schemas.events.model import ChatMessage, CompletionFailure
from services.llm.budget import most
from services.llm.library import STATUSES, AnswerTooLarge, Library
from services.llm.options import ModelAccess
from services.llm.prompt import answer_schema
from services.logs import REDACTED, redact_text

DETAIL_MAX = 400
NAME_MAX = 100
USAGE_MAX = 10_000_000
"""Tokens of one call that are believed; more is a provider's mistake."""
CAUSES_MAX = 20
NO_KEY = "none"
"""What a server that wants no key is sent: OpenAI's client will not start without one."""
_FORM_WORDS = ("response_format", "json_schema", "json_object", "json mode", "schema")
_OLLAMA = frozenset({"ollama", "ollama_chat"})
"""A server of one's own: no key, no price, and a context window of a few thousand tokens unless told otherwise."""


class Form(Enum):
    """How a model is held to JSON: by the schema, as any object, or by words alone."""

    SCHEMA = "schema"
    OBJECT = "object"
    PLAIN = "plain"


_FORMS = {"ollama": Form.SCHEMA, "ollama_chat": Form.SCHEMA, "deepseek": Form.OBJECT}
"""Where the provider's documentation knows better than litellm: Ollama takes a schema, DeepSeek any object only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. ``tokens`` None: the provider reported no usage. ``cost`` None: the price is unknown."""

    text: str
    finish_reason: str
    model_served: str
    tokens: tuple[int, int] | None
    cost: Decimal | None


class CallFailed(Exception):
    """A call without a reply.

    again: another attempt may help. billed: the provider may have worked for it, usage unknown. form_refused: the
    provider did not like how the answer is held to JSON, perhaps. retry_after_s: the provider's own wish; 0: none.
    """

    def __init__(
        self, reason: CompletionFailure, detail: str, *, again: bool = False, billed: bool = False,
        form_refused: bool = False, retry_after_s: float = 0.0,
    ) -> None:  # fmt: skip
        self.reason = reason
        whole = detail.encode(errors="replace").decode()  # half a surrogate pair cannot go on the log
        self.detail = redact_text(" ".join(whole.split()))[:DETAIL_MAX]
        self.again = again
        self.billed = billed
        self.form_refused = form_refused
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason.value}: {self.detail}")


class Provider:
    """litellm as this service uses it, loaded when it is first needed. ``close`` in the event loop that used it."""

    def __init__(self) -> None:
        self._loaded: Library | None = None

    @property
    def _library(self) -> Library:
        if self._loaded is None:
            self._loaded = Library()
        return self._loaded

    @property
    def _litellm(self) -> Any:
        return self._library.litellm

    async def close(self) -> None:
        """Close the connections there may be."""
        if self._loaded is not None:
            await self._loaded.close()

    def missing(self, access: ModelAccess) -> str | None:
        """Return what the settings lack for a model to be asked at all; None: nothing that can be seen from here."""
        provider = self._library.provider_of(access.model)
        if provider is None:
            return f"{access.model[:NAME_MAX]}: litellm knows no such provider; a model is PROVIDER/NAME"
        if access.api_key or access.api_base or provider in _OLLAMA:
            return None
        lacking = self._litellm.validate_environment(access.model)["missing_keys"]
        if not lacking:
            return None
        return f"{access.model} needs a key: its TAPELINE_LLM_..._KEY, as _FILE, or {' or '.join(lacking)} is not set"

    def best_form(self, model: str) -> Form:
        """Return the strictest form the model is known to take."""
        provider = self._library.provider_of(model) or ""
        if provider in _FORMS:
            return _FORMS[provider]
        if provider == "anthropic" and not self._info(model).get("supports_native_structured_output"):
            return Form.PLAIN  # the other way is a forced tool call, of which litellm does not say that it was cut off
        if self._litellm.supports_response_schema(model):
            return Form.SCHEMA
        known = self._litellm.get_supported_openai_params(model) or ()
        return Form.OBJECT if "response_format" in known else Form.PLAIN

    def prices(self, model: str) -> tuple[Decimal, Decimal] | None:
        """Return USD per token in and out; None: not in litellm's list, or Ollama, whose server litellm would ask."""
        if self._library.provider_of(model) in _OLLAMA:
            return None
        info = self._info(model)
        asked, answered = _decimal(info.get("input_cost_per_token")), _decimal(info.get("output_cost_per_token"))
        if asked is None or answered is None or (asked <= 0 and answered <= 0):
            return None
        return asked, answered

    def _info(self, model: str) -> dict[str, Any]:
        """Return what litellm's list says of a model; empty: it is not there."""
        try:
            return dict(self._litellm.get_model_info(model))
        except (self._litellm.exceptions.ModelNotMappedError, openai.OpenAIError):
            return {}

    async def call(
        self, access: ModelAccess, messages: Sequence[ChatMessage], *, form: Form, temperature: Decimal,
        max_tokens: int, limit_s: float,
    ) -> Reply:  # fmt: skip
        """Ask once. Raises CallFailed."""
        arguments: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "temperature": float(temperature),
            "max_tokens": max_tokens,
            "timeout": limit_s,
            "num_retries": 0,
            "max_retries": 0,
            "stream": False,
            **self._addressed(access, sum(len(message.content.encode()) for message in messages), max_tokens),
            **self._access(access),
            **_response_format(form),
        }
        statuses: list[int] = []
        STATUSES.set(statuses)
        try:
            async with asyncio.timeout(limit_s):
                response = await self._litellm.acompletion(**arguments)
        except TimeoutError as error:
            raise CallFailed(
                CompletionFailure.TIMEOUT, f"no answer in {limit_s:.1f} s", again=True, billed=True
            ) from error
        except openai.OpenAIError as error:
            words = _without(access.api_key, _words(error))
            raise self._failure(error, words, form, worked=any(status < 300 for status in statuses)) from error
        return self._reply(access, response)

    def _addressed(self, access: ModelAccess, prompt_bytes: int, max_tokens: int) -> dict[str, Any]:
        """Return the model as it is asked for.

        Ollama is always asked as a chat: its other way flattens the messages into one text, and litellm cuts fences off
        the answer there and loses why it ended. It gets a window for the whole of both; beyond its own it drops the
        beginning of a prompt without a word. Powers of two, so that it does not load the model again for every size.
        """
        if self._library.provider_of(access.model) not in _OLLAMA:
            return {"model": access.model}
        model = f"ollama_chat/{access.model.partition('/')[2]}"
        self._library.know(model)
        window = most(prompt_bytes, max_tokens, None).tokens
        return {"model": model, "num_ctx": 1 << (window - 1).bit_length()}

    def _access(self, access: ModelAccess) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if access.api_base:
            found["api_base"] = access.api_base
        if access.api_key or access.api_base:
            found["api_key"] = access.api_key or NO_KEY
        client = self._library.client_for(access.model)
        return found if client is None else {**found, "client": client}

    def _failure(self, error: openai.OpenAIError, words: str, form: Form, *, worked: bool) -> CallFailed:
        """Sort an error of the library by what it means. Order matters: some classes are kinds of others.

        ``worked``: the provider said that all was well, and then its answer was none; it may be billed.
        """
        too_large = _cause(error, AnswerTooLarge)
        if too_large is not None:
            return CallFailed(CompletionFailure.PROVIDER_ERROR, str(too_large), billed=True)
        known = self._litellm.exceptions
        if isinstance(error, known.Timeout):
            return CallFailed(CompletionFailure.TIMEOUT, words, again=True, billed=True)
        if isinstance(error, known.RateLimitError):
            wish = _retry_after(error)
            return CallFailed(CompletionFailure.RATE_LIMITED, words, again=True, retry_after_s=wish)
        if isinstance(error, known.AuthenticationError | openai.PermissionDeniedError | known.NotFoundError):
            return CallFailed(CompletionFailure.NOT_CONFIGURED, words)
        if isinstance(error, openai.BadRequestError | openai.UnprocessableEntityError):
            refused = form is not Form.PLAIN and any(name in words.lower() for name in _FORM_WORDS)
            return CallFailed(CompletionFailure.PROVIDER_ERROR, words, form_refused=refused)
        status = getattr(error, "status_code", 500)
        again = not isinstance(status, int) or status >= 500
        unsent = _cause(error, httpx.ConnectError, httpx.ConnectTimeout) is not None
        lost = _cause(error, httpx.TransportError) is not None and not unsent
        refused = form is Form.SCHEMA and "json schema" in words.lower()  # Ollama calls that an error of its own
        return CallFailed(
            CompletionFailure.PROVIDER_ERROR, words, again=again, billed=worked or lost, form_refused=refused
        )

    def _reply(self, access: ModelAccess, response: Any) -> Reply:
        try:
            choice = response.choices[0]
            text = _without(access.api_key, choice.message.content or "")
            reason = str(choice.finish_reason or "")
            served = str(response.model or "")
            tokens = _usage(response)
            text.encode()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            words = f"an answer that cannot be read: {type(error).__name__}: {error}"
            raise CallFailed(CompletionFailure.PROVIDER_ERROR, words, again=True, billed=True) from error
        return Reply(text, _plain(reason), _plain(served), tokens, self._cost(access.model, tokens))

    def _cost(self, model: str, tokens: tuple[int, int] | None) -> Decimal | None:
        prices = self.prices(model)
        if prices is None or tokens is None:
            return None
        return prices[0] * tokens[0] + prices[1] * tokens[1]


def _response_format(form: Form) -> dict[str, Any]:
    if form is Form.PLAIN:
        return {}
    if form is Form.OBJECT:
        return {"response_format": {"type": "json_object"}}
    named = {"name": "trade_plan", "schema": answer_schema(), "strict": False}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _without(secret: str | None, text: str) -> str:
    """Return the answer without our key, which a server that repeats a request's headers would put on the log."""
    return text.replace(secret, REDACTED) if secret else text


def _usage(response: Any) -> tuple[int, int] | None:
    usage = getattr(response, "usage", None)
    prompt, completion = (getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
    if not isinstance(prompt, int) or not isinstance(completion, int) or prompt == completion == 0:
        return None
    return (prompt, completion) if 0 <= prompt <= USAGE_MAX and 0 <= completion <= USAGE_MAX else None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None


def _words(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error).removeprefix("litellm.").partition("Traceback")[0]


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and letter.isprintable())[:NAME_MAX]


def _cause(error: BaseException | None, *kinds: type[BaseException]) -> BaseException | None:
    """Return the error of one of these classes that another one was raised from, not too deep."""
    for _ in range(CAUSES_MAX):
        if error is None or isinstance(error, kinds):
            return error
        error = error.__cause__ or error.__context__
    return None


def _retry_after(error: Any) -> float:
    """Return the seconds the provider asks to wait; 0: it does not say, or not in seconds."""
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", {}
    )
    value = (headers or {}).get("retry-after", "")
    return min(float(value), 3600.0) if str(value).replace(".", "", 1).isdigit() else 0.0
