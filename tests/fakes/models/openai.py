"""OpenAI's chat completions, and DeepSeek's, which differ in where they are and in the forms of JSON they know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes.models.wire import Body, Usage, Wire, bearer

KEY = "sk-planted-Key0123456789abcdefghijklm"
DEEPSEEK_KEY = "sk-f00d0123456789abcdef0123456789ab"
KNOWN = frozenset(
    {
        "model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "stream", "n",
        "stop", "top_p", "seed", "user",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def completion(request: Body, text: str, finish_reason: str, usage: Usage | None) -> dict[str, Any]:
    """Return a chat completion object."""
    body: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_742_400_000,
        "model": f"{request['model']}-2025-03-01",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
    }
    if usage is not None:
        body["usage"] = {**usage, "total_tokens": sum(usage.values())}
    return body


def error(message: str, kind: str) -> dict[str, Any]:
    """Return an error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def problem_of(request: Body, _headers: Mapping[str, str]) -> tuple[str, str, int] | None:
    """Return the parameter a request gets wrong and why; None: it is as documented."""
    unknown = sorted(request.keys() - KNOWN)
    if unknown:
        return unknown[0], f"Unrecognized request argument supplied: {unknown[0]}", 400
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages", "messages must be a non-empty array", 400
    for message in messages:
        if message.get("role") not in ("system", "user", "assistant") or not isinstance(message.get("content"), str):
            return "messages", "each message has a role and a text", 400
    temperature = request.get("temperature", 1)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        return "temperature", "must be between 0 and 2", 400
    return _format_problem(request.get("response_format", {"type": "text"}), messages)


def _format_problem(wanted: Body, messages: list[Body]) -> tuple[str, str, int] | None:
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        said = any("json" in message["content"].lower() for message in messages)
        return None if said else ("messages", "'messages' must contain the word 'json' in some form", 400)
    if kind != "json_schema":
        return "response_format", f"response_format of type {kind!r} is not supported", 400
    schema = wanted.get("json_schema", {})
    if not _NAME.fullmatch(schema.get("name", "")) or schema.get("schema", {}).get("type") != "object":
        return "response_format", "Invalid schema for response_format: a name and an object schema are needed", 400
    return None


def _deepseek_problem(request: Body, headers: Mapping[str, str]) -> tuple[str, str, int] | None:
    if request.get("response_format", {}).get("type") == "json_schema":
        return "response_format", "This response_format type is unavailable now", 400
    return problem_of(request, headers)


def _deepseek_completion(request: Body, text: str, finish_reason: str, usage: Usage | None) -> dict[str, Any]:
    return {**completion(request, text, finish_reason, usage), "model": request["model"]}


OPENAI = Wire(KEY, bearer, problem_of, completion, error)
DEEPSEEK = Wire(DEEPSEEK_KEY, bearer, _deepseek_problem, _deepseek_completion, error)
