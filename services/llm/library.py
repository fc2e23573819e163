"""Load litellm the one way it is loaded here: no network at import, no telemetry, no callback, no log of its own.

Answers are bounded while they are read: so many bytes, not compressed (what is small on the wire may be large in
memory), and no redirect, which could carry the request to another host.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import httpx
import structlog

BODY_BYTES_MAX = 1024 * 1024
"""Bytes of an answer, headers apart; a plan document has about two thousand."""
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_OWN_CLIENT = frozenset(
    {"anthropic", "cohere_chat", "deepseek", "gemini", "groq", "mistral", "ollama", "ollama_chat", "openrouter", "xai"}
)
"""Providers litellm asks through its own HTTP handler; the others go through the session of OpenAI's client."""

_HOST_VARIABLE = re.compile(r"(?!TAPELINE_)[A-Z0-9_]+_(?:API_BASE|BASE_URL)")
_log = structlog.get_logger("tapeline.llm")

STATUSES: ContextVar[list[int]] = ContextVar("STATUSES")
"""Where a call under way collects the statuses it was answered with."""


class AnswerTooLarge(Exception):
    """An answer went past its bound, or came in a form whose size nobody can tell; nothing of it is used."""


class _Bounded(httpx.AsyncByteStream):
    """The body of a response up to BODY_BYTES_MAX."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > BODY_BYTES_MAX:
                raise AnswerTooLarge(f"the answer is larger than {BODY_BYTES_MAX} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _as_it_is(request: httpx.Request) -> None:
    request.headers["accept-encoding"] = "identity"


async def _bound(response: httpx.Response) -> None:
    STATUSES.get([]).append(response.status_code)
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        await response.aclose()
        raise AnswerTooLarge(f"the answer is compressed ({encoding[:20]}) although it was asked for as it is")
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Bounded(response.stream)


def _forget_hosts() -> None:
    """Forget hosts that litellm would take from variables of its own: our key goes where our settings say."""
    for name in [name for name in os.environ if _HOST_VARIABLE.fullmatch(name)]:
        _log.warning("ignored: where a model is asked is said by our settings alone", variable=name)
        del os.environ[name]


class Library:
    """litellm, and the two HTTP clients it is to use. ``close`` when done, in the event loop that used it."""

    def __init__(self) -> None:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # the price list of the package, not of the network
        os.environ["LITELLM_MODE"] = "PRODUCTION"  # else it reads .env into the environment
        os.environ["LITELLM_LOG"] = "ERROR"
        os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"  # as the price list: of the package
        _forget_hosts()
        import litellm
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        self.litellm: Any = litellm
        litellm.telemetry = False
        litellm.suppress_debug_info = True
        litellm.turn_off_message_logging = True
        litellm.drop_params = True
        for name in ("callbacks", "success_callback", "failure_callback", "input_callback", "service_callback"):
            setattr(litellm, name, [])
        logging.captureWarnings(True)
        for name in _LOGGERS:
            library = logging.getLogger(name)
            library.handlers.clear()
            library.propagate = True
            library.setLevel(max(logging.WARNING, logging.getLogger().level))
        hooks: dict[str, list[Callable[..., object]]] = {"request": [_as_it_is], "response": [_bound]}
        self._session = httpx.AsyncClient(event_hooks=hooks, follow_redirects=False)
        self._handler: Any = AsyncHTTPHandler(event_hooks=hooks, follow_redirects=False)
        litellm.aclient_session = self._session

    def client_for(self, model: str) -> Any:
        """Return the client to hand over with a call; None: litellm takes the session by itself."""
        return self._handler if self.provider_of(model) in _OWN_CLIENT else None

    def provider_of(self, model: str) -> str | None:
        """Return the provider in a model's name; None: litellm knows none."""
        try:
            return str(self.litellm.get_llm_provider(model)[1])
        except self.litellm.exceptions.BadRequestError:
            return None

    def know(self, model: str) -> None:
        """Put a model of Ollama's on litellm's list: about one that is not, it asks the server, and waits for it."""
        entry = {
            "litellm_provider": "ollama",
            "mode": "chat",
            "input_cost_per_token": 0.0,
            "output_cost_per_token": 0.0,
        }
        self.litellm.model_cost.setdefault(model, entry)

    async def close(self) -> None:
        """Close both clients."""
        self.litellm.aclient_session = None
        self.litellm.in_memory_llm_clients_cache.flush_cache()  # clients that hold on to the session
        await self._session.aclose()
        await self._handler.close()
