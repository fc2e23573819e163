"""The documented bodies: what a request must look like, what an answer and an error look like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KNOWN = frozenset(
    {
        "model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "stream", "n",
        "stop", "top_p", "seed", "user",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def completion(model: str, text: str, finish_reason: str, usage: Mapping[str, int] | None) -> dict[str, Any]:
    """Return a chat completion object."""
    body: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_742_400_000,
        "model": f"{model}-2025-03-01",
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


def error(message: str, kind: str, *, parameter: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return an error object."""
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def problem_of(request: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the parameter a request gets wrong and why; None: it is as documented."""
    unknown = sorted(request.keys() - KNOWN)
    if unknown:
        return unknown[0], f"Unrecognized request argument supplied: {unknown[0]}"
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages", "messages must be a non-empty array"
    for message in messages:
        if message.get("role") not in ("system", "user", "assistant") or not isinstance(message.get("content"), str):
            return "messages", "each message has a role and a text"
    temperature = request.get("temperature", 1)
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        return "temperature", "must be between 0 and 2"
    return _format_problem(request.get("response_format", {"type": "text"}), messages)


def _format_problem(wanted: Mapping[str, Any], messages: list[Mapping[str, Any]]) -> tuple[str, str] | None:
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        said = any("json" in message["content"].lower() for message in messages)
        return None if said else ("messages", "'messages' must contain the word 'json' in some form")
    if kind != "json_schema":
        return "response_format", f"response_format of type {kind!r} is not supported"
    schema = wanted.get("json_schema", {})
    if not _NAME.fullmatch(schema.get("name", "")) or schema.get("schema", {}).get("type") != "object":
        return "response_format", "Invalid schema for response_format: a name and an object schema are needed"
    return None
